"""Regression that needs no training: the posterior mean of a Gaussian process with a given kernel."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def posterior_mean(kernel: Floats, cross: Floats, values: Floats, *, noise: float) -> Floats:
    """What is expected at new points, from what was measured at known ones.

    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 2.25, about the median of what was
    measured: far from all that is known the answer is that median.

    Args:
        kernel: covariance of the known points, shape (n, n).
        cross: covariance of new and known points, shape (m, n).
        values: what was measured, one column a quantity, shape (n, k).
        noise: variance of a measurement.

    Returns:
        Shape (m, k).
    """
    middle = np.median(values, axis=0)
    weights = np.linalg.solve(kernel + noise * np.eye(len(kernel)), values - middle)
    return np.asarray(cross @ weights + middle, dtype=np.float64)


def posterior_variance(kernel: Floats, cross: Floats, own: Floats, *, noise: float) -> Floats:
    """How far off `posterior_mean` may be (the same book, equation 2.26), with a measurement's noise.

    Args:
        kernel: covariance of the known points, shape (n, n).
        cross: covariance of new and known points, shape (m, n).
        own: covariance of each new point with itself, shape (m,).
        noise: variance of a measurement.

    Returns:
        Shape (m,).
    """
    explained = np.linalg.solve(kernel + noise * np.eye(len(kernel)), cross.T)
    return np.asarray(own + noise - np.einsum("ij,ji->i", cross, explained), dtype=np.float64)


def radial(left: Floats, right: Floats, lengths: Floats) -> Floats:
    """Squared-exponential covariance: 1 for equal points, falling with distance.

    Args:
        left: points, shape (m, d).
        right: points, shape (n, d).
        lengths: distance in each dimension at which it has fallen to exp(-1/2), shape (d,).

    Returns:
        Shape (m, n).
    """
    apart = (left[:, None, :] - right[None, :, :]) / lengths
    return np.asarray(np.exp(-0.5 * (apart**2).sum(axis=-1)), dtype=np.float64)
