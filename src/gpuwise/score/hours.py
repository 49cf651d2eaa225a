"""From a series to rows of hours, and from rows to joined rows.

The law that everything else relies on: for a series split at any hour, hours_of(whole) = join(hours_of(first),
hours_of(rest)), to the last bit. So only new hours are counted, shards merge exactly, and a restart loses
nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, HourRows, PaceKind, PodDevice, UsageHours, device_rows
from gpuwise.model.signal import APART, SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries
from gpuwise.score import _hours, histogram
from gpuwise.score.grid import Grid, grid_of
from gpuwise.score.idle import ACTIVITY, VOTER_BITS, threshold
from gpuwise.score.liveness import frozen_hours
from gpuwise.score.measures import add_measures
from gpuwise.score.pace import work_rows
from gpuwise.score.settings import ScoreSettings

_NO_SAMPLES = np.zeros(0)

Counts = Mapping[Signal, NDArray[np.uint32]]
Key = TypeVar("Key", PodDevice, PaceKind)


def hours_of(series: UsageSeries, settings: ScoreSettings) -> UsageHours:
    """Count a series into hourly rows.

    Args:
        series: its window has a step that divides an hour.
        settings: thresholds.

    Raises:
        ValueError: the window does not align with hours.
    """
    grid = grid_of(series.window)
    return _hours_of(series, grid, settings, _Periods(grid.first_hour, grid.days))


def extended(
    known: UsageHours, series: UsageSeries, settings: ScoreSettings, *, before_hour: int
) -> tuple[UsageHours, UsageHours]:
    """Append a series to earlier hours of the same UTC day.

    The series is counted once, and not in two parts: most of the time does not depend on the number of samples.

    Args:
        known: hours that end where the series begins.
        series: its window begins before `before_hour`, and ends with it or later.
        settings: thresholds.
        before_hour: hours since the epoch.

    Returns:
        The hours before `before_hour`, and all hours.

    Raises:
        ValueError: the hours are not of one day, or not adjacent.
    """
    grid = grid_of(series.window)
    if known.first_hour // DAY_H != (grid.end_hour - 1) // DAY_H or not grid.first_hour < before_hour <= grid.end_hour:
        raise ValueError(
            f"hours {known.first_hour} to {grid.end_hour} are not one day with a part before {before_hour}"
        )
    # Hours are numbered so that `before_hour` is a midnight: the samples before it and from it on have their own row.
    added = _hours_of(series, grid, settings, _Periods(DAY_H - (before_hour - grid.first_hour), 2))
    before, after = ({signal: rows[period : period + 1] for signal, rows in added.counts.items()} for period in (0, 1))
    settled = _of_one_day(known.counts, {signal: rows for signal, rows in before.items() if rows.any()})
    every = _joined_rows(known, added, _of_one_day(settled, after))
    return _rows_within(every, known.first_hour, before_hour, settled), every


def _of_one_day(first: Counts, second: Counts) -> Counts:
    """The counts of two parts of a day."""
    return {**first, **{signal: first[signal] + rows if signal in first else rows for signal, rows in second.items()}}


@dataclass(frozen=True, slots=True)
class _Periods:
    """Which hours are counted together.

    Attributes:
        first_hour: number of the first hour; 24 of them, from a multiple of 24 on, are a period.
        size: how many periods there are.
    """

    first_hour: int
    size: int


def _hours_of(series: UsageSeries, grid: Grid, settings: ScoreSettings, periods: _Periods) -> UsageHours:
    counts: dict[Signal, NDArray[np.uint32]] = {}
    devices: dict[PodDevice, HourRows] = {}
    for measured in series.devices:
        alive = _alive(measured, grid)
        device = _of_usage(alive)
        rows = _trimmed(HourRows(grid.first_hour, _device_rows(device, grid, settings, counts, periods)))
        if rows is not None:
            rows.rows["dropped"][0] = device.dropped_samples
            add_measures(rows, alive, grid)
            pod_device = PodDevice(device.pod, device.device_uuid, device.gpu_fraction, device.gpu_type, device.node)
            devices[pod_device] = rows
    work, paces = work_rows(series, grid, devices)
    return UsageHours(
        workload=series.workload,
        step_s=series.window.step_s,
        first_hour=grid.first_hour,
        end_hour=grid.end_hour,
        devices=devices,
        requests=_request_rows(series.requests_per_second, grid),
        counts=counts,
        scrapes=_scrape_rows(series),
        work_metric=series.work_metric,
        work=None if work is None else _trimmed(work) or work.between(0, 0),
        paces={kind: rows for kind, every in paces.items() if (rows := _trimmed(every)) is not None},
    )


def _of_usage(device: DeviceSeries) -> DeviceSeries:
    """The device without the signals that are no evidence of use."""
    if APART.isdisjoint(device.samples):
        return device
    samples = {signal: column for signal, column in device.samples.items() if signal not in APART}
    return replace(device, samples=samples)


def _alive(device: DeviceSeries, grid: Grid) -> DeviceSeries:
    """The device without the samples of hours in which its exporter served an old page."""
    frozen = frozen_hours(_of_usage(device), grid)
    if frozen is None:
        return device
    steps = grid.by_step(frozen)
    samples = {signal: np.where(steps, np.nan, column) for signal, column in device.samples.items()}
    return replace(device, samples=samples)


def _device_rows(
    device: DeviceSeries,
    grid: Grid,
    settings: ScoreSettings,
    counts: dict[Signal, NDArray[np.uint32]],
    periods: _Periods,
) -> dict[str, NDArray[Any]]:
    rows = device_rows(grid.per_hour, grid.hours)
    columns, new = [], []
    for signal, buckets, like in _columns_of(device.gpu_type, settings):
        samples = device.samples.get(signal)
        if samples is None:
            continue
        if buckets and signal not in counts:
            counts[signal] = np.zeros((periods.size, buckets), dtype=np.uint32)
            new.append(signal)
        if not samples.flags.c_contiguous:
            samples = samples.copy()
        columns.append(_hours.Column(samples, *like[1:6], counts.get(signal), like[7]))  # in a third of `_replace`
    _hours.count(columns, grid.steps, grid.offset, grid.per_hour, periods.first_hour, rows)
    for signal in new:
        if not np.logical_or.reduce(rows["seen"][:, DEVICE_SIGNALS.index(signal)]):
            del counts[signal]
    return rows


@lru_cache(maxsize=64)
def _columns_of(gpu_type: str | None, settings: ScoreSettings) -> list[tuple[Signal, int, _hours.Column]]:
    """The signals of a GPU type, the number of buckets of each (0: not counted), and its column without samples."""
    found = []
    for into, signal in enumerate(DEVICE_SIGNALS):
        layout = histogram.LAYOUTS.get(signal)
        limit = threshold(signal, gpu_type, settings) if signal in VOTER_BITS else None
        column = _hours.Column(
            samples=_NO_SAMPLES,
            highest=SIGNALS[signal].highest,
            limit=math.inf if limit is None else limit,
            voter=0 if limit is None else VOTER_BITS[signal],
            activity=signal in ACTIVITY,
            base=histogram.base(layout) if layout else 0,
            counts=None,
            into=into,
        )
        found.append((signal, histogram.buckets(layout) if layout else 0, column))
    return found


def _request_rows(requests: NDArray[np.float64] | None, grid: Grid) -> HourRows | None:
    if requests is None:
        return None
    known = grid.by_hour((requests >= 0.0) & (requests <= SIGNALS[Signal.REQUESTS].highest), False)
    rates = grid.by_hour(requests, np.nan)
    whole = bool(known.all())
    rows = HourRows(
        grid.first_hour,
        {
            "silent": grid.packed((known & (rates == 0.0)).ravel())[0],
            "total": np.add.reduce(rates if whole else np.where(known, rates, 0.0), axis=1),
            "peak": np.fmax.reduce(rates if whole else np.where(known, rates, np.nan), axis=1),
            "seen": np.add.reduce(known, axis=1, dtype=np.uint16),
        },
    )
    return _trimmed(rows) or rows.between(0, 0)


def _scrape_rows(series: UsageSeries) -> HourRows | None:
    window, requests = series.window.scraped, series.scraped_requests
    if requests is None or window is None:
        return None
    grid = grid_of(window)
    known = (requests >= 0.0) & (requests <= SIGNALS[Signal.REQUESTS].highest)
    silent_bits, known_bits = grid.packed(known & (requests == 0.0), known)
    seen = np.add.reduce(grid.by_hour(known, False), axis=1, dtype=np.uint16)
    rows = HourRows(grid.first_hour, {"silent": silent_bits, "known": known_bits, "seen": seen})
    return _trimmed(rows) or rows.between(0, 0)


def _trimmed(rows: HourRows) -> HourRows | None:
    """The rows without the hours before the first sample and after the last one; None without any sample."""
    seen = rows.rows["seen"]
    (sampled,) = (np.logical_or.reduce(seen, axis=1) if seen.ndim > 1 else seen).nonzero()
    if not sampled.size:
        return None
    return rows.between(rows.first_hour + int(sampled[0]), rows.first_hour + int(sampled[-1]) + 1)


def join(first: UsageHours, second: UsageHours) -> UsageHours:
    """Append later hours to earlier hours of the same workload.

    Args:
        first: the earlier hours.
        second: hours that start where the first end.

    Raises:
        ValueError: they are not adjacent, or their steps differ.
    """
    return _joined_rows(first, second, _joined_counts(first, second))


def _joined_rows(first: UsageHours, second: UsageHours, counts: Counts) -> UsageHours:
    if first.step_s != second.step_s or first.end_hour != second.first_hour:
        raise ValueError(f"hours that end at {first.end_hour} and start at {second.first_hour} are not adjacent")
    return first._replace(
        end_hour=second.end_hour,
        devices=_all_appended(first.devices, second.devices),
        requests=_joined(first.requests, second.requests),
        counts=counts,
        scrapes=_joined(first.scrapes, second.scrapes),
        work=_joined(first.work, second.work),
        paces=_all_appended(first.paces, second.paces),
    )


def _all_appended(first: Mapping[Key, HourRows], second: Mapping[Key, HourRows]) -> dict[Key, HourRows]:
    joined = dict(first)
    for key, rows in second.items():
        joined[key] = _appended(joined[key], rows) if key in joined else rows
    return joined


def _joined(first: HourRows | None, second: HourRows | None) -> HourRows | None:
    if first is None or second is None:
        return second if first is None else first
    return _appended(first, second)


def _appended(first: HourRows, second: HourRows) -> HourRows:
    if not first.hours or not second.hours:
        return first if first.hours else second
    gap, later = second.first_hour - first.end_hour, second.rows
    if not gap:
        joined = {name: np.concatenate((column, later[name])) for name, column in first.rows.items()}
    else:
        joined = {
            name: np.concatenate((column, _unsampled(name, column, gap), later[name]))
            for name, column in first.rows.items()
        }
    return HourRows(first.first_hour, joined)


def _unsampled(name: str, like: NDArray[Any], hours: int) -> NDArray[Any]:
    return np.full((hours, *like.shape[1:]), np.nan if name == "peak" else 0, dtype=like.dtype)


def _joined_counts(first: UsageHours, second: UsageHours) -> Counts:
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


def select_days(hours: UsageHours, first_hour: int, end_hour: int) -> UsageHours | None:
    """The hours of some UTC days; None if there are none.

    Args:
        hours: to select from.
        first_hour: first hour of the selection; a midnight.
        end_hour: first hour after it; a midnight.

    Raises:
        ValueError: a bound is not at midnight, so it would divide the counts of a day.
    """
    if first_hour % DAY_H or end_hour % DAY_H:
        raise ValueError(f"hours {first_hour} to {end_hour} are not whole days")
    start, end = max(first_hour, hours.first_hour), min(end_hour, hours.end_hour)
    if start >= end:
        return None
    days = slice(start // DAY_H - hours.first_hour // DAY_H, (end - 1) // DAY_H - hours.first_hour // DAY_H + 1)
    counts = {signal: counts[days] for signal, counts in hours.counts.items() if counts[days].any()}
    return _rows_within(hours, start, end, counts)


def _rows_within(hours: UsageHours, start: int, end: int, counts: Counts) -> UsageHours:
    """The rows between two hours, with the counts of these."""
    return hours._replace(
        first_hour=start,
        end_hour=end,
        devices=_all_within(hours.devices, start, end),
        requests=_selected(hours.requests, start, end),
        counts=counts,
        scrapes=_selected(hours.scrapes, start, end),
        work=_selected(hours.work, start, end),
        paces=_all_within(hours.paces, start, end),
    )


def _selected(rows: HourRows | None, start: int, end: int) -> HourRows | None:
    return None if rows is None else _within(rows, start, end) or rows.between(0, 0)


def _all_within(rows: Mapping[Key, HourRows], start: int, end: int) -> dict[Key, HourRows]:
    return {key: within for key, one in rows.items() if (within := _within(one, start, end)) is not None}


def _within(rows: HourRows, start: int, end: int) -> HourRows | None:
    return _trimmed(rows.between(start, end))
