"""The search for a power limit: bounds for any board and any work."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.recommend.engines.power_limit_overprovisioned.search import (
    CapTrial,
    PowerCapSettings,
    best_cap,
    next_cap,
)
from gpuwise.recommend.engines.power_limit_overprovisioned.slowdown import wanted_limit

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


def test_the_first_limit_is_nine_tenths_of_the_draw_on_a_board_with_many_limits():
    highest = CapTrial(300.0, 270.0 * 100, 100.0)
    assert next_cap([100.0 + step for step in range(201)], [highest], PowerCapSettings()) == 243.0


@given(st.floats(20.0, 700.0), st.floats(20.0, 700.0))
def test_a_higher_draw_never_gets_a_lower_first_limit(one, other):
    low, high = sorted((one, other))
    limits = [100.0 + 5 * step for step in range(61)]
    first = [next_cap(limits, [CapTrial(400.0, watts, 1.0)], PowerCapSettings()) for watts in (low, high)]
    assert first[0] <= first[1]


def board(draw_w, curve, *, step_w):
    """A board of 100 W to 300 W, and work that a limit below its draw slows down along a curve."""
    limits = [300.0 - step_w * step for step in range(int(200 / step_w) + 1)]
    times = [1 + 0.6 * max(0.0, draw_w / limit - 1) ** curve for limit in limits]
    return [CapTrial(limit, min(limit, draw_w) * time, time) for limit, time in zip(limits, times, strict=True)]


@pytest.mark.parametrize("step_w", [5.0, 2.0, 1.0, 0.5])
@pytest.mark.parametrize("draw_w", [140.0, 180.0, 220.0, 260.0, 290.0])
@pytest.mark.parametrize("curve", [1.0, 1.5, 2.0])
def test_three_tries_find_most_of_the_saving_in_fine_steps(step_w, draw_w, curve):
    trials = board(draw_w, curve, step_w=step_w)
    settings = PowerCapSettings()
    allowed = min(one.energy_j for one in trials if one.time_s <= 1.05)
    tried = search(trials, settings)
    kept = next(one for one in tried if one.limit_w == best_cap(tried, settings))
    assert draw_w - kept.energy_j >= 0.85 * (draw_w - allowed)


@given(measured(), st.integers(1, 4))
def test_where_halving_finds_the_lowest_allowed_limit_the_search_finds_it_too(trials, tries):
    """With n tries, 2^n - 1 limits below the highest can be told apart, if time never rises with the limit."""
    trials = trials[: 2**tries]
    ordered = sorted(one.time_s for one in trials)
    trials = [CapTrial(one.limit_w, one.energy_j, time_s) for one, time_s in zip(trials, ordered, strict=True)]
    settings = PowerCapSettings(tries=tries)
    allowed = [one.limit_w for one in trials if one.time_s <= (1 + settings.max_slowdown) * trials[0].time_s]
    assert min(allowed) in {one.limit_w for one in search(trials, settings)}


def test_measured_slowdowns_are_interpolated():
    """The line through the roots of two slowdowns: 1.2 % at 240 W and 12 % at 200 W give 4.5 % at 223 W."""
    assert wanted_limit(200.0, [(240.0, 1.012), (200.0, 1.12)], 0.045) == pytest.approx(223.2, abs=0.1)


def test_work_without_a_slowdown_moves_the_start_down():
    assert wanted_limit(240.0, [(200.0, 1.0)], 0.045) == pytest.approx(200.0 * 0.75, rel=0.01)


def test_two_slowdowns_that_are_nearly_equal_do_not_overflow():
    measured = [(355.0, 1.0500308493517687), (195.0, 1.0500309774048733), (300.0, 1.011)]
    assert wanted_limit(380.0, measured, 0.045) == math.inf
