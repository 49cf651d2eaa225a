"""Decayed, mergeable histograms with a stated error.

Guarantee: a quantile is off by at most 1/128 = 0.78 % of the true value for values in [lowest, highest]; below
lowest it reads 0.0. Memory: 8 bytes a bucket, 64 buckets an octave. Merging adds buckets.
"""

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.profile import BucketLayout, Distribution
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.score import _histogram

# 2**46 = 52 mantissa bits less 6: float64 bits shifted by this number buckets, 64 an octave.
_SHIFT = 46

_RATIO = BucketLayout(2.0**-10, 1.0)

LAYOUTS: dict[Signal, BucketLayout] = {
    Signal.SM_ACTIVITY: _RATIO,
    Signal.TENSOR_ACTIVITY: _RATIO,
    Signal.DRAM_ACTIVITY: _RATIO,
    Signal.GPU_UTIL: _RATIO,
    Signal.MEMORY_USED: BucketLayout(2.0**20, 2.0**40),
    Signal.POWER: BucketLayout(1.0, 2.0**14),
}
"""Signals that are kept as distributions: ratios from 0.1 %, memory from 1 MiB to 1 TiB, power from 1 W to 16 kW."""


def _number(value: float) -> int:
    return int(np.float64(value).view(np.int64) >> _SHIFT)


@cache
def midpoints(layout: BucketLayout) -> NDArray[np.float64]:
    """The value each bucket stands for: 0.0 for the first, then the middle of its bounds.

    Returns:
        float64, shape (buckets,).
    """
    base, last = _number(layout.lowest) - 1, _number(layout.highest)
    edges = (np.arange(base, last + 2, dtype=np.int64) << _SHIFT).view(np.float64)
    middle = (edges[:-1] + edges[1:]) / 2
    middle[0] = 0.0
    middle.flags.writeable = False
    return middle


def decay(window: Window, half_life_s: int) -> NDArray[np.float64]:
    """Weight of each step: 1.0 at the window's end, halved every `half_life_s` before it.

    Returns:
        float64, shape (window.steps,).
    """
    ages_s = (window.steps - 1 - np.arange(window.steps)) * float(window.step_s)
    return np.exp2(-ages_s / half_life_s)


def distribution(
    layout: BucketLayout, columns: Iterable[NDArray[np.float64]], weights: NDArray[np.float64]
) -> Distribution:
    """Count columns that share one grid into one distribution; NaN is passed over.

    Args:
        layout: the buckets.
        columns: each float64 of shape (n,).
        weights: float64 of shape (n,).
    """
    middle = midpoints(layout)
    buckets = np.zeros(middle.shape[0])
    base = _number(layout.lowest) - 1
    for column in columns:
        _histogram.add(np.ascontiguousarray(column), weights, buckets, base)
    return Distribution(layout, buckets, middle)


def merge(
    first: Distribution, second: Distribution, *, age_s: float = 0.0, half_life_s: float = math.inf
) -> Distribution:
    """Add two distributions of one layout.

    Args:
        first: the older one.
        second: the newer one.
        age_s: how much earlier the first one's window ended, seconds; its weights decay by that.
        half_life_s: as given to `decay`.

    Raises:
        ValueError: the layouts differ.
    """
    if first.layout != second.layout:
        raise ValueError(f"cannot merge {first.layout} into {second.layout}")
    return Distribution(first.layout, first.weights * 2.0 ** (-age_s / half_life_s) + second.weights, first.midpoints)
