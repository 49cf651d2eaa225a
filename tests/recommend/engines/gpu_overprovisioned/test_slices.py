"""MIG slices for an activity and an amount of memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.gpu import GIB, GPU_TYPES, named
from gpuwise.recommend.engines.gpu_overprovisioned.slices import fitting_slices, share_of

A100 = named("A100-80GB")
WITH_MIG = [gpu for gpu in GPU_TYPES if gpu.mig_profiles]


@pytest.mark.parametrize(
    ("activity", "gib", "smallest"),
    [(0.1, 5, "1g.10gb"), (0.1, 15, "1g.20gb"), (0.2, 5, "2g.20gb"), (0.3, 5, "3g.40gb"), (0.5, 5, "4g.40gb")],
)
def test_the_smallest_slice_has_the_share_of_the_compute_and_the_memory(activity, gib, smallest):
    assert fitting_slices(A100, activity, gib * GIB)[0].name == smallest


def test_nothing_smaller_than_the_whole_gpu_fits_more():
    assert not fitting_slices(A100, 0.6, 0.0)
    assert not fitting_slices(A100, 0.1, 41 * GIB)
    assert not fitting_slices(named("T4"), 0.0, 0.0)


@given(st.sampled_from(WITH_MIG), st.floats(0, 1), st.floats(0, 1), st.floats(0, 90), st.floats(0, 90))
def test_more_need_never_gets_a_smaller_slice(gpu, activity, more_activity, gib, more_gib):
    low = fitting_slices(gpu, min(activity, more_activity), min(gib, more_gib) * GIB)
    high = fitting_slices(gpu, max(activity, more_activity), max(gib, more_gib) * GIB)
    assert set(high) <= set(low)


@pytest.mark.parametrize(
    ("name", "share"), [("1g.10gb", 1 / 7), ("1g.20gb", 0.25), ("3g.40gb", 0.5), ("4g.40gb", 4 / 7)]
)
def test_a_slice_takes_the_larger_of_its_shares(name, share):
    assert share_of(A100, A100.mig_profile(name)) == pytest.approx(share)
