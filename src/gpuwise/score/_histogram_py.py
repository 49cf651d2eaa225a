"""The specification of native/histogram.pyx, in NumPy."""

import numpy as np
from numpy.typing import NDArray


def add(values: NDArray[np.float64], weights: NDArray[np.float64], buckets: NDArray[np.float64], base: int) -> None:
    """Add each value's weight to its bucket, in the values' order.

    The 11 exponent bits and the upper 6 mantissa bits of a float64 are a log-linear bucket number, 64 buckets per
    octave. NaN and negative values are passed over.

    Args:
        values: float64, shape (n,).
        weights: float64, shape (n,).
        buckets: float64, shape (m,), added to in place.
        base: bucket number of the first bucket; lower ones go into bucket 0, higher ones than the last into the last.
    """
    keep = values >= 0.0
    numbers = (values[keep].view(np.int64) >> 46) - base
    np.add.at(buckets, np.clip(numbers, 0, buckets.shape[0] - 1), weights[keep])
