from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scored import profile, spans_of
from tests.series import STEP_S, WORKLOAD, device
from tests.usages import HOURS, PER_HOUR, START_S, part, same, usages

from gpuwise.model.hours import HOUR_S
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.score.hours import extended, hours_of, join, select_days
from gpuwise.score.profile import score_hours, score_series
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()


@given(usages(), st.lists(st.integers(1, HOURS - 1), max_size=4, unique=True))
def test_hours_of_the_parts_join_to_the_hours_of_the_whole(series, cuts):
    bounds = [0, *sorted(cuts), HOURS]
    parts = [hours_of(part(series, a * PER_HOUR, b * PER_HOUR), SETTINGS) for a, b in pairwise(bounds)]
    joined = parts[0]
    for more in parts[1:]:
        joined = join(joined, more)
    assert same(joined, hours_of(series, SETTINGS))
    assert same(score_hours(joined, series.window, SETTINGS), score_series(series, SETTINGS))


@given(usages(), st.integers(1, HOURS - 2), st.integers(1, HOURS - 1))
def test_joining_is_associative(series, first, second):
    a, b = sorted({first, max(second, first + 1)})
    one, two, three = (
        hours_of(part(series, x * PER_HOUR, y * PER_HOUR), SETTINGS) for x, y in [(0, a), (a, b), (b, HOURS)]
    )
    assert same(join(join(one, two), three), join(one, join(two, three)))


@given(usages(), st.integers(0, HOURS - 3), st.integers(1, 23), st.integers(1, 23))
def test_a_day_is_extended_by_a_series_that_is_counted_once(series, first, more, rest):
    """As if the parts before and after an hour had been counted one by one."""
    end_of_day = first + 24 - (START_S // HOUR_S + first) % 24
    at, end = first + 1, min(end_of_day, HOURS, first + 1 + more + rest)
    before = at + max(1, min(more, end - at))
    if not at < before <= end:
        return
    known, new, later = (part(series, a * PER_HOUR, b * PER_HOUR) for a, b in ((first, at), (at, before), (at, end)))
    stored, every = extended(hours_of(known, SETTINGS), later, SETTINGS, before_hour=START_S // HOUR_S + before)
    assert same(stored, join(hours_of(known, SETTINGS), hours_of(new, SETTINGS)))
    assert same(every, join(hours_of(known, SETTINGS), hours_of(later, SETTINGS)))


def test_a_series_of_another_day_cannot_extend_one():
    steps = 30 * PER_HOUR
    series = UsageSeries(WORKLOAD, Window(0, steps * STEP_S, STEP_S), (device(steps),))
    known = hours_of(part(series, 0, PER_HOUR), SETTINGS)
    with pytest.raises(ValueError, match="are not one day"):
        extended(known, part(series, PER_HOUR, steps), SETTINGS, before_hour=20)


@given(usages())
def test_selected_days_join_to_the_whole(series):
    whole = hours_of(series, SETTINGS)
    midnights = range(whole.first_hour // 24 * 24, whole.end_hour + 24, 24)
    days = [select_days(whole, midnight, midnight + 24) for midnight in midnights]
    joined = None
    for day in days:
        joined = day if joined is None else joined if day is None else join(joined, day)
    assert same(joined, whole)


@given(usages())
def test_hours_outside_the_window_do_not_count(series):
    """Dropping the first day and scoring the rest equals scoring a window that starts after it."""
    whole = hours_of(series, SETTINGS)
    midnight = (whole.first_hour // 24 + 1) * 24
    rest = part(series, (midnight - whole.first_hour) * PER_HOUR, HOURS * PER_HOUR)
    kept = select_days(whole, midnight, midnight + 48)
    assert same(score_hours(kept, rest.window, SETTINGS), score_series(rest, SETTINGS))


@pytest.mark.parametrize("offset", [1, 5, 11])
def test_a_window_may_start_and_end_within_an_hour(offset):
    steps = 3 * PER_HOUR + 7
    window = Window(START_S + offset * STEP_S, START_S + (offset + steps) * STEP_S, STEP_S)
    one = device(steps, busy=[0, steps - 1])
    found = profile(UsageSeries(WORKLOAD, window, (one,)), SETTINGS)
    assert found.allocated_gpu_s == steps * STEP_S
    assert spans_of(found.idle) == [(window.start_s + STEP_S, window.end_s - STEP_S)]


def test_float32_columns_score_as_float64_ones_do():
    rng = np.random.default_rng(5)
    column = rng.beta(2, 3, 5 * PER_HOUR).astype(np.float32)
    wide, narrow = (
        DeviceSeries("chat-0", "GPU-0", 1.0, "A100-80GB", "node-0", {Signal.SM_ACTIVITY: column.astype(kind)})
        for kind in (np.float64, np.float32)
    )
    window = Window(START_S, START_S + 5 * HOUR_S, STEP_S)
    assert same(*(profile(UsageSeries(WORKLOAD, window, (one,)), SETTINGS) for one in (wide, narrow)))


@pytest.mark.parametrize("window", [Window(0, 7 * 420, 420), Window(150, 150 + 300, 300)])
def test_steps_that_do_not_align_with_hours_are_an_error(window):
    with pytest.raises(ValueError, match="do not align with whole hours"):
        hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS)


def test_parts_that_are_not_adjacent_do_not_join():
    window = Window(START_S, START_S + HOUR_S, STEP_S)
    one = hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS)
    with pytest.raises(ValueError, match="are not adjacent"):
        join(one, one)


def test_a_part_of_a_day_cannot_be_selected():
    window = Window(START_S, START_S + HOUR_S, STEP_S)
    with pytest.raises(ValueError, match="not whole days"):
        select_days(hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS), START_S // HOUR_S, START_S // HOUR_S + 24)
