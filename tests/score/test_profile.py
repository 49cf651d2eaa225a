from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scored import profile
from tests.series import DAY_STEPS, STEP_S, WORKLOAD, device, usage, window
from tests.usages import same

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, UsageSeries, Window
from gpuwise.score.idle import Runs
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()


def test_without_devices_there_is_no_use_and_no_idleness():
    found = profile(UsageSeries(WORKLOAD, window(10), ()), SETTINGS)
    assert (found.allocated_gpu_s, found.observed_s, found.busy_devices, found.requests) == (0.0, 0, None, None)
    assert found.idle.since_s is None
    assert found.coverage == {}


def test_a_device_without_any_sample_is_not_allocated():
    empty = DeviceSeries("chat-0", "GPU-0", 1.0, "A100-80GB", None, {Signal.SM_ACTIVITY: np.full(10, np.nan)})
    assert profile(usage(empty), SETTINGS).allocated_gpu_s == 0.0


def test_a_gap_is_allocated_but_not_covered():
    one = device(10)
    for column in one.samples.values():
        column[4:6] = np.nan
    found = profile(usage(one), SETTINGS)
    assert found.allocated_gpu_s == 10 * STEP_S
    assert found.coverage[Signal.SM_ACTIVITY] == pytest.approx(0.8)


def test_a_pod_is_allocated_from_its_first_sample_to_its_last():
    one = device(10)
    for column in one.samples.values():
        column[:3] = np.nan
        column[8:] = np.nan
    found = profile(usage(one), SETTINGS)
    assert found.allocated_gpu_s == 5 * STEP_S
    assert found.devices == 0  # it no longer exists at the end


def test_busy_devices_is_the_maximum_of_one_pod_at_once():
    pod = [device(6, uuid=f"GPU-{i}", busy=[i % 2]) for i in range(4)]
    other = device(6, pod="chat-1", uuid="GPU-9", busy=[0])
    assert profile(usage(*pod, other), SETTINGS).busy_devices == 2


def test_i3_a_gap_counts_as_a_busy_device():
    one, two = device(6, busy=[0]), device(6, uuid="GPU-1", busy=[3])
    two.samples[Signal.SM_ACTIVITY][0] = np.nan
    assert profile(usage(one, two), SETTINGS).busy_devices == 2


def test_memory_peaks_are_per_day_and_device():
    one = device(2 * DAY_STEPS, busy=[5])
    assert [peak / 2**30 for peak in profile(usage(one), SETTINGS).daily_peaks] == [60.0, 20.0]


def test_requests_are_rates_times_time():
    found = profile(usage(device(10), requests=np.full(10, 0.5)), SETTINGS)
    assert found.requests == 0.5 * 10 * STEP_S


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 4))
def test_runs_are_all_spans_with_enough_steps(mask, at_least):
    found = Runs.of(np.array(mask), at_least=at_least)
    spans = [(value, [at for at, _ in steps]) for value, steps in groupby(enumerate(mask), key=itemgetter(1))]
    expected = [(steps[0], steps[-1] + 1) for value, steps in spans if value and len(steps) >= at_least]
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 3 * DAY_STEPS - 1), max_size=9))
def test_the_days_sum_to_the_totals(busy):
    found, billed = score_series(usage(device(3 * DAY_STEPS, busy=busy)), SETTINGS)
    assert sum(day.allocated_gpu_s for day in billed.days) == pytest.approx(found.allocated_gpu_s)
    assert sum(day.idle_gpu_s for day in billed.days) == pytest.approx(found.idle.idle_gpu_s)
    assert sum(day.active_gpu_s for day in billed.days) == pytest.approx(found.active_gpu_s)


def test_days_list_node_and_gpu_type():
    here, there = (
        device(DAY_STEPS),
        device(DAY_STEPS, uuid="GPU-1", node="node-1", gpu_type="T4", busy=range(DAY_STEPS)),
    )
    rows = {(day.node, day.gpu_type): day for day in score_series(usage(here, there), SETTINGS).billed.days}
    assert rows.keys() == {("node-0", "A100-80GB"), ("node-1", "T4")}
    assert rows["node-0", "A100-80GB"].idle_gpu_s == DAY_S
    assert (rows["node-1", "T4"].allocated_gpu_s, rows["node-1", "T4"].idle_gpu_s) == (DAY_S, 0.0)


@given(st.lists(st.integers(0, 3 * DAY_STEPS - 1), max_size=9))
def test_without_gaps_every_day_is_sampled(busy):
    found = score_series(usage(device(3 * DAY_STEPS, busy=busy)), SETTINGS).billed
    assert found.sampled_gpu_s == {day.start_s: day.allocated_gpu_s for day in found.days}


def test_hours_without_a_sample_are_not_sampled_and_shorter_gaps_are():
    """Day 0: half an hour is missing. Day 1: no sample. Day 2: samples from 06:00 on, after one step at 00:30."""
    card = device(3 * DAY_STEPS)
    hour = DAY_STEPS // 24
    for column in card.samples.values():
        column[hour : hour + hour // 2] = np.nan
        column[DAY_STEPS : 2 * DAY_STEPS + hour // 2] = np.nan
        column[2 * DAY_STEPS + hour // 2 + 1 : 2 * DAY_STEPS + 6 * hour] = np.nan
    assert score_series(usage(card), SETTINGS).billed.sampled_gpu_s == {0: DAY_S, 2 * DAY_S: 19 * 3_600}


def test_profiles_without_devices_differ_only_by_name_and_window():
    one, other = (replace(WORKLOAD, name=name) for name in ("node-a", "node-b"))
    day, week = (Window(0, days * DAY_S, STEP_S) for days in (1, 7))
    found = {
        (ref.name, span.end_s): profile(UsageSeries(ref, span, ()), SETTINGS)
        for ref in (one, other)
        for span in (day, week)
    }
    assert [(got.workload.name, got.window.end_s) for got in found.values()] == list(found)
    assert same(found["node-a", DAY_S], replace(found["node-b", DAY_S], workload=one))
    assert found["node-a", DAY_S].devices == 0
    assert found["node-a", DAY_S].idle.since_s is None
