"""The specification of native/sheet.pyx, in NumPy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, Rows
from gpuwise.score.idle import Mask, Runs, any_set, counted, unpacked
from gpuwise.score.measures import by_day

WEEK_H = 168
THURSDAY_H = 72
"""Hour 0 of the epoch was Thursday 00:00, 72 hours after Monday 00:00, so it is hour 72 of its week."""

Edges = NDArray[np.int64]
"""The first step and the step after the last one of each run, in turn, shape (2 runs,)."""

Summed = tuple[
    int,
    int,
    int,
    NDArray[np.uint8],
    NDArray[np.uint16],
    Mask,
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
    int,
]
Arranged = tuple[list[Edges], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]


class Placed(NamedTuple):
    """A device on the steps of its workload; it is allocated from its first sample to its last.

    Attributes:
        hour: its first hour with a sample, hours since the first of the workload.
        idle: one bit per step that was idle by every signal that the device ever reported, shape (hours, bytes).
        active: number of steps with activity, shape (hours,).
        sampled: whether any step of the hour has a sample, shape (hours,).
        start: first allocated step.
        end: first step after it.
        pod: number of its pod, below the number of devices.
        gpus_per_step: what an active step adds to the GPUs that were busy in its hour.
    """

    hour: int
    idle: NDArray[np.uint8]
    active: NDArray[np.uint16]
    sampled: Mask
    start: int
    end: int
    pod: int
    gpus_per_step: float


def summarise(rows: Rows, first_hour: int, activity_bits: int, memory_signal: int, sm_signal: int) -> Summed:
    """Summarise the rows of a device.

    Args:
        rows: of `device_rows`; the first and the last have at least one sample each.
        first_hour: hour of the first row, hours since the epoch.
        activity_bits: the voters of which a device must have one to be idle.
        memory_signal: column of used memory.
        sm_signal: column of SM activity.

    Returns:
        The fields of `gpuwise.score.summary.DeviceSummary` after `first_hour`, in its order, except that the largest
        samples and the sums at active steps are the rows of one array, as are the two numbers of samples.
    """
    voters = int(np.bitwise_or.reduce(rows["voters"]))
    # An hour without any sample of a signal that the device reports in other hours is a gap, not idle.
    whole = (rows["voters"] == voters) & bool(voters & activity_bits)
    sampled = rows["sampled"]
    steps = 8 * sampled.shape[1]
    first, last = (int.from_bytes(sampled[row].tobytes()) for row in (0, -1))
    starts = np.maximum(0, np.arange(-(first_hour % DAY_H), len(whole), DAY_H))
    return (
        steps - first.bit_length(),
        steps + 1 - (last & -last).bit_length(),
        voters,
        rows["idle"] * whole[:, None],
        counted(rows["active"]),
        any_set(sampled),
        # In sequence: a sum in pairs would depend on the memory layout of the rows.
        np.stack([np.fmax.reduce(rows["peak"], axis=0), np.add.accumulate(rows["busy_sum"], axis=0)[-1]]),
        np.stack([np.add.reduce(rows[name], axis=0, dtype=np.int64) for name in ("seen", "busy_seen")]),
        np.fmax.reduceat(rows["peak"][:, memory_signal], starts),
        by_day(rows, first_hour, sm_signal),
        int(np.add.reduce(rows["dropped"], dtype=np.int64)),
    )


def arrange(
    devices: Sequence[Placed],
    silent: tuple[int, NDArray[np.uint8]] | None,
    hours: int,
    per_hour: int,
    first_hour: int,
    at_least: int,
) -> Arranged:
    """Find the idle runs of the devices of a workload, and count their steps.

    Args:
        devices: of the workload.
        silent: first hour with a row of requests, and one bit per step known to have none; None if no source has them.
        hours: of the workload.
        per_hour: steps in an hour.
        first_hour: number of the first hour since the epoch; 24 of them are a day.
        at_least: steps of the shortest run that counts.

    Returns:
        Idle runs of each device, then those in which a device was allocated, all allocated devices were idle, and no
        request arrived. Of each device and UTC day the steps that are allocated, in idle runs and active, and the hours
        without a sample, shape (devices, 4, days). Idle steps of each device. Of each hour the steps in the last of the
        runs, and the GPUs that were busy. The most devices of one pod that were not idle in the same step.
    """
    steps, days = hours * per_hour, -(-(first_hour % DAY_H + hours) // DAY_H)
    day_of_hour = (np.arange(hours) + first_hour % DAY_H) // DAY_H
    day_of_step = np.repeat(day_of_hour, per_hour)
    allocated, together = np.zeros(steps, dtype=bool), np.zeros(steps, dtype=bool)
    at_once: dict[int, NDArray[np.int64]] = {}
    runs: list[Edges] = []
    table = np.zeros((len(devices), 4, days), dtype=np.int64)
    idle_steps, busy_gpus = np.zeros(len(devices), dtype=np.int64), np.zeros(hours)
    for one, by_day_ in zip(devices, table, strict=True):
        span = slice(one.hour, one.hour + len(one.active))
        idle = _on_steps(one.hour, one.idle, hours, per_hour)
        runs.append(_edges(idle, at_least))
        held, missing = np.zeros(steps, dtype=bool), np.zeros(hours, dtype=bool)
        held[one.start : one.end], missing[span] = True, ~one.sampled
        active = np.zeros(hours, dtype=np.int64)
        active[span] = one.active
        by_day_[0] = np.bincount(day_of_step[held], minlength=days)
        by_day_[1] = np.bincount(day_of_step[_mask(runs[-1], steps)], minlength=days)
        by_day_[2] = np.bincount(day_of_hour, weights=active, minlength=days)
        by_day_[3] = np.bincount(day_of_hour[missing], minlength=days)
        idle_steps[len(runs) - 1] = np.count_nonzero(idle)
        busy_gpus += active * one.gpus_per_step
        allocated |= held
        together |= held & ~idle
        at_once[one.pod] = at_once.get(one.pod, np.zeros(steps, dtype=np.int64)) + (held & ~idle)
    quiet = allocated & ~together
    if silent is not None:
        quiet &= _on_steps(*silent, hours, per_hour)
    runs.append(_edges(quiet, at_least))
    by_hour = np.add.reduce(_mask(runs[-1], steps).reshape(hours, per_hour), axis=1, dtype=np.int64)
    most = max((int(busy.max(initial=0)) for busy in at_once.values()), default=0)
    return runs, table, idle_steps, by_hour, busy_gpus, most


def _on_steps(first_hour: int, bits: NDArray[np.uint8], hours: int, per_hour: int) -> Mask:
    mask = np.zeros(hours * per_hour, dtype=bool)
    if len(bits):
        mask[first_hour * per_hour : (first_hour + len(bits)) * per_hour] = unpacked(bits, per_hour)
    return mask


def _edges(mask: Mask, at_least: int) -> Edges:
    runs = Runs.of(mask, at_least=at_least)
    edges = np.empty(2 * runs.starts.size, dtype=np.int64)
    edges[::2], edges[1::2] = runs.starts, runs.ends
    return edges


def _mask(edges: Edges, steps: int) -> Mask:
    mask = np.zeros(steps, dtype=bool)
    for start, end in edges.reshape(-1, 2):
        mask[start:end] = True
    return mask


def add_today(
    before: tuple[NDArray[Any], NDArray[np.float64]] | None,
    today: NDArray[np.uint32] | None,
    midpoints: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add the samples of today, whose weight is 1, to the weighted samples of the days before.

    Args:
        before: buckets, at most one of each, and the weight of the samples in them; None without samples.
        today: samples of one day by bucket, shape (1, buckets); None without samples.
        midpoints: the value of each bucket, shape (buckets,).

    Returns:
        The values of the buckets with samples, and the weights.
    """
    sums = np.zeros(midpoints.size) if today is None else today[0].astype(np.float64)
    if before is not None:
        sums[before[0]] += before[1]
    (occupied,) = sums.nonzero()  # also drops what is too old for a float64
    return midpoints[occupied], sums[occupied]


