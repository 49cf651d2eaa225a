"""How active allocated GPUs were: their time by tenths of activity."""

import numpy as np

from gpuwise.finops.bill import HOUR_S
from gpuwise.finops.period import Period
from gpuwise.finops.uses import uses_of
from gpuwise.model.use import TENTHS, Activity


def activity(period: Period) -> Activity | None:
    """The allocated time of the period by activity, None if no pod was allocated anything.

    Args:
        period: the input.
    """
    total, unknown = np.zeros(TENTHS), 0.0
    for ref, days in uses_of(period):
        gpu_h = sum(day.allocated_gpu_s for day in days) / HOUR_S
        unmeasured = sum(day.unknown_gpu_s for day in days) / HOUR_S
        shares = period.billed[ref].activity_tenths
        if shares:
            total += np.array(shares) * (gpu_h - unmeasured)
            unknown += unmeasured
        else:
            unknown += gpu_h
    found = Activity(tuple(total.tolist()), unknown)
    return found if unknown or total.any() else None
