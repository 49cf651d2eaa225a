from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scored import profile, spans_of
from tests.series import BUSY_VALUES, STEP_S, device, usage

from gpuwise.model.gpu import named
from gpuwise.model.profile import Verdict
from gpuwise.model.signal import Signal
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
STEPS = 60


def idle_of(*devices, requests=None):
    return profile(usage(*devices, requests=requests), SETTINGS).idle


def verdicts(evidence):
    return {v.signal: v.verdict for v in evidence.verdicts}


def without(one, *signals):
    return replace(one, samples={s: c for s, c in one.samples.items() if s not in signals})


def test_an_idle_device_is_idle_since_the_start_and_independent_sensors_agree():
    found = idle_of(device(STEPS))
    assert found.since_s == 0
    assert found.idle_gpu_s == STEPS * STEP_S
    assert found.agreeing_sensors == 3  # profiling, driver, power


def test_idle_counts_from_the_last_busy_step():
    found = idle_of(device(STEPS, busy=[10, 20]))
    assert found.since_s == 21 * STEP_S
    assert [(start_s // STEP_S, end_s // STEP_S) for start_s, end_s in spans_of(found)] == [(0, 10), (11, 20), (21, 60)]


def test_gaps_shorter_than_a_quarter_of_an_hour_are_not_idle():
    busy = [step for step in range(STEPS) if step % 3 == 0]  # two idle steps of 5 min between
    assert idle_of(device(STEPS, busy=busy)).idle_gpu_s == 0.0


def test_a_workload_is_idle_only_when_all_its_devices_are():
    found = idle_of(device(STEPS), device(STEPS, uuid="GPU-1", busy=range(STEPS)))
    assert found.since_s is None
    assert found.idle_gpu_s == STEPS * STEP_S  # the idle device's time still counts as idle


def test_an_idle_instance_counts_by_its_share_of_the_card():
    found = idle_of(without(device(STEPS, fraction=1 / 7), Signal.POWER, Signal.GPU_UTIL))
    assert found.idle_gpu_s == pytest.approx(STEPS * STEP_S / 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("signal", [Signal.SM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER])
def test_i1_a_step_without_a_value_is_not_idle(signal, bad):
    one = device(STEPS)
    one.samples[signal][-1] = bad
    assert idle_of(one).since_s is None


def test_i1_memory_and_power_alone_never_mean_idle():
    one = without(device(STEPS), Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL)
    assert spans_of(idle_of(one)) == []


def test_i2_one_signal_alone_has_no_agreement():
    one = without(device(STEPS), Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.POWER)
    assert idle_of(one).agreeing_sensors == 1


def test_incident_dcgm_exporter_662_profiling_reads_zero_at_full_load():
    one = device(STEPS, busy=range(STEPS))
    for signal in (Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY):
        one.samples[signal][:] = 0.0
    found = idle_of(one)
    assert found.since_s is None
    assert verdicts(found)[Signal.POWER] is Verdict.BUSY


def test_incident_dcgm_exporter_216_gpu_util_reads_zero_while_power_is_high():
    one = without(device(STEPS, busy=range(STEPS)), Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY)
    one.samples[Signal.GPU_UTIL][:] = 0.0
    assert idle_of(one).since_s is None


def test_incident_jupyterhub_1498_requests_veto_idleness_of_an_idle_card():
    requests = np.zeros(STEPS)
    requests[-1] = 0.001
    found = idle_of(device(STEPS), requests=requests)
    assert found.since_s is None
    assert verdicts(found)[Signal.REQUESTS] is Verdict.BUSY


def test_unknown_requests_do_not_count_as_none():
    requests = np.zeros(STEPS)
    requests[-1] = np.nan
    assert idle_of(device(STEPS), requests=requests).since_s is None


def test_power_of_an_unknown_card_has_no_verdict():
    found = idle_of(device(STEPS, gpu_type=None))
    assert Signal.POWER not in verdicts(found)
    assert found.agreeing_sensors == 2


LONG = 20 * 3_600 // STEP_S
VOTERS = (Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER)
LIMITS = {Signal.POWER: named("A100-80GB").idle_ratio * named("A100-80GB").board_watts}

signals = st.sampled_from(VOTERS)
# Up to five hours: an hour without any sample of a signal is another case than a missing sample (I27).
spans = st.lists(st.tuples(st.integers(0, LONG - 1), st.integers(1, LONG // 4)), min_size=1, max_size=3)
levels = st.sampled_from(["at its threshold", "in use"])


def level_of(signal, level):
    return BUSY_VALUES[signal] if level == "in use" else LIMITS.get(signal, SETTINGS.activity_idle_below)


def fill(one, signal, where, value):
    for start, length in where:
        one.samples[signal][start : start + length] = value


@st.composite
def uses(draw):
    """A device on which each signal alone shows use, or not, in spans of its own; the same one each time it is made."""
    drawn = draw(st.lists(st.tuples(signals, levels, spans), max_size=4))

    def made():
        one = device(LONG)
        for signal, level, where in drawn:
            fill(one, signal, where, level_of(signal, level))
        return one

    return made


def boldness(evidence):
    """What makes a plan bolder: none of these may grow when activity is added or samples are removed."""
    since = np.inf if evidence.since_s is None else evidence.since_s
    return (-since, evidence.idle_gpu_s, sum(end_s - start_s for start_s, end_s in spans_of(evidence)))


def no_bolder(after, before):
    assert all(a <= b for a, b in zip(boldness(idle_of(after)), boldness(idle_of(before)), strict=True))


@given(uses(), signals, levels, spans)
def test_i3_adding_activity_never_adds_idle_time(made, signal, level, more):
    added = made()
    fill(added, signal, more, np.nanmax([level_of(signal, level), added.samples[signal].max()]))
    no_bolder(added, made())


@given(uses(), signals | st.none(), spans)
def test_i3_removing_samples_never_adds_idle_time(made, signal, holes):
    cut = made()
    for lost in VOTERS if signal is None else (signal,):
        fill(cut, lost, holes, np.nan)
    no_bolder(cut, made())


def idle_steps(one):
    mask = np.zeros(LONG, dtype=bool)
    for start_s, end_s in spans_of(idle_of(one)):
        mask[start_s // STEP_S : end_s // STEP_S] = True
    return mask


@given(uses(), signals, levels, spans, st.none() | st.integers(0, LONG - 1))
def test_i1_no_step_with_a_signal_at_its_threshold_is_idle(made, signal, level, where, hole):
    """Exporters round to whole percent, so values lie exactly on a threshold of 2 %; each signal vetoes alone."""
    one = made()
    fill(one, signal, where, level_of(signal, level))
    if hole is not None:
        one.samples[signal][hole] = np.nan
    used = np.zeros(LONG, dtype=bool)
    for voter in VOTERS:
        used |= one.samples[voter] >= level_of(voter, "at its threshold")
    assert not (idle_steps(one) & used).any()


@given(uses(), signals | st.none(), spans)
def test_i27_no_step_without_a_sample_of_a_signal_that_the_device_reports_is_idle(made, signal, holes):
    cut = made()
    for lost in VOTERS if signal is None else (signal,):
        fill(cut, lost, holes, np.nan)
    reported = [column for lost in VOTERS if np.isfinite(column := cut.samples[lost]).any()]
    unsampled = np.logical_or.reduce([np.isnan(column) for column in reported]) if reported else np.full(LONG, True)
    assert not (idle_steps(cut) & unsampled).any()
