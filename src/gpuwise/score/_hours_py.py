"""The specification of native/hours.pyx, in NumPy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import Rows
from gpuwise.model.usage import Samples

_LANES = 4


class Column(NamedTuple):
    """The samples of one signal of a device, and how they count.

    Attributes:
        samples: float64 or float32, shape (steps,), C-contiguous.
        highest: the largest valid sample; NaN, negative values and larger ones are skipped.
        limit: a sample of at least this is a sign of use.
        voter: the signal's bit in `voters`; 0 if it does not take part in the decision on idleness.
        activity: whether a sign of use makes its step active; else it only prevents that the step is idle.
        base: bucket number of the first bucket; lower ones go into bucket 0, higher ones than the last into the last.
        counts: samples by day and bucket, uint32 of shape (days, buckets), added to in place; None if not counted.
        into: index of the signal in the rows.
    """

    samples: Samples
    highest: float
    limit: float
    voter: int
    activity: bool
    base: int
    counts: NDArray[np.uint32] | None
    into: int


def count(columns: Sequence[Column], steps: int, offset: int, per_hour: int, first_hour: int, rows: Rows) -> None:
    """Count the samples of a device into its hours and into the buckets of their days.

    The 11 exponent bits and the upper 6 mantissa bits of a float64 are a log-linear bucket number, 64 buckets per
    octave. The sum of an hour is that of four partial sums, of every fourth step each, which are added in pairs.

    Args:
        columns: its signals, at most one of each.
        steps: number of samples of each column.
        offset: steps of the first hour that lie before the columns.
        per_hour: steps in an hour.
        first_hour: number of the first hour since the epoch; 24 of them are a day.
        rows: of `device_rows`, filled in place.
    """
    of_step = (np.arange(steps) + offset) // per_hour
    for hour in range(-(-(steps + offset) // per_hour) if columns and steps else 0):
        (here,) = np.nonzero(of_step == hour)
        in_hour = here + offset - hour * per_hour
        sampled, active, vetoed = (np.zeros(here.size, dtype=bool) for _ in range(3))
        valid = {}
        for one in columns:
            valid[one.into] = known = (one.samples[here] >= 0.0) & (one.samples[here] <= one.highest)
            if not known.any():
                continue
            values = one.samples[here][known].astype(np.float64) + 0.0  # -0.0 is 0.0
            rows["peak"][hour, one.into], rows["seen"][hour, one.into] = values.max(), values.size
            sampled |= known
            if one.voter:
                rows["voters"][hour] |= np.uint8(one.voter)
                vetoed |= ~known
                mask = active if one.activity else vetoed
                mask |= known & (one.samples[here] >= one.limit)
            if one.counts is not None:
                buckets = np.clip((values.view(np.int64) >> 46) - one.base, 0, one.counts.shape[1] - 1)
                np.add.at(one.counts[(first_hour + hour) // 24 - first_hour // 24], buckets, 1)
        for one in columns:
            busy = active & valid[one.into]
            rows["busy_seen"][hour, one.into] = busy.sum()
            rows["busy_sum"][hour, one.into] = _sum(np.where(busy, one.samples[here].astype(np.float64), 0.0))
        for name, mask in (("sampled", sampled), ("active", active), ("idle", sampled & ~(vetoed | active))):
            bits = np.zeros(8 * rows[name].shape[1], dtype=bool)
            bits[in_hour] = mask
            rows[name][hour] = np.packbits(bits)


def _sum(values: NDArray[np.float64]) -> float:
    lanes = np.zeros((-(-values.size // _LANES) + 1, _LANES))
    lanes[1:].ravel()[: values.size] = values
    # accumulate adds in sequence, as the compiled loop does; sum would add in pairs.
    first, second, third, fourth = np.add.accumulate(lanes, axis=0)[-1]
    return float((first + second) + (third + fourth))
