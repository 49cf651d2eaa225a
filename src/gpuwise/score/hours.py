"""From a series to rows of hours, and from rows to more rows.

The law that all else rests on: for a series cut at any hour, hours_of(whole) = join(hours_of(first), hours_of(rest)),
to the last bit. So a new hour costs an hour's work, shards merge exactly, and a restart loses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import (
    DAY_H,
    DEVICE_SIGNALS,
    HOUR_S,
    Holding,
    HourRows,
    Rows,
    UsageHours,
    device_rows,
    request_rows,
)
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.score import _hours, histogram
from gpuwise.score.idle import ACTIVITY, VOTER_BITS, Mask, threshold
from gpuwise.score.settings import ScoreSettings

_NO_BUCKETS = np.zeros((0, 0), dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Grid:
    """A window on the hours it touches; its steps start `offset` steps into the first of them."""

    first_hour: int
    end_hour: int
    per_hour: int
    offset: int
    steps: int

    @property
    def hours(self) -> int:
        """How many hours the window touches."""
        return self.end_hour - self.first_hour

    @property
    def days(self) -> int:
        """How many UTC days it touches."""
        return (self.end_hour - 1) // DAY_H - self.first_hour // DAY_H + 1

    def packed(self, mask: Mask) -> NDArray[np.uint8]:
        """A mask over the steps as bits, one row an hour, shape (hours, bytes)."""
        width = -(-self.per_hour // 8)
        # Rows padded to whole bytes are packed as one: packbits along an axis is 20 times slower.
        padded = np.zeros((self.hours, width * 8), dtype=bool)
        padded[:, : self.per_hour] = self._by_hour(mask)
        return np.packbits(padded.ravel()).reshape(self.hours, width)

    def _by_hour(self, mask: Mask) -> Mask:
        whole = self.hours * self.per_hour
        if self.offset or mask.shape[0] != whole:
            padded = np.zeros(whole, dtype=bool)
            padded[self.offset : self.offset + mask.shape[0]] = mask
            mask = padded
        by_hour: Mask = mask.reshape(self.hours, self.per_hour)
        return by_hour

    def any_by_hour(self, mask: Mask) -> Mask:
        """Whether any step of each hour is set, shape (hours,)."""
        found: Mask = np.logical_or.reduce(self._by_hour(mask), axis=1)
        return found

    def by_step(self, hours: Mask) -> Mask:
        """A mask over the hours spread over the steps, shape (steps,)."""
        return np.repeat(hours, self.per_hour)[self.offset : self.offset + self.steps]


def grid_of(window: Window) -> Grid:
    """The hours a window touches.

    Raises:
        ValueError: its step does not divide an hour, or it does not start on a step.
    """
    if HOUR_S % window.step_s or window.start_s % window.step_s:
        raise ValueError(f"steps of {window.step_s} s from {window.start_s} do not fall on whole hours")
    first = window.start_s // HOUR_S
    return Grid(
        first_hour=first,
        end_hour=-(-window.end_s // HOUR_S),
        per_hour=HOUR_S // window.step_s,
        offset=(window.start_s - first * HOUR_S) // window.step_s,
        steps=window.steps,
    )


def hours_of(series: UsageSeries, settings: ScoreSettings) -> UsageHours:
    """Count a series into rows.

    Args:
        series: on a window whose step divides an hour.
        settings: thresholds.

    Raises:
        ValueError: the window does not fall on hours.
    """
    grid = grid_of(series.window)
    counts: dict[Signal, NDArray[np.uint32]] = {}
    devices: dict[Holding, HourRows] = {}
    for device in series.devices:
        rows = _trimmed(HourRows(grid.first_hour, _device_rows(device, grid, settings, counts)))
        if rows is not None:
            rows.rows["dropped"][0] = device.dropped_samples
            holding = Holding(device.pod, device.device_uuid, device.gpu_fraction, device.gpu_type, device.node)
            devices[holding] = rows
    return UsageHours(
        workload=series.workload,
        step_s=series.window.step_s,
        first_hour=grid.first_hour,
        end_hour=grid.end_hour,
        devices=devices,
        requests=_request_rows(series.requests_per_second, grid),
        counts=counts,
    )


def _device_rows(
    device: DeviceSeries, grid: Grid, settings: ScoreSettings, counts: dict[Signal, NDArray[np.uint32]]
) -> Rows:
    rows = np.zeros(grid.hours, dtype=device_rows(grid.per_hour))
    sampled, active = _vote(device, grid, settings, rows)
    busy = active.view(np.uint8)
    folded = np.zeros((len(DEVICE_SIGNALS), 4, grid.hours))
    folded[:, 0] = np.nan
    for signal, into in zip(DEVICE_SIGNALS, folded, strict=True):
        if signal not in sampled:
            continue
        layout = histogram.LAYOUTS.get(signal)
        if layout is not None and signal not in counts:
            counts[signal] = np.zeros((grid.days, histogram.buckets(layout)), dtype=np.uint32)
        _hours.fold(
            np.ascontiguousarray(device.samples[signal]),
            busy,
            SIGNALS[signal].highest,
            grid.offset,
            grid.per_hour,
            grid.first_hour,
            histogram.base(layout) if layout else 0,
            counts.get(signal, _NO_BUCKETS),
            into,
        )
    for index, name in enumerate(("peak", "seen", "busy_sum", "busy_seen")):
        rows[name] = folded[:, index].T
    return rows


def _vote(device: DeviceSeries, grid: Grid, settings: ScoreSettings, rows: Rows) -> tuple[list[Signal], Mask]:
    """Fill in who sampled what and who vetoed.

    Returns:
        The signals with any sample, and the steps at which an activity signal shows work.
    """
    found = []
    sampled, vetoed, active = (np.zeros(grid.steps, dtype=bool) for _ in range(3))
    voters = np.zeros(grid.hours, dtype=np.uint8)
    for signal, column in device.samples.items():
        # The ufuncs themselves: the methods of the same name go by way of Python, which costs more than the pass.
        least, most, highest = np.minimum.reduce(column), np.maximum.reduce(column), SIGNALS[signal].highest
        whole = bool(least >= 0.0 and most <= highest)  # False for NaN
        known = None if whole else (column >= 0.0) & (column <= highest)
        if known is None:
            sampled[:] = True
        elif known.any():
            sampled |= known
        else:
            continue
        found.append(signal)
        limit = threshold(signal, device.gpu_type, settings) if signal in VOTER_BITS else None
        if limit is None:
            continue
        if known is None:
            voters |= np.uint8(VOTER_BITS[signal])
            if most < limit:
                continue
            above = column >= limit
        else:
            here = grid.any_by_hour(known)
            voters |= here * np.uint8(VOTER_BITS[signal])
            vetoed |= ~known & grid.by_step(here)
            above = known & (column >= limit)
        vetoed |= above
        if signal in ACTIVITY:
            active |= above
    rows["voters"] = voters
    rows["sampled"], rows["active"] = grid.packed(sampled), grid.packed(active)
    rows["idle"] = grid.packed(sampled & ~vetoed)
    return found, active


def _request_rows(requests: NDArray[np.float64] | None, grid: Grid) -> HourRows | None:
    if requests is None:
        return None
    known = (requests >= 0.0) & (requests <= SIGNALS[Signal.REQUESTS].highest)
    padded = np.full(grid.hours * grid.per_hour, np.nan)
    padded[grid.offset : grid.offset + grid.steps] = np.where(known, requests, np.nan)
    by_hour = padded.reshape(grid.hours, grid.per_hour)
    rows = np.zeros(grid.hours, dtype=request_rows(grid.per_hour))
    rows["silent"] = grid.packed(known & (requests == 0.0))
    rows["total"], rows["peak"] = np.nansum(by_hour, axis=1), np.fmax.reduce(by_hour, axis=1)
    rows["seen"] = np.count_nonzero(~np.isnan(by_hour), axis=1)
    return _trimmed(HourRows(grid.first_hour, rows)) or _no_rows(rows)


def _no_rows(like: Rows) -> HourRows:
    """Of what is reported but was never sampled."""
    return HourRows(0, like[:0])


def _trimmed(rows: HourRows) -> HourRows | None:
    """Without the hours before the first sample and after the last one; None without any sample."""
    seen = rows.rows["seen"]
    held = np.flatnonzero(np.logical_or.reduce(seen, axis=1) if seen.ndim > 1 else seen)
    if not held.size:
        return None
    return HourRows(rows.first_hour + int(held[0]), rows.rows[held[0] : held[-1] + 1])


def join(first: UsageHours, second: UsageHours) -> UsageHours:
    """Add later hours to earlier ones of the same workload.

    Args:
        first: the earlier ones.
        second: those that begin where the first end.

    Raises:
        ValueError: they do not meet, or their steps differ.
    """
    if first.step_s != second.step_s or first.end_hour != second.first_hour:
        raise ValueError(f"hours to {first.end_hour} and from {second.first_hour} do not join")
    devices = dict(first.devices)
    for holding, rows in second.devices.items():
        devices[holding] = _appended(devices[holding], rows) if holding in devices else rows
    requests = second.requests if first.requests is None else first.requests
    if first.requests is not None and second.requests is not None:
        requests = _appended(first.requests, second.requests)
    return replace(
        first, end_hour=second.end_hour, devices=devices, requests=requests, counts=_joined_counts(first, second)
    )


def _appended(first: HourRows, second: HourRows) -> HourRows:
    if not first.rows.size or not second.rows.size:
        return first if first.rows.size else second
    hole = np.zeros(second.first_hour - first.end_hour, dtype=first.rows.dtype)
    if hole.size:
        hole["peak"] = np.nan
    return HourRows(first.first_hour, np.concatenate([first.rows, hole, second.rows]))


def _joined_counts(first: UsageHours, second: UsageHours) -> Mapping[Signal, NDArray[np.uint32]]:
    first_day, last_day = first.first_hour // DAY_H, (second.end_hour - 1) // DAY_H
    joined = {}
    for signal in (first.counts.keys() | second.counts.keys()) & histogram.LAYOUTS.keys():
        total = np.zeros((last_day - first_day + 1, histogram.buckets(histogram.LAYOUTS[signal])), dtype=np.uint32)
        for part in (first, second):
            if signal in part.counts:
                at = part.first_hour // DAY_H - first_day
                total[at : at + part.counts[signal].shape[0]] += part.counts[signal]
        joined[signal] = total
    return joined


def cut(hours: UsageHours, first_hour: int, end_hour: int) -> UsageHours | None:
    """The hours of some UTC days, None where there are none of them.

    Args:
        hours: what to cut.
        first_hour: of the part; a midnight.
        end_hour: first hour after it; a midnight.

    Raises:
        ValueError: a bound is no midnight, and so would cut through a day's counts.
    """
    if first_hour % DAY_H or end_hour % DAY_H:
        raise ValueError(f"hours {first_hour} to {end_hour} are no whole days")
    start, end = max(first_hour, hours.first_hour), min(end_hour, hours.end_hour)
    if start >= end:
        return None
    days = slice(start // DAY_H - hours.first_hour // DAY_H, (end - 1) // DAY_H - hours.first_hour // DAY_H + 1)
    within = {holding: _within(rows, start, end) for holding, rows in hours.devices.items()}
    return replace(
        hours,
        first_hour=start,
        end_hour=end,
        devices={holding: rows for holding, rows in within.items() if rows is not None},
        requests=None
        if hours.requests is None
        else _within(hours.requests, start, end) or _no_rows(hours.requests.rows),
        counts={signal: counts[days] for signal, counts in hours.counts.items() if counts[days].any()},
    )


def _within(rows: HourRows, start: int, end: int) -> HourRows | None:
    first, last = max(start, rows.first_hour), min(end, rows.end_hour)
    if first >= last:
        return None
    return _trimmed(HourRows(first, rows.rows[first - rows.first_hour : last - rows.first_hour]))
