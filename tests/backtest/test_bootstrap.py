"""Bootstrap intervals, checked against the known interval of the mean."""

import numpy as np
import pytest

from gpuwise.backtest.bootstrap import ratio_of_sums


def test_the_interval_of_a_mean_is_its_standard_error_times_1_645():
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    found = ratio_of_sums(values, np.ones(400))
    assert found.value == pytest.approx(values.mean())
    np.testing.assert_allclose(
        [found.low, found.high], values.mean() + np.array([-1, 1]) * 1.645 * values.std() / 20, rtol=0.002
    )


def test_one_unit_has_no_interval():
    found = ratio_of_sums(np.array([3.0]), np.array([2.0]), less=1.0)
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_zero_over_zero_is_not_a_number():
    found = ratio_of_sums(np.zeros(3), np.zeros(3))
    assert np.isnan(found.value)
    assert (found.low, found.high) == (None, None)


def test_the_same_units_give_the_same_interval():
    values = np.arange(20.0)
    assert ratio_of_sums(values, values + 1) == ratio_of_sums(values, values + 1)
