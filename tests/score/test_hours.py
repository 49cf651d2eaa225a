from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.series import WORKLOAD, device

from gpuwise.model.hours import HOUR_S
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.score.hours import cut, hours_of, join
from gpuwise.score.profile import judge, profile
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
STEP_S, PER_HOUR, HOURS = 300, 12, 60
START_S = 1_700_000 * HOUR_S  # 04:00 UTC, so that the days do not begin with the window


def part(series: UsageSeries, start: int, end: int) -> UsageSeries:
    """The steps [start, end) of a series; what has no sample there is not there, as a source would have it."""
    window = Window(series.window.start_s + start * STEP_S, series.window.start_s + end * STEP_S, STEP_S)
    devices = []
    for one in series.devices:
        samples = {signal: column[start:end] for signal, column in one.samples.items()}
        samples = {signal: column for signal, column in samples.items() if not np.isnan(column).all()}
        devices.append(replace(one, samples=samples))
    requests = series.requests_per_second
    requests = None if requests is None or np.isnan(requests[start:end]).all() else requests[start:end]
    return UsageSeries(series.workload, window, tuple(devices), requests)


@st.composite
def usages(draw) -> UsageSeries:
    """Pods that come and go, sensors that fail for a while, requests that are there or not."""
    steps = HOURS * PER_HOUR
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    devices = []
    for index in range(draw(st.integers(0, 3))):
        busy = np.flatnonzero(np.repeat(rng.random(steps // 20) < draw(st.sampled_from([0.0, 0.3, 1.0])), 20))
        one = device(steps, busy=busy, pod=f"chat-{index % 2}", uuid=f"GPU-{index}", node=f"node-{index % 2}")
        first, last = sorted(rng.integers(0, steps, 2))
        for column in one.samples.values():
            column[:first] = np.nan
            column[last:] = np.nan
            column[rng.random(steps) < draw(st.sampled_from([0.0, 0.02]))] = np.nan
        lost = draw(st.sampled_from([None, *one.samples]))
        if lost is not None:
            a, b = sorted(rng.integers(0, steps, 2))
            one.samples[lost][a:b] = np.nan
        devices.append(one)
    requests = None
    if draw(st.booleans()):
        requests = np.where(rng.random(steps) < 0.01, 2.5, 0.0)
        requests[: rng.integers(0, steps)] = np.nan
    return UsageSeries(WORKLOAD, Window(START_S, START_S + steps * STEP_S, STEP_S), tuple(devices), requests)


def same(one, other) -> bool:
    """Equal to the last bit, whatever arrays are inside."""
    return repr_of(one) == repr_of(other)


def repr_of(value):
    if isinstance(value, np.ndarray):
        return (value.dtype, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: repr_of(item) for key, item in value.items()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(repr_of(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple(repr_of(getattr(value, name)) for name in value.__dataclass_fields__)
    return repr(value)


@given(usages(), st.lists(st.integers(1, HOURS - 1), max_size=4, unique=True))
def test_hours_of_the_parts_join_to_the_hours_of_the_whole(series, cuts):
    bounds = [0, *sorted(cuts), HOURS]
    parts = [hours_of(part(series, a * PER_HOUR, b * PER_HOUR), SETTINGS) for a, b in pairwise(bounds)]
    joined = parts[0]
    for more in parts[1:]:
        joined = join(joined, more)
    assert same(joined, hours_of(series, SETTINGS))
    assert same(judge(joined, series.window, SETTINGS), profile(series, SETTINGS))


@given(usages(), st.integers(1, HOURS - 2), st.integers(1, HOURS - 1))
def test_joining_is_associative(series, first, second):
    a, b = sorted({first, max(second, first + 1)})
    one, two, three = (
        hours_of(part(series, x * PER_HOUR, y * PER_HOUR), SETTINGS) for x, y in [(0, a), (a, b), (b, HOURS)]
    )
    assert same(join(join(one, two), three), join(one, join(two, three)))


@given(usages())
def test_days_that_were_cut_join_to_the_whole(series):
    whole = hours_of(series, SETTINGS)
    midnights = range(whole.first_hour // 24 * 24, whole.end_hour + 24, 24)
    days = [cut(whole, midnight, midnight + 24) for midnight in midnights]
    joined = None
    for day in days:
        joined = day if joined is None else joined if day is None else join(joined, day)
    assert same(joined, whole)


@given(usages())
def test_what_has_left_the_window_leaves_the_profile(series):
    """Dropping the first day and scoring the rest is scoring a window that begins after it."""
    whole = hours_of(series, SETTINGS)
    midnight = (whole.first_hour // 24 + 1) * 24
    rest = part(series, (midnight - whole.first_hour) * PER_HOUR, HOURS * PER_HOUR)
    kept = cut(whole, midnight, midnight + 48)
    assert same(judge(kept, rest.window, SETTINGS), profile(rest, SETTINGS))


@pytest.mark.parametrize("offset", [1, 5, 11])
def test_a_window_may_begin_and_end_within_an_hour(offset):
    steps = 3 * PER_HOUR + 7
    window = Window(START_S + offset * STEP_S, START_S + (offset + steps) * STEP_S, STEP_S)
    one = device(steps, busy=[0, steps - 1])
    found = profile(UsageSeries(WORKLOAD, window, (one,)), SETTINGS)
    assert found.allocated_gpu_s == steps * STEP_S
    assert [(i.start_s, i.end_s) for i in found.idle.intervals] == [(window.start_s + STEP_S, window.end_s - STEP_S)]


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
def test_steps_that_do_not_fall_on_hours_are_refused(window):
    with pytest.raises(ValueError, match="do not fall on whole hours"):
        hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS)


def test_parts_that_do_not_meet_do_not_join():
    window = Window(START_S, START_S + HOUR_S, STEP_S)
    one = hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS)
    with pytest.raises(ValueError, match="do not join"):
        join(one, one)


def test_a_day_is_not_cut_through():
    window = Window(START_S, START_S + HOUR_S, STEP_S)
    with pytest.raises(ValueError, match="no whole days"):
        cut(hours_of(UsageSeries(WORKLOAD, window, ()), SETTINGS), START_S // HOUR_S, START_S // HOUR_S + 24)
