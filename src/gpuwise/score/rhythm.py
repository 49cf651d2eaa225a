"""Use by hour of the week, and a forecast of the next use."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import HOUR_S, UsageHours
from gpuwise.model.profile import NextUse, Rhythm
from gpuwise.score.devices import AllocatedDevice
from gpuwise.score.histogram import weights_by_age
from gpuwise.score.settings import ScoreSettings

WEEK_H = 168
# Hour 0 of the epoch was Thursday 00:00, 72 hours after Monday 00:00, so it is hour 72 of its week.
_EPOCH_HOUR_OF_WEEK = 72
_WORKDAY_H = 120

# Weight, in idle gaps, of the prior: for an hour of the week from its kind of day, and for that from all hours. Chosen
# on half of GenTD26's models, so that the three quantiles of a forecast hold as often as stated; tested on the other
# half.
_BORROWED = 2.0
_BORROWED_BY_KIND = 1.0
_HORIZON_H = 2 * WEEK_H


def rhythm(
    devices: Sequence[AllocatedDevice],
    hours: UsageHours,
    busy_gpus: NDArray[np.float64],
    idle_share: NDArray[np.float64],
    settings: ScoreSettings,
) -> Rhythm:
    """Use by hour of the week.

    An hour was used if a signal showed activity or a request arrived in it, and unused if it was idle throughout; any
    other hour is unknown and counts as neither.

    Args:
        devices: of the workload.
        hours: its stored hours.
        busy_gpus: GPUs that were active in each hour, starting at hours.first_hour, shape (hours,).
        idle_share: of the same hours, shape (hours,).
        settings: half-life and coverage.
    """
    used = busy_gpus > 0.0
    if hours.requests is not None:
        at = hours.requests.first_hour - hours.first_hour
        asked = hours.requests.rows["total"] > 0.0
        used[at : at + asked.shape[0]] |= asked
    known = used | (idle_share >= settings.full_coverage)
    after_idle = np.zeros_like(known)
    after_idle[1:] = (known & ~used)[:-1] & known[1:]
    weights = weights_by_age(used.shape[0], HOUR_S, settings.half_life_s)
    of_week = hours_of_week(hours.first_hour, used.shape[0])
    observed, in_use, idle_before, resumed, gpus = _by_hour_of_week(
        hours.first_hour, weights, (known, used, after_idle, after_idle & used, busy_gpus * known)
    )
    return Rhythm(
        observed=observed,
        used=in_use,
        after_idle=idle_before,
        resumed=resumed,
        busy_gpus=np.divide(gpus, observed, out=np.full(WEEK_H, np.nan), where=observed > 0.0),
        unused_weeks=_unused_weeks(known & ~used, used, _whole_hours(devices, hours.per_hour), of_week),
    )


def _by_hour_of_week(
    first_hour: int, weights: NDArray[np.float64], values: Sequence[NDArray[np.bool_] | NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Weighted sums of several values of consecutive hours by hour of the week, shape (values, 168).

    Week by week, in their order: one call takes a fifth of the time of a bincount for each.
    """
    at, hours = (first_hour + _EPOCH_HOUR_OF_WEEK) % WEEK_H, weights.shape[0]
    weeks = np.zeros((len(values), -(-(at + hours) // WEEK_H) * WEEK_H))
    for row, value in zip(weeks, values, strict=True):
        np.multiply(value, weights, out=row[at : at + hours])
    total: NDArray[np.float64] = np.add.reduce(weeks.reshape(len(values), -1, WEEK_H), axis=1)
    return total


def _unused_weeks(
    unused: NDArray[np.bool_], used: NDArray[np.bool_], whole: slice, of_week: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How often each hour of the week was unused; 0 if it was used or unknown in any week (I3).

    Args:
        unused: hours known to be unused.
        used: hours known to be used; also the parts of an hour at the ends of the devices' time.
        whole: the hours in which the workload had devices throughout: only these can be unknown.
        of_week: hour of the week of each.
    """
    other = used.copy()
    other[whole] |= ~unused[whole]
    weeks = np.bincount(of_week[unused], minlength=WEEK_H)
    weeks[of_week[other]] = 0
    return weeks


def _whole_hours(devices: Sequence[AllocatedDevice], per_hour: int) -> slice:
    """The whole hours from the first step of a device to the last one."""
    first = min((device.start for device in devices), default=0)
    last = max((device.end for device in devices), default=0)
    return slice(-(-first // per_hour), last // per_hour)


@lru_cache(maxsize=8)
def hours_of_week(first_hour: int, count: int) -> NDArray[np.int64]:
    """Consecutive hours as hours since the last Monday 00:00 UTC. Shared by all workloads of a fleet.

    Args:
        first_hour: hours since the epoch.
        count: number of hours.
    """
    of_week: NDArray[np.int64] = (np.arange(first_hour, first_hour + count) + _EPOCH_HOUR_OF_WEEK) % WEEK_H
    of_week.flags.writeable = False
    return of_week


def next_use(rhythm: Rhythm, now_s: int) -> NextUse | None:
    """When a workload that is idle now is likely to be used again.

    Each coming hour has the probability with which idle gaps ended in that hour of the week. Hours with few
    observations borrow from the same hour of other workdays (or weekend days), and these from all hours.

    Args:
        rhythm: its use so far.
        now_s: epoch seconds; the forecast starts with the next whole hour.

    Returns:
        None if the workload was never seen idle, or never in use.
    """
    if rhythm.after_idle.sum() <= 0.0 or rhythm.used.sum() <= 0.0:
        return None
    first_hour = -(-now_s // HOUR_S)
    ahead = hours_of_week(first_hour, _HORIZON_H)
    waking = 1.0 - np.cumprod(1.0 - _chances(rhythm)[ahead])

    def reached(chance: float) -> int | None:
        index = int(np.searchsorted(waking, chance))
        return (first_hour + index + 1) * HOUR_S if index < _HORIZON_H else None

    return NextUse(reached(0.1), reached(0.5), reached(0.9))


def _chances(rhythm: Rhythm) -> NDArray[np.float64]:
    """Probability that an idle gap ends in each hour of the week, shape (168,)."""
    index = np.arange(WEEK_H)
    # Jeffreys' prior: half a gap that ended, half a gap that did not.
    overall = (rhythm.resumed.sum() + 0.5) / (rhythm.after_idle.sum() + 1.0)
    kind = index % 24 + 24 * (index >= _WORKDAY_H)
    resumed, gaps = (np.bincount(kind, weights=part, minlength=48) for part in (rhythm.resumed, rhythm.after_idle))
    pooled = (resumed + _BORROWED_BY_KIND * overall) / (gaps + _BORROWED_BY_KIND)
    chances: NDArray[np.float64] = (rhythm.resumed + _BORROWED * pooled[kind]) / (rhythm.after_idle + _BORROWED)
    return chances
