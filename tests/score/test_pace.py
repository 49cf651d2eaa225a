"""Paces: only steps in which the work is known and every device is at work, by limit, without mixed steps."""

from dataclasses import replace

import numpy as np
import pytest
from tests.scored import profile
from tests.series import BUSY_VALUES, IDLE_VALUES, STEP_S, WORKLOAD, device, window

from gpuwise.model.pace import Pace
from gpuwise.model.signal import Signal
from gpuwise.model.usage import UsageSeries
from gpuwise.score.settings import ScoreSettings

HOUR = 3_600 // STEP_S
STEPS = 6 * HOUR
NAN = float("nan")


def limited(limits, *, busy=range(STEPS), **changes):
    one = device(STEPS, busy=busy, **changes)
    return replace(one, samples={**one.samples, Signal.POWER_LIMIT: np.broadcast_to(limits, (STEPS,)).astype(float)})


def scored(*devices, rates=2.0):
    work = np.array(np.broadcast_to(rates, (STEPS,)), dtype=float)
    series = UsageSeries(WORKLOAD, window(STEPS), devices, work_per_second=work, work_metric="steps_total")
    return profile(series, ScoreSettings())


def test_one_pace_of_steady_work():
    found = scored(limited(300.0))
    energy_j = BUSY_VALUES[Signal.POWER] * STEPS * STEP_S
    assert found.paces == (
        Pace("A100-80GB", 1.0, 1, 300.0, 0, STEPS * STEP_S, STEPS * STEP_S, 2.0 * STEPS * STEP_S, energy_j),
    )
    assert found.paces[0].work_per_s == 2.0
    assert found.work == 2.0 * STEPS * STEP_S


def test_without_declared_work_there_is_none():
    one = limited(300.0)
    found = profile(UsageSeries(WORKLOAD, window(STEPS), (one,)), ScoreSettings())
    assert (found.work, found.paces) == (None, ())


def test_work_without_samples_is_unknown():
    found = scored(limited(300.0), rates=NAN)
    assert (found.work, found.paces) == (None, ())


def test_work_without_a_device_is_counted_and_has_no_pace():
    found = scored()
    assert (found.work, found.paces) == (2.0 * STEPS * STEP_S, ())


def test_the_limit_is_no_evidence_of_use_and_of_no_allocation():
    """A board reports its limit also before its pod started, and while nothing runs."""
    idle = device(STEPS)
    column = np.full(STEPS, 300.0)
    for part in ({}, {Signal.POWER_LIMIT: column}):
        gone = {signal: np.where(np.arange(STEPS) < HOUR, NAN, values) for signal, values in idle.samples.items()}
        found = profile(UsageSeries(WORKLOAD, window(STEPS), (replace(idle, samples=gone | part),)), ScoreSettings())
        assert found.allocated_gpu_s == (STEPS - HOUR) * STEP_S
        assert found.idle.since_s == HOUR * STEP_S
        assert Signal.POWER_LIMIT not in found.coverage


def test_each_limit_has_its_pace_and_the_steps_of_the_change_have_none():
    limits = np.where(np.arange(STEPS) < STEPS // 2 + 4, 300.0, 250.0)
    rates = np.where(limits > 250.0, 2.0, 1.9)
    rates[STEPS // 2 + 3 : STEPS // 2 + 5] = 77.0  # on either side of the change
    high, low = scored(limited(limits), rates=rates).paces
    assert (high.limit_w, high.work_per_s) == (300.0, 2.0)
    assert (low.limit_w, low.work_per_s) == (250.0, pytest.approx(1.9))
    assert high.seconds + low.seconds == (STEPS - 2) * STEP_S
    assert low.first_s == (STEPS // 2 + 5) * STEP_S


def test_a_limit_that_is_set_again_is_another_pace():
    limits = np.repeat([300.0, 250.0, 300.0], 2 * HOUR)
    rates = np.repeat([2.0, 1.9, 2.1], 2 * HOUR)
    found = scored(limited(limits), rates=rates).paces
    assert [(one.limit_w, round(one.work_per_s, 9)) for one in found] == [(300.0, 2.0), (250.0, 1.9), (300.0, 2.1)]


def test_a_gap_in_the_limit_does_not_end_a_pace():
    limits = np.repeat([300.0, NAN, 300.0], 2 * HOUR)
    unknown, known = sorted(scored(limited(limits)).paces, key=lambda one: one.limit_w or 0.0)
    assert (unknown.limit_w, unknown.seconds) == (None, 2 * HOUR * STEP_S)
    assert (known.limit_w, known.seconds) == (300.0, 4 * HOUR * STEP_S)


def test_steps_count_only_with_known_work_and_all_devices_at_work():
    rates = np.full(STEPS, 2.0)
    rates[:5] = NAN
    one, two = limited(300.0), limited(300.0, uuid="GPU-1", busy=range(10, STEPS))
    (found,) = scored(one, two, rates=rates).paces
    assert (found.devices, found.seconds, found.first_s) == (2, (STEPS - 10) * STEP_S, 10 * STEP_S)
    assert found.energy_j == 2 * BUSY_VALUES[Signal.POWER] * found.seconds


def test_devices_of_two_limits_or_types_have_no_pace():
    assert scored(limited(300.0), limited(250.0, uuid="GPU-1")).paces == ()
    assert scored(limited(300.0), limited(300.0, uuid="GPU-1", gpu_type="L40S")).paces == ()
    assert scored(limited(300.0, gpu_type=None)).paces == ()


def test_a_device_without_a_limit_makes_the_limit_unknown():
    (found,) = scored(limited(300.0), device(STEPS, busy=range(STEPS), uuid="GPU-1")).paces
    assert found.limit_w is None


def test_a_sample_that_is_missing_for_one_device_takes_the_step_away():
    one = limited(300.0, uuid="GPU-1")
    for column in one.samples.values():
        column.setflags(write=True)
    gone = {signal: np.where(np.arange(STEPS) == 3, NAN, column) for signal, column in one.samples.items()}
    (found,) = scored(limited(300.0), replace(one, samples=gone)).paces
    assert (found.devices, found.seconds) == (2, (STEPS - 1) * STEP_S)


@pytest.mark.parametrize(("missing", "known"), [(6, True), (8, False)])
def test_energy_needs_power_in_nine_of_ten_steps(missing, known):
    one = limited(300.0)
    power = one.samples[Signal.POWER].copy()
    power[:missing] = NAN
    (found,) = scored(replace(one, samples={**one.samples, Signal.POWER: power})).paces
    assert found.energy_j == (BUSY_VALUES[Signal.POWER] * STEPS * STEP_S if known else None)


def test_work_that_stands_still_is_slow_and_not_missing():
    (found,) = scored(limited(300.0), rates=np.repeat([2.0, 0.0], STEPS // 2)).paces
    assert found.work_per_s == 1.0


def test_an_idle_device_has_no_pace():
    assert IDLE_VALUES[Signal.SM_ACTIVITY] == 0.0
    assert scored(limited(300.0, busy=())).paces == ()


def test_energy_is_that_of_the_mean_power_where_it_is_known():
    """The power of a step is its highest sample."""
    one = limited(300.0)
    mean = np.full(STEPS, 200.0)
    (found,) = scored(replace(one, samples={**one.samples, Signal.MEAN_POWER: mean})).paces
    assert found.energy_j == 200.0 * STEPS * STEP_S
