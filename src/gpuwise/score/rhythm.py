"""Use by hour of the week, and a forecast of the next use."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import HOUR_S, UsageHours
from gpuwise.model.profile import NextUse, Rhythm
from gpuwise.score import _sheet
from gpuwise.score._sheet_py import THURSDAY_H, WEEK_H
from gpuwise.score.devices import AllocatedDevice
from gpuwise.score.histogram import weights_by_age
from gpuwise.score.settings import ScoreSettings

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
    idle_steps: NDArray[np.int64],
    settings: ScoreSettings,
) -> Rhythm:
    """Use by hour of the week.

    An hour was used if a signal showed activity or a request arrived in it, and unused if it was idle throughout; any
    other hour is unknown and counts as neither.

    Args:
        devices: of the workload.
        hours: its stored hours.
        busy_gpus: GPUs that were active in each hour, starting at hours.first_hour, shape (hours,).
        idle_steps: of the same hours, shape (hours,).
        settings: half-life and coverage.
    """
    asked = hours.requests
    table, unused_weeks = _sheet.by_hour_of_week(
        idle_steps,
        busy_gpus,
        None if asked is None else (asked.first_hour - hours.first_hour, asked.rows["total"]),
        weights_by_age(busy_gpus.shape[0], HOUR_S, settings.half_life_s),
        hours.first_hour,
        _whole_hours(devices, hours.per_hour),
        hours.per_hour,
        settings.full_coverage,
    )
    observed, used, after_idle, resumed, mean_gpus = table
    return Rhythm(observed, used, after_idle, resumed, mean_gpus, unused_weeks)


def _whole_hours(devices: Sequence[AllocatedDevice], per_hour: int) -> tuple[int, int]:
    """The whole hours from the first step of a device to the last one."""
    first = min((device.start for device in devices), default=0)
    last = max((device.end for device in devices), default=0)
    return -(-first // per_hour), last // per_hour


@lru_cache(maxsize=8)
def hours_of_week(first_hour: int, count: int) -> NDArray[np.int64]:
    """Consecutive hours as hours since the last Monday 00:00 UTC. Shared by all workloads of a fleet.

    Args:
        first_hour: hours since the epoch.
        count: number of hours.
    """
    of_week: NDArray[np.int64] = (np.arange(first_hour, first_hour + count) + THURSDAY_H) % WEEK_H
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
