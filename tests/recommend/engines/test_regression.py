"""A Gaussian process, checked against its known properties."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.recommend.engines.regression import posterior_mean, posterior_variance, radial

points = arrays(float, (6, 2), elements=st.floats(-5, 5), unique=True)
LENGTHS = np.array([1.0, 2.0])


@given(points, arrays(float, (6, 1), elements=st.floats(-9, 9)))
def test_without_noise_the_mean_equals_the_measurements(where, values):
    kernel = radial(where, where, LENGTHS)
    if np.linalg.cond(kernel) < 1e6:
        np.testing.assert_allclose(posterior_mean(kernel, kernel, values, noise=0.0), values, atol=1e-6)


@given(points)
def test_the_variance_is_between_that_of_a_measurement_and_the_prior(where):
    kernel = radial(where, where, LENGTHS)
    variance = posterior_variance(kernel, kernel, np.ones(6), noise=0.1)
    assert (variance >= 0.1 - 1e-9).all()
    assert (variance <= 1.1 + 1e-9).all()


def test_far_from_all_known_points_the_mean_is_the_median():
    where, far = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]), np.array([[1e3, 1e3]])
    kernel, cross = radial(where, where, LENGTHS), radial(far, where, LENGTHS)
    assert posterior_mean(kernel, cross, np.array([[1.0], [2.0], [9.0]]), noise=0.1) == 2.0
    assert posterior_variance(kernel, cross, np.ones(1), noise=0.1) == 1.1
