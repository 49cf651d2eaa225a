"""What the methods size by: quantiles in which a missing sample counts as full use."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import case
from tests.series import DAY_STEPS, device, usage

from gpuwise.model.signal import Signal

STEPS = 14 * DAY_STEPS
SIGNAL = Signal.SM_ACTIVITY


def sized_by(column):
    one = device(STEPS)
    return case(usage(replace(one, samples=dict(one.samples) | {SIGNAL: column}))).busiest(SIGNAL)


@given(
    st.floats(0.0, 0.06),
    st.floats(0.0, 0.03),
    st.sampled_from([0.02, 0.1, 0.4]),
    st.sampled_from([0.5, 0.9]),
    st.integers(0, 2**32 - 1),
)
def test_i3_losing_the_busiest_samples_never_makes_a_need_smaller(busy, lost, level, peak, seed):
    """An exporter fails when its card is busiest: up to 3 % of all samples are lost, and only those of the peak."""
    steps = np.random.default_rng(seed).permutation(STEPS)
    before = np.full(STEPS, level)
    before[steps[: int(busy * STEPS)]] = peak
    after = before.copy()
    after[steps[: int(min(busy, lost) * STEPS)]] = np.nan
    need = sized_by(after)
    assert need is None or need >= sized_by(before)


@pytest.mark.parametrize(("lost", "known"), [(0.01, True), (0.03, False)])
def test_a_quantile_among_missing_samples_is_not_known(lost, known):
    column = np.full(STEPS, 0.4)
    column[: round(lost * STEPS)] = np.nan
    column[-1] = 0.4
    one = np.roll(column, STEPS // 2)  # a gap in the middle: before the first sample nothing is allocated
    found = sized_by(one)
    assert (found == pytest.approx(0.4, rel=0.02)) if known else found is None


@pytest.mark.parametrize(("activity", "contradicted"), [(0.0, True), (0.01, False)])
def test_kernels_without_any_sm_activity_contradict_each_other_without_power(activity, contradicted):
    one = device(STEPS)
    samples = {Signal.GPU_UTIL: np.full(STEPS, 0.9), SIGNAL: np.full(STEPS, activity)}
    assert (case(usage(replace(one, samples=samples))).contradiction is not None) is contradicted
