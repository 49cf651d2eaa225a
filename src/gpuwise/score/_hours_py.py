"""The specification of native/hours.pyx, in NumPy."""

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import Samples


def fold(  # noqa: PLR0913, PLR0917 - a kernel takes plain numbers and arrays
    column: Samples,
    busy: NDArray[np.uint8],
    highest: float,
    whole: bool,  # noqa: FBT001 - as above
    offset: int,
    per_hour: int,
    first_hour: int,
    base: int,
    counts: NDArray[np.uint32],
    hours: NDArray[np.float64],
) -> None:
    """Count a column's samples into the buckets of their days, and its hours' peaks, samples and busy sums.

    The 11 exponent bits and the upper 6 mantissa bits of a float64 are a log-linear bucket number, 64 buckets per
    octave. NaN, negative values and values above `highest` are skipped. Sums are taken in time order.

    Args:
        column: float64 or float32, shape (n,), one sample per step.
        busy: steps that count towards the busy sums, non-zero if they do, shape (n,).
        highest: the largest valid sample.
        whole: every value is known to be a valid sample, so that none is checked.
        offset: steps of the first hour that lie before the column.
        per_hour: steps in an hour.
        first_hour: number of the first hour since the epoch; 24 of them are a day.
        base: bucket number of the first bucket; lower ones go into bucket 0, higher ones than the last into the last.
        counts: samples by day and bucket, shape (days, buckets), added to in place; without buckets none is counted.
        hours: for each hour, the largest sample (NaN without samples), the number of samples, the sum of the samples at
            busy steps, and their number, shape (4, hours), filled in place.
    """
    values = column.astype(np.float64) + 0.0  # -0.0 is 0.0
    known = np.full(values.shape, True) if whole else (values >= 0.0) & (values <= highest)
    of_step = (np.arange(values.shape[0]) + offset) // per_hour
    for hour in range(-(-(values.shape[0] + offset) // per_hour)):
        inside = (of_step == hour) & known
        busy_values = values[inside & (busy != 0)]
        peak = values[inside].max(initial=-1.0) if inside.any() else np.nan
        # accumulate adds in sequence, as the compiled loop does; sum would add in pairs.
        busy_sum = np.add.accumulate(busy_values)[-1] if busy_values.size else 0.0
        hours[:, hour] = peak, inside.sum(), busy_sum, busy_values.size
        if counts.shape[1]:
            buckets = np.clip((values[inside].view(np.int64) >> 46) - base, 0, counts.shape[1] - 1)
            np.add.at(counts[(first_hour + hour) // 24 - first_hour // 24], buckets, 1)
