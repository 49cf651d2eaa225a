"""One wait for a week: its worst case, what it follows from, and where it is safe."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.model.gaps import RequestGaps
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.engines.idle_between_uses.weekly import (
    WEEK_S,
    past_weeks,
    replayed,
    spent,
    weekly_wait,
    worst_ratio,
)
from gpuwise.research.idle_between_uses.guard import gap_cost

MONDAY_S = 4 * DAY_S + 100 * WEEK_S


def every(gap_s: int, *, weeks: int = 3, busy_s: int = 60, step_s: int = 30, start_s: int = MONDAY_S) -> RequestGaps:
    """An endpoint with requests for some time, then none for `gap_s`, again and again."""
    at_s = np.arange(0, weeks * WEEK_S, step_s)
    silent = at_s % (busy_s + gap_s) >= busy_s
    return RequestGaps.of(silent, np.ones(silent.size, dtype=bool), start_s=start_s, step_s=step_s)


lengths = st.floats(1.0, 1e6)


@given(st.lists(lengths, min_size=1, max_size=30), st.floats(0.0, 1e5), st.floats(1.0, 1e5), lengths)
def test_no_gaps_cost_more_than_the_worst_case(gap_s, wait_s, cost_s, least_s):
    gap_s = [max(one, least_s) for one in gap_s]
    cost = math.fsum(gap_cost(one, wait_s, cost_s) for one in gap_s)
    optimum = math.fsum(min(one, cost_s) for one in gap_s)
    assert cost <= worst_ratio(wait_s, cost_s, least_s) * optimum * (1 + 1e-9)


@pytest.mark.parametrize(("wait_s", "cost_s"), [(60, 600), (600, 600), (2400, 600), (0, 600)])
def test_the_worst_case_is_reached_by_gaps_slightly_longer_than_the_wait(wait_s, cost_s):
    gap_s = max(wait_s, 30) + 1e-6
    ratio = gap_cost(gap_s, wait_s, cost_s) / min(gap_s, cost_s)
    assert ratio == pytest.approx(worst_ratio(wait_s, cost_s, 30), rel=1e-6)


def test_break_even_costs_at_most_twice_the_optimum():
    assert worst_ratio(600, 600, 30) == 2.0


def test_gaps_shorter_than_a_cold_start_are_waited_for_and_long_ones_are_not():
    assert weekly_wait(every(240), 600.0) >= 270
    assert weekly_wait(every(7200, busy_s=30), 600.0) == 0


def test_bursts_whose_gaps_a_step_hides_are_not_cut_by_a_wait_of_zero():
    """Ten neighbouring steps with requests: between their requests are gaps of less than a minute."""
    assert 30 <= weekly_wait(every(7200, busy_s=300), 600.0) <= 90


@pytest.mark.parametrize("cost_s", [60.0, 600.0, 3600.0])
def test_with_steps_longer_than_a_minute_the_wait_is_at_least_a_step_or_break_even(cost_s):
    assert weekly_wait(every(7200, busy_s=300, step_s=300), cost_s) >= min(300, cost_s)


def test_without_gaps_the_wait_is_break_even():
    nothing = RequestGaps.of(np.zeros(0, bool), np.zeros(0, bool), start_s=0, step_s=30)
    assert weekly_wait(nothing, 600.0) == 600


@pytest.mark.parametrize(("short", "wait_s"), [(100, 600), (10, 347)])
def test_a_small_gain_in_the_past_does_not_leave_break_even(short, wait_s):
    """Gaps of 300 s, and ten of an hour: a wait of 347 s would have cost 4 % or 14 % less than one of 600 s."""
    lasted_s = np.array([270] * short * 2 + [3570] * 10)
    since_s = np.cumsum(np.append(0, lasted_s[:-1] + 60))
    end_s = int(since_s[-1] + lasted_s[-1])
    pairs = np.zeros(-(-end_s // DAY_S), dtype=np.int64)
    gaps = RequestGaps(30, 0, end_s, since_s, lasted_s, pairs, 0)
    assert weekly_wait(gaps, 600.0) == wait_s


@pytest.mark.parametrize("cost_s", [0.0, -1.0, math.inf, math.nan])
def test_a_cold_start_costs_a_positive_number_of_seconds(cost_s):
    with pytest.raises(InputError, match="cost of a cold start"):
        weekly_wait(every(600), cost_s)


def test_what_gaps_cost_is_what_a_wait_pays_for_them():
    gaps = every(3600, weeks=1)
    cost = spent(gaps, 900.0, 600.0)
    count = gaps.since_s.size
    # A neighbouring pair of steps counts as half a gap of 30 s on average.
    assert cost.cost_s == pytest.approx(count * 1500 + int(gaps.pairs.sum()) * 15, rel=0.005)  # the last gap is cut
    assert cost.optimum_s == pytest.approx(count * 600 + int(gaps.pairs.sum()) * 15, rel=0.005)
    assert cost.ratio == pytest.approx(2.5, rel=0.02)


def test_a_week_is_replayed_with_the_wait_from_the_weeks_before_it():
    first, second = every(240, weeks=1), every(7200, weeks=1, busy_s=30, start_s=MONDAY_S + WEEK_S)
    both = RequestGaps(
        step_s=30,
        start_s=first.start_s,
        end_s=second.end_s,
        since_s=np.concatenate([first.since_s, second.since_s]),
        lasted_s=np.concatenate([first.lasted_s, second.lasted_s]),
        pairs=np.concatenate([first.pairs, second.pairs]),
        unknown_s=0,
    )
    wait_s = weekly_wait(first, 600.0)
    assert replayed(both, 600.0) == spent(second, wait_s, 600.0)
    assert wait_s > weekly_wait(second, 600.0)
    assert replayed(first, 600.0) is None


def test_the_wait_is_revised_on_mondays():
    """Each day, a look-back of four weeks moves by a day; the whole weeks in it stay the same until Monday."""
    gaps = every(5400, weeks=6)
    seen = []
    for day in range(35, 42):
        end_s = MONDAY_S + day * DAY_S
        past = past_weeks(gaps.between(end_s - 28 * DAY_S, end_s), end_s - 28 * DAY_S)
        seen.append((past.start_s, past.end_s, past.since_s.tolist()))
    assert all(one == seen[0] for one in seen)
    assert seen[0][:2] == (MONDAY_S + 14 * DAY_S, MONDAY_S + 35 * DAY_S)


def test_in_its_first_days_it_is_revised_at_midnight():
    gaps = every(5400, weeks=1)
    past = past_weeks(gaps.between(MONDAY_S, MONDAY_S + 3 * DAY_S), MONDAY_S - 25 * DAY_S)
    assert (past.start_s, past.end_s) == (MONDAY_S, MONDAY_S + 3 * DAY_S)


def test_of_an_endpoint_that_is_younger_than_the_look_back_everything_until_monday_counts():
    gaps = every(5400, weeks=3, start_s=MONDAY_S + 3 * DAY_S)
    past = past_weeks(gaps.between(MONDAY_S, MONDAY_S + 16 * DAY_S), MONDAY_S - 12 * DAY_S)
    assert (past.start_s, past.end_s) == (MONDAY_S + 3 * DAY_S, MONDAY_S + 14 * DAY_S)
