"""Sensors agree only where each of them looked at every device."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scored import profile
from tests.series import STEP_S, device, usage

from gpuwise.model.gpu import named
from gpuwise.model.profile import Verdict
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.score.idle import ACTIVITY
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
STEPS = 12 * 3_600 // STEP_S
VOTERS = (Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER)
WATTS = named("A100-80GB").idle_ratio * named("A100-80GB").board_watts
LIMITS = {Signal.POWER: WATTS}

reported = st.sets(st.sampled_from(VOTERS)).filter(lambda some: some & set(ACTIVITY))


def idle_of(*devices):
    return profile(usage(*devices), SETTINGS).idle


def limit(signal):
    return LIMITS.get(signal, SETTINGS.activity_idle_below)


@given(st.lists(reported, min_size=1, max_size=4))
def test_i2_sensors_agree_only_if_every_device_has_them(signals):
    """A signal that one device never reported confirms nothing, whichever device of the workload that is."""
    devices = [device(STEPS, uuid=f"GPU-{number}", signals=tuple(some)) for number, some in enumerate(signals)]
    found = idle_of(*devices)
    everywhere = set.intersection(*signals)
    assert found.since_s == 0
    assert {one.signal for one in found.verdicts if one.verdict is Verdict.IDLE} == everywhere
    assert found.agreeing_sensors == len({SIGNALS[signal].sensor for signal in everywhere})


@st.composite
def partly_sampled(draw):
    """Devices that each miss a span of one signal, in a drawn order."""
    devices = []
    for number in draw(st.permutations(range(draw(st.integers(1, 4))))):
        one = device(STEPS, uuid=f"GPU-{number}")
        start = draw(st.integers(0, STEPS - 1))
        one.samples[draw(st.sampled_from(VOTERS))][start : start + draw(st.integers(0, STEPS))] = np.nan
        devices.append(one)
    # One device is in use at the end, so the verdicts are over the whole window.
    devices.append(device(STEPS, uuid=f"GPU-{draw(st.integers(-1, 9))}x", busy=[STEPS - 1]))
    return devices


@given(partly_sampled())
def test_i2_the_coverage_of_a_verdict_is_the_lowest_of_any_device(devices):
    found = {one.signal: one.coverage for one in idle_of(*devices).verdicts}
    for signal in VOTERS:
        sampled = [int(np.isfinite(one.samples[signal]).sum()) for one in devices]
        assert found[signal] == pytest.approx(min(sampled) / STEPS)


@given(partly_sampled())
def test_i2_a_sensor_confirms_only_what_it_sampled(devices):
    for one in idle_of(*devices).verdicts:
        assert one.verdict is not Verdict.IDLE or one.coverage >= SETTINGS.full_coverage


@pytest.mark.parametrize("signal", VOTERS)
def test_i1_a_value_at_the_threshold_is_use(signal):
    asked = np.zeros(STEPS)
    asked[-1] = 1.0  # in use at the end, so the verdicts are over the whole window

    def verdict(value):
        one = device(STEPS)
        one.samples[signal][5] = value
        return {found.signal: found.verdict for found in profile(usage(one, requests=asked), SETTINGS).idle.verdicts}

    assert verdict(limit(signal))[signal] is Verdict.BUSY
    assert verdict(np.nextafter(limit(signal), 0.0))[signal] is Verdict.IDLE
