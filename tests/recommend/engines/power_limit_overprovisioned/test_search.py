"""The search for a power limit: bounds for any board and any work."""

from hypothesis import given
from hypothesis import strategies as st

from gpuwise.recommend.engines.power_limit_overprovisioned.search import CapTrial, PowerCapSettings, best_cap, next_cap

boards = st.lists(st.integers(50, 700), min_size=1, max_size=12, unique=True).map(lambda w: sorted(map(float, w))[::-1])
factors = st.floats(0.5, 4.0)


@st.composite
def measured(draw):
    """Every limit of a board, the highest first, with random energy and time."""
    return [CapTrial(limit, draw(factors) * 1e4, draw(factors) * 100) for limit in draw(boards)]


def search(trials, settings):
    by_limit = {trial.limit_w: trial for trial in trials}
    tried = [trials[0]]
    while (limit := next_cap(list(by_limit), tried, settings)) is not None:
        tried.append(by_limit[limit])
    return tried


@given(measured(), st.integers(0, 5))
def test_no_limit_is_tried_twice_and_the_number_of_tries_is_kept(trials, tries):
    tried = search(trials, PowerCapSettings(tries=tries))
    assert len(tried) - 1 <= tries
    assert len({trial.limit_w for trial in tried}) == len(tried)


@given(measured(), st.integers(0, 5), st.floats(0, 0.5))
def test_the_chosen_limit_was_measured_is_fast_enough_and_saves_energy(trials, tries, slowdown):
    settings = PowerCapSettings(tries, slowdown)
    tried = search(trials, settings)
    [kept] = [trial for trial in tried if trial.limit_w == best_cap(tried, settings)]
    assert kept.time_s <= (1 + slowdown) * trials[0].time_s
    assert kept.energy_j <= trials[0].energy_j


@given(measured())
def test_no_limit_below_one_that_was_too_slow_is_tried(trials):
    settings = PowerCapSettings(tries=12)
    tried = search(trials, settings)
    for index, trial in enumerate(tried):
        if trial.time_s > (1 + settings.max_slowdown) * trials[0].time_s:
            assert all(later.limit_w > trial.limit_w for later in tried[index + 1 :])


def test_a_board_with_low_draw_is_tried_at_its_lowest_limit_first():
    highest = CapTrial(250.0, 40.0 * 100, 100.0)
    assert next_cap([100.0, 150.0, 200.0, 250.0], [highest], PowerCapSettings()) == 100.0


def test_a_board_at_its_limit_is_first_tried_at_the_limit_with_five_percent_expected_slowdown():
    highest = CapTrial(300.0, 290.0 * 100, 100.0)  # 290 W / 1.05^2.5 = 257 W
    assert next_cap([200.0, 225.0, 250.0, 275.0, 300.0], [highest], PowerCapSettings()) == 275.0
