"""Gaussian process regression with a given kernel: posterior mean and variance, without training."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def posterior_mean(kernel: Floats, cross: Floats, values: Floats, *, noise: float) -> Floats:
    """The expected values at new points, from measurements at known points.

    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 2.25, around the median of the
    measurements: far from all known points the result is that median.

    Args:
        kernel: covariance of the known points, shape (n, n).
        cross: covariance of new and known points, shape (m, n).
        values: the measurements, one column per quantity, shape (n, k).
        noise: variance of a measurement.

    Returns:
        Shape (m, k).
    """
    middle = np.median(values, axis=0)
    weights = np.linalg.solve(kernel + noise * np.eye(len(kernel)), values - middle)
    return np.asarray(cross @ weights + middle, dtype=np.float64)


def posterior_variance(kernel: Floats, cross: Floats, own: Floats, *, noise: float) -> Floats:
    """The variance of `posterior_mean` (the same book, equation 2.26), including the noise of a measurement.

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
    """Squared-exponential covariance: 1 for equal points, decreasing with distance.

    Args:
        left: points, shape (m, d).
        right: points, shape (n, d).
        lengths: distance in each dimension at which the covariance is exp(-1/2), shape (d,).

    Returns:
        Shape (m, n).
    """
    distance = (left[:, None, :] - right[None, :, :]) / lengths
    return np.asarray(np.exp(-0.5 * (distance**2).sum(axis=-1)), dtype=np.float64)
