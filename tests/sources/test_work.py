"""Declared work: increases of counters, and their sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.sources.work import increase, summed

NAN = float("nan")


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        ([5, 5, 8, 10], [0, 3, 2]),
        ([5, 9, 2, 3], [4, NAN, 1]),  # reset
        ([50_200, 50_300, 50_000, 50_100], [100, NAN, 100]),  # a run that continues from its last checkpoint
        ([5, 9, NAN, 2, 3], [4, NAN, NAN, 1]),
        ([NAN, NAN, 7, 9], [NAN, NAN, 2]),  # when it reached 7 is unknown
        ([5, NAN, NAN, 11], [2, 2, 2]),  # a gap: the increase is divided evenly
        ([5, 7, NAN, NAN], [2, NAN, NAN]),
        ([NAN, 7, NAN, NAN], [NAN, NAN, NAN]),
        ([5, -1, 4294967295e12, 9], [4294967295e12 / 2 - 2.5] * 2 + [NAN]),  # the sum drops impossible rates
    ],
)
def test_the_increase_of_a_counter(counter, expected):
    np.testing.assert_allclose(increase(np.array(counter, dtype=float), 300), expected)


def test_the_increase_over_more_than_an_hour_is_unknown():
    counter = np.full(15, NAN)
    counter[[0, 12]] = 0.0, 120.0
    assert increase(counter, 300)[:12].tolist() == [10.0] * 12
    counter[[12, 13]] = NAN, 130.0
    assert np.isnan(increase(counter, 300)).all()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([[1, 2, 3], [1, 1, 1]], [2, 3, 4]),
        ([[1, 2, NAN], [NAN, 1, 1]], [1, 3, 1]),  # outside its span a counter counts nothing
        ([[1, NAN, 1], [1, 1, 1]], [2, NAN, 2]),  # a gap makes the sum unknown
        ([[1, NAN, NAN, NAN], [NAN, NAN, NAN, 1]], [1, NAN, NAN, 1]),
        ([[NAN, NAN, NAN], [1, 1, 1]], [1, 1, 1]),
        ([[1, -1, 1]], [1, NAN, 1]),
    ],
)
def test_the_sum_of_counters(parts, expected):
    np.testing.assert_allclose(summed([np.array(part, dtype=float) for part in parts]), expected)


def test_a_pod_that_lives_without_its_counter_makes_the_sum_unknown():
    """Seven eighths of the work under the highest limit would hide that a lower one is slower."""
    stopped, whole = np.array([1, 1, NAN, NAN, NAN]), np.ones(5)
    lives = np.array([True, True, True, True, False])
    np.testing.assert_array_equal(summed([stopped, whole], [lives, np.ones(5, dtype=bool)]), [2, 2, NAN, NAN, 1])
    # A pod that never had the counter, such as one that is no launcher, does not count.
    np.testing.assert_array_equal(summed([np.full(5, NAN), whole], [lives, np.ones(5, dtype=bool)]), whole)


def test_without_any_value_there_is_no_sum():
    assert summed([]) is None
    assert summed([np.full(3, NAN)]) is None


@given(arrays(float, 20, elements=st.floats(0, 100)), st.sets(st.integers(1, 18)))
def test_missing_samples_never_add_work(steps, gone):
    counter = np.cumsum(steps)
    fewer = counter.copy()
    fewer[sorted(gone)] = NAN
    assert np.nansum(increase(fewer, 60)) == pytest.approx(counter[-1] - counter[0])
