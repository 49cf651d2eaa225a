"""Memory limits: they depend on the past only, are above the present use, and are higher if samples are missing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.research.memory_limit import MemoryLimitSettings, Usage, memory_limits
from gpuwise.research.memory_limit.chance import candidates, features, overrun_chance
from gpuwise.research.memory_limit.history import LEAST_MIB, WINDOWS_S, known
from gpuwise.research.memory_limit.prior import PRIOR

HOUR = 3600.0
levels = st.lists(st.one_of(st.just(0.0), st.floats(1, 80_000)), min_size=2, max_size=30)


def pod(mib, step_s=600.0):
    return Usage(np.arange(len(mib)) * step_s, np.array(mib))


@settings(max_examples=50)
@given(levels, st.data())
def test_later_samples_change_no_limit(mib, data):
    whole = pod(mib)
    kept = data.draw(st.integers(1, len(mib)))
    now_s = [kept * 600.0 - 1]
    past = Usage(whole.t_s[:kept], whole.mib[:kept])
    settings_ = MemoryLimitSettings()
    assert memory_limits(past, now_s, settings_) == memory_limits(whole, now_s, settings_)


@settings(max_examples=50)
@given(levels)
def test_a_limit_is_never_below_the_present_use(mib):
    usage = pod(mib)
    [limit] = memory_limits(usage, [usage.t_s[-1] + 1], MemoryLimitSettings())
    assert limit >= usage.mib[-1]


@settings(max_examples=50)
@given(levels)
def test_the_overrun_probability_never_rises_with_the_limit(mib):
    usage = pod(mib)
    seen = known(usage, usage.t_s[-1] + 1)
    limits = candidates(seen)
    assert np.isfinite(features(seen, limits)).all()
    chance = overrun_chance(seen, limits, PRIOR)
    assert (np.diff(chance) <= 0).all()
    assert ((chance >= 0) & (chance <= 1)).all()


@settings(max_examples=50)
@given(levels, st.floats(0.1, 10))
def test_a_higher_overrun_cost_never_lowers_a_limit(mib, cost):
    usage = pod(mib)
    now_s = [usage.t_s[-1] + 1]
    [plain] = memory_limits(usage, now_s, MemoryLimitSettings(cost))
    [higher] = memory_limits(usage, now_s, MemoryLimitSettings(2 * cost))
    assert higher >= plain


def test_the_cost_of_the_fit_is_used_unless_another_is_set():
    usage = pod([10_000.0, 30_000.0] * 60)
    now_s = [usage.t_s[-1] + 1]
    of_fit = memory_limits(usage, now_s, MemoryLimitSettings())
    assert of_fit == memory_limits(usage, now_s, MemoryLimitSettings(PRIOR.overrun_cost))
    cheap = memory_limits(usage, now_s, MemoryLimitSettings(), replace(PRIOR, overrun_cost=0.01))
    assert cheap[0] < of_fit[0]


def test_the_peak_of_each_earlier_hour_is_a_candidate():
    """Six samples an hour; the hours count back from the given time."""
    usage = pod([1000.0] * 6 + [5000.0] + [1000.0] * 5 + [2000.0] * 6)
    seen = known(usage, 3 * HOUR)
    assert seen.peaks_mib.tolist() == [1000.0, 5000.0, 2000.0]
    assert {1.01 * peak for peak in (5000.0, 2000.0)} <= set(candidates(seen).round(6))


@given(levels, st.floats(1.0, 1e5))
def test_no_hourly_peak_is_above_the_highest_sample(mib, later_s):
    usage = pod(mib)
    seen = known(usage, usage.t_s[-1] + later_s)
    assert seen.peaks_mib.max() == usage.mib.max()


def test_with_missing_samples_a_limit_is_at_least_the_highest_sample():
    """Only two of the last hour's six samples are present: the limit is at least the highest sample of all."""
    t_s = np.concatenate([np.arange(60) * 600.0, [59 * 600.0 + 3000, 59 * 600.0 + 3600]])
    mib = np.full(len(t_s), 1000.0)
    mib[3] = 40_000.0
    now_s = [float(t_s[-1]) + 1]
    assert not known(Usage(t_s, mib), now_s[0]).sampled
    assert memory_limits(Usage(t_s, mib), now_s, MemoryLimitSettings())[0] >= 40_000.0


def test_a_look_back_without_a_sample_uses_all_samples():
    seen = known(pod([30_000.0, 2000.0, 1000.0]), 1200.0 + 5 * HOUR)
    assert seen.levels_mib[: len(WINDOWS_S)].tolist() == [30_000.0] * len(WINDOWS_S)
    assert not seen.sampled


def test_a_pod_with_constant_use_gets_a_tight_limit():
    usage = pod([20_000.0] * 200, step_s=60.0 * 5)
    [limit] = memory_limits(usage, [float(usage.t_s[-1]) + 1], MemoryLimitSettings())
    assert 20_000.0 <= limit <= 30_000.0


def test_a_pod_without_use_gets_a_minimum_limit():
    usage = pod([0.0] * 50)
    [limit] = memory_limits(usage, [float(usage.t_s[-1]) + 1], MemoryLimitSettings())
    assert limit >= 0.7 * LEAST_MIB


def test_a_limit_needs_a_sample():
    with pytest.raises(InputError, match="no sample before the time"):
        memory_limits(pod([1.0, 2.0]), [0.0], MemoryLimitSettings())
