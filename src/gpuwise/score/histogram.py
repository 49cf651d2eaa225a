"""Mergeable, decayed histograms with a bounded error.

Guarantee: a quantile is within 1/128 = 0.78 % of the true value for values in [lowest, highest]; below lowest it is
0.0. Samples are counted by UTC day as integers, 4 bytes per bucket and day, 64 buckets per octave, so merging is exact
and associative. Age weighting is applied on reading: the weight of a day's samples halves with each half-life.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.profile import Distribution
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S
from gpuwise.score import _sheet

# 2**46 = 52 mantissa bits less 6: shifting float64 bits by this gives bucket numbers, 64 per octave.
_SHIFT = 46


@dataclass(frozen=True, slots=True)
class BucketLayout:
    """Log-linear buckets: 64 per octave, so a value has a relative error of at most 1/128 = 0.78 %.

    Attributes:
        lowest: values below this, 0 included, are in bucket 0 and read as 0.0.
        highest: values above this are in the last bucket.
    """

    lowest: float
    highest: float


_RATIO = BucketLayout(2.0**-10, 1.0)

LAYOUTS: dict[Signal, BucketLayout] = {
    Signal.SM_ACTIVITY: _RATIO,
    Signal.TENSOR_ACTIVITY: _RATIO,
    Signal.DRAM_ACTIVITY: _RATIO,
    Signal.GPU_UTIL: _RATIO,
    Signal.MEMORY_USED: BucketLayout(2.0**20, 2.0**40),
    Signal.POWER: BucketLayout(1.0, 2.0**14),
}
"""Signals with distributions: ratios from 0.1 %, memory from 1 MiB to 1 TiB, power from 1 W to 16 kW."""


def _number(value: float) -> int:
    return int(np.float64(value).view(np.int64) >> _SHIFT)


@cache
def base(layout: BucketLayout) -> int:
    """Bucket number of a layout's first bucket, as an argument of the kernel."""
    return _number(layout.lowest) - 1


@cache
def buckets(layout: BucketLayout) -> int:
    """Number of buckets of a layout."""
    return _number(layout.highest) - base(layout) + 1


@cache
def midpoints(layout: BucketLayout) -> NDArray[np.float64]:
    """The value that each bucket represents: 0.0 for the first, the middle of its bounds for the others.

    Returns:
        float64, shape (buckets,).
    """
    numbers = np.arange(base(layout), base(layout) + buckets(layout) + 1, dtype=np.int64)
    edges = (numbers << _SHIFT).view(np.float64)
    middle = (edges[:-1] + edges[1:]) / 2
    middle[0] = 0.0
    middle.flags.writeable = False
    return middle


Weighted = tuple[NDArray[np.intp], NDArray[np.float64]]
"""Buckets with samples, ascending, and the weight of the samples in each."""


def decayed(layout: BucketLayout, counts: NDArray[np.uint32], half_life_s: int) -> Distribution:
    """Weight counts by the age of their days: 1 for the last day, half for a day one half-life before it.

    Args:
        layout: the buckets.
        counts: samples by day, oldest first, and bucket; shape (days, buckets).
        half_life_s: seconds in which a sample's weight halves.
    """
    before = weighted(counts[:-1], half_life_s) if counts.shape[0] > 1 else None
    return total(layout, before, counts[-1:])


def weighted(counts: NDArray[np.uint32], half_life_s: int) -> Weighted:
    """Weight the counts of days by their age on the day after the last of them.

    Args:
        counts: as for `decayed`.
        half_life_s: as for `decayed`.
    """
    (occupied,) = np.bitwise_or.reduce(counts, axis=0).nonzero()
    weights = weights_by_age(counts.shape[0] + 1, DAY_S, half_life_s)[:-1]
    # Cast first: the product of float64 and uint32 casts in pieces and takes twice as long.
    return occupied, weights @ counts[:, occupied].astype(np.float64)


def total(layout: BucketLayout, before: Weighted | None, today: NDArray[np.uint32] | None) -> Distribution:
    """Add the samples of a day, whose weight is 1, to the weighted samples of the days before.

    Args:
        layout: the buckets.
        before: the days before, None without samples.
        today: samples of one day by bucket, shape (1, buckets); None without samples.
    """
    return Distribution(*_sheet.add_today(before, today, midpoints(layout)))


@lru_cache(maxsize=8)
def weights_by_age(count: int, each_s: int, half_life_s: int) -> NDArray[np.float64]:
    """Weights of time spans by age: 1 for the last, half for one a half-life older. Shared by all workloads of a fleet.

    Args:
        count: number of spans, oldest first.
        each_s: length of a span, seconds.
        half_life_s: seconds in which a weight halves.

    Returns:
        float64, shape (count,).
    """
    ages_s = np.arange(count - 1, -1, -1) * float(each_s)
    weights: NDArray[np.float64] = np.exp2(-ages_s / half_life_s)
    weights.flags.writeable = False
    return weights