def by_hour_of_week(
    idle_steps: NDArray[np.int64],
    busy_gpus: NDArray[np.float64],
    asked: tuple[int, NDArray[np.float64]] | None,
    weights: NDArray[np.float64],
    first_hour: int,
    whole: tuple[int, int],
    per_hour: int,
    full: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The use of a workload by hour of the week; the fields of `gpuwise.model.profile.Rhythm`.

    An hour was used if a signal showed activity or a request arrived in it, and unused if it was idle throughout; any
    other hour is unknown and counts as neither.

    Args:
        idle_steps: of each hour, shape (hours,).
        busy_gpus: GPUs that were active in each hour, same shape.
        asked: first hour with a row of requests, and the requests of each; None if no source has them.
        weights: of the hours, same shape.
        first_hour: number of the first hour since the epoch.
        whole: first hour in which the workload had devices throughout, and first hour after these: only such hours can
            be unknown.
        per_hour: steps in an hour.
        full: the share of an hour that counts as all of it.

    Returns:
        Weights of the hours that are known, used, known after an unused hour, and of these used; and the mean of the
        busy GPUs, NaN for an hour that was never known; shape (5, 168). How often each was unused; 0 if it was used or
        unknown in any week (I3).
    """
    used = busy_gpus > 0.0
    if asked is not None:
        used[asked[0] : asked[0] + len(asked[1])] |= asked[1] > 0.0
    known = used | (idle_steps / per_hour >= full)
    after = np.zeros_like(known)
    after[1:] = (known & ~used)[:-1] & known[1:]
    at = (first_hour + THURSDAY_H) % WEEK_H
    values = (known, used, after, after & used, busy_gpus * known)
    weeks = np.zeros((len(values), -(-(at + used.size) // WEEK_H) * WEEK_H))
    for row, value in zip(weeks, values, strict=True):
        np.multiply(value, weights, out=row[at : at + used.size])
    table: NDArray[np.float64] = np.add.reduce(weeks.reshape(len(values), -1, WEEK_H), axis=1)
    np.divide(table[4], table[0], out=table[4], where=table[0] > 0.0)
    table[4][table[0] == 0.0] = np.nan
    other, of_week = used.copy(), (np.arange(used.size) + at) % WEEK_H
    other[slice(*whole)] |= ~known[slice(*whole)]
    unused = np.bincount(of_week[known & ~used], minlength=WEEK_H)
    unused[of_week[other]] = 0
    return table, unused
