"""Prices of free capacity: capacity that still fits pods has value, capacity that fits none is lost."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuwise.research.placement.prices import leftover


def whole(count=100):
    free = np.zeros(101, dtype=np.int64)
    free[100] = count
    return free


def test_a_remainder_that_fits_pods_is_worth_more_than_a_larger_one_that_does_not():
    value = leftover(whole(), {70: 1.0, 30: 1.0})
    assert value[300] < value[200] < value[290]
    assert value[300] < value[400]


def test_capacity_that_no_pod_requests_is_lost():
    value = leftover(whole(), {100: 1.0})
    assert np.allclose(value[:1000], np.arange(1000) // 10 * 10)


@settings(max_examples=30)
@example({1: 1.0, 2: 1.0, 18: 2.0}, [17])  # small pods need longer to fill the GPU than the usual horizon
@given(
    st.dictionaries(st.integers(1, 100), st.floats(0.01, 5), min_size=1, max_size=6),
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
)
def test_there_is_always_a_solution_and_a_full_gpu_loses_nothing(rates, levels):
    """The program has a solution for any rates of pods and any free capacity."""
    value = leftover(np.bincount(levels, minlength=101), rates)
    assert value.shape == (1001,)
    assert value[0] == 0.0
    assert np.isfinite(value).all()
