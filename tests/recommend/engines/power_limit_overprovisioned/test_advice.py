"""The advice on a power limit from paces, pass by pass, with limits that people set."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.pace import Pace
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.engines.paces import LEAST_S, LEAST_UNITS
from gpuwise.recommend.engines.power_limit_overprovisioned.advice import (
    Step,
    advised_cap,
    limits_of,
)
from gpuwise.recommend.engines.power_limit_overprovisioned.search import MAX_SLOWDOWN, PowerCapSettings

BOARD_W, DRAW_W = 300.0, 280.0


def slowdown(limit_w: float, knee_w: float) -> float:
    """Run time over that without a limit: work of this kind keeps its speed down to a limit and then slows down."""
    return 1.0 + 1.5 * max(0.0, knee_w / limit_w - 1.0)


def pace(limit_w, *, knee_w=200.0, first_s=0, seconds=5 * 3_600.0, devices=1, rate=1.0, **changes) -> Pace:
    draw_w = min(DRAW_W, limit_w)
    given = {
        "gpu_type": "A100-80GB",
        "gpu_fraction": 1.0,
        "devices": devices,
        "limit_w": limit_w,
        "first_s": first_s,
        "last_s": first_s + int(seconds),
        "seconds": seconds,
        "work": rate * devices * seconds / slowdown(limit_w, knee_w),
        "energy_j": draw_w * devices * seconds,
    }
    return Pace(**(given | changes))


def advised(*paces):
    return advised_cap(
        paces, gpu_type="A100-80GB", limits_w=limits_of(BOARD_W), draw_w=DRAW_W, settings=PowerCapSettings()
    )


def advised_trials(paces):
    return advised(*paces).trials


def test_without_a_limit_in_force_it_is_the_first_guess():
    found = advised()
    assert (found.step, found.limit_w) == (Step.GUESS, 255.0)
    assert advised(replace(pace(300.0), limit_w=None)) == found
    assert advised(pace(300.0, gpu_fraction=1 / 7), pace(300.0, gpu_type="L40S")) == found


def test_a_measured_board_maximum_gives_the_limit_to_measure_next():
    found = advised(pace(300.0))
    assert (found.step, found.limit_w, found.in_force_w) == (Step.TRY, 255.0, 300.0)


def test_a_limit_that_is_too_new_is_waited_for():
    found = advised(pace(300.0), pace(255.0, first_s=20_000, seconds=3_600.0))
    assert (found.step, found.limit_w) == (Step.WAIT, 255.0)
    assert advised(pace(300.0, seconds=3_600.0)).step is Step.WAIT


def test_a_limit_that_is_too_slow_is_taken_back_and_the_search_goes_on_from_there():
    paces = [pace(300.0, knee_w=260.0), pace(230.0, knee_w=260.0, first_s=20_000)]
    found = advised(*paces)
    assert (found.step, found.limit_w) == (Step.TAKE_BACK, 300.0)
    paces.append(pace(300.0, knee_w=260.0, first_s=40_000))
    found = advised(*paces)
    assert found.step is Step.TRY
    assert 230.0 < found.limit_w < 300.0


def test_a_new_limit_below_one_that_was_too_slow_is_taken_back_unmeasured():
    paces = [pace(300.0, knee_w=260.0), pace(230.0, knee_w=260.0, first_s=20_000)]
    found = advised(*paces, pace(200.0, first_s=40_000, seconds=600.0))
    assert (found.step, found.limit_w, found.in_force_w) == (Step.TAKE_BACK, 300.0, 200.0)


@given(st.floats(125.0, 310.0), st.floats(0.01, 100.0))
def test_the_search_ends_with_a_limit_that_is_fast_enough(knee_w, rate):
    """Each advice is followed; every pass measures five hours."""
    paces, limit_w, changes = [], BOARD_W, 0
    slowest = (1 + MAX_SLOWDOWN) * slowdown(BOARD_W, knee_w) + 1e-9
    for number in range(20):
        paces.append(pace(limit_w, knee_w=knee_w, first_s=20_000 * number, rate=max(rate, 0.1)))
        found = advised(*paces)
        too_slow = [one.limit_w for one in paces if slowdown(one.limit_w, knee_w) > slowest]
        assert found.limit_w > max(too_slow, default=0.0)
        if found.step is Step.KEEP and found.limit_w == limit_w:
            break
        limit_w, changes = found.limit_w, changes + 1
    assert found.step is Step.KEEP
    assert slowdown(limit_w, knee_w) <= slowest
    assert len({one.limit_w for one in paces}) <= 1 + PowerCapSettings().tries
    assert changes <= 2 * PowerCapSettings().tries


@pytest.mark.parametrize(
    "changes", [{"seconds": LEAST_S - 300}, {"work": LEAST_UNITS - 1}, {"devices": 2}], ids=["time", "work", "devices"]
)
def test_a_pace_of_few_samples_or_of_other_devices_is_no_measurement(changes):
    few = pace(255.0, first_s=20_000, **changes)
    if "devices" in changes:
        few = pace(255.0, first_s=20_000, seconds=LEAST_S, devices=2)
    assert [one.limit_w for one in advised_trials([pace(300.0), few])] == [300.0]


def test_the_newest_pace_under_a_limit_counts():
    old = pace(300.0, rate=9.0)
    (found,) = advised_trials([old, pace(300.0, first_s=50_000)])
    assert found.time_s == 1.0


def test_the_number_of_devices_is_that_of_the_last_day():
    whole = pace(300.0, devices=8, seconds=10 * DAY_S)
    gap = pace(300.0, devices=7, first_s=10 * DAY_S - 300, seconds=600.0)
    assert advised_trials([whole, gap])[0].time_s == pytest.approx(1 / 8)
    fewer = pace(300.0, devices=4, first_s=10 * DAY_S, seconds=3.0 * DAY_S)
    assert advised_trials([whole, fewer])[0].time_s == pytest.approx(1 / 4)


def test_unknown_energy_counts_as_that_of_the_limit():
    (found,) = advised_trials([pace(300.0, energy_j=None, devices=2)])
    assert found.energy_j / found.time_s == pytest.approx(300.0 * 2 / 2 * 1.0)


def test_an_unmeasured_too_slow_limit_is_not_found_by_missing_energy():
    """A limit that was too slow stays known without its energy."""
    paces = [pace(300.0, knee_w=260.0), pace(230.0, knee_w=260.0, first_s=20_000, energy_j=None)]
    assert advised(*paces, pace(300.0, knee_w=260.0, first_s=40_000)).limit_w > 230.0


def test_the_units_of_work_do_not_matter():
    few = [pace(300.0, rate=0.1), pace(255.0, rate=0.1, first_s=20_000)]
    many = [pace(300.0, rate=1e6), pace(255.0, rate=1e6, first_s=20_000)]
    one, other = advised(*few), advised(*many)
    assert (one.step, one.limit_w) == (other.step, other.limit_w)
    assert math.isclose(one.trials[1].time_s / one.trials[0].time_s, other.trials[1].time_s / other.trials[0].time_s)


def test_work_that_became_faster_is_measured_again_under_the_highest_limit():
    """A new version that is 30 % faster: against the old speed each lower limit would look fast enough."""
    old, new = pace(300.0), pace(255.0, knee_w=260.0, rate=1.3, first_s=20_000)
    found = advised(old, new)
    assert (found.step, found.limit_w) == (Step.AGAIN, 300.0)
    young = pace(300.0, rate=1.3, first_s=40_000, seconds=3_600.0)
    assert advised(old, new, young).step is Step.WAIT
    again = pace(300.0, rate=1.3, first_s=40_000)
    assert advised(old, new, again).step is Step.TRY


def test_an_earlier_speed_under_a_lower_limit_does_not_make_the_reference_outdated():
    found = advised(pace(255.0, rate=1.3), pace(300.0, first_s=20_000))
    assert found.step is Step.TRY


def test_work_that_is_always_faster_under_a_lower_limit_did_not_change():
    paces = [pace(300.0), pace(255.0, rate=1.3, first_s=20_000), pace(300.0, first_s=40_000)]
    assert advised(*paces, pace(255.0, rate=1.3, first_s=60_000)).step is Step.TRY


def test_a_limit_that_was_too_slow_stays_so_when_the_work_became_slower():
    """With more data it is 20 % slower; 230 W was 15 % slower before that, and is not faster than 300 W after it."""
    paces = [pace(300.0), pace(230.0, rate=0.85, first_s=20_000), pace(265.0, first_s=40_000)]
    assert advised(*paces).limit_w > 230.0
    paces.append(pace(265.0, rate=0.8, first_s=60_000))
    found = advised(*paces)
    assert (found.step, found.limit_w) == (Step.TAKE_BACK, 300.0)
    found = advised(*paces, pace(300.0, rate=0.8, first_s=80_000))
    assert found.limit_w > 230.0
    assert [one.time_s / found.reference.time_s for one in found.trials] == pytest.approx([1.0, 1.0, 1 / 0.85])


def test_without_a_measurement_of_the_maximum_no_lower_limit_is_tried():
    """The look-back has forgotten the maximum, over which 255 W is 5 % slower: 5 % more would be allowed each month."""
    found = advised(pace(255.0, rate=0.95))
    assert (found.step, found.limit_w) == (Step.KEEP, 255.0)
