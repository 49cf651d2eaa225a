"""What the bill measures beside time, counted per hour: power of the board, SM activity, own use of a shared device."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, HourRows, Rows
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries
from gpuwise.score.grid import Grid

DAILY = ("watts", "powered", "sm", "seen", "own", "owned")
"""The columns of `by_day`: sums of power, SM activity and own use, each with the number of its steps."""

Table = NDArray[np.float64]


def add_measures(rows: HourRows, device: DeviceSeries, grid: Grid) -> None:
    """Add what a device measured to its rows.

    The power of a step is its mean by the board's energy counter where that was read, else its highest sample, which is
    too much for bursts.

    Args:
        rows: of the device, filled in place.
        device: its samples, without those of an exporter that served an old page.
        grid: of the samples.
    """
    hours = slice(rows.first_hour - grid.first_hour, rows.end_hour - grid.first_hour)
    power = _values(device, Signal.POWER, grid)
    mean = _values(device, Signal.MEAN_POWER, grid)
    if mean is not None:
        power = mean if power is None else _Values(np.where(np.isnan(mean.table), power.table, mean.table), whole=False)
    _add(rows, "watts", "powered", power, hours)
    _add(rows, "sm", None, _values(device, Signal.SM_ACTIVITY, grid), hours)
    own = _values(device, Signal.OWN_USE, grid)
    _add(rows, "own", "owned", None if own is None else _Values(own.table, whole=False), hours)


class _Values(NamedTuple):
    """The values of a signal by hour, NaN where they are no samples, and whether all are samples."""

    table: Table
    whole: bool


def _values(device: DeviceSeries, signal: Signal, grid: Grid) -> _Values | None:
    column = device.samples.get(signal)
    if column is None:
        return None
    highest, whole = SIGNALS[signal].highest, grid.steps == grid.hours * grid.per_hour
    # Two passes over the values instead of six: nearly all devices have all their samples. False for NaN.
    whole = whole and bool(np.minimum.reduce(column) >= 0.0 and np.maximum.reduce(column) <= highest)
    if not whole:
        column = np.where((column >= 0.0) & (column <= highest), column, np.nan)
    return _Values(grid.by_hour(column.astype(np.float64, copy=False), np.nan), whole)


def _add(rows: HourRows, total: str, number: str | None, values: _Values | None, hours: slice) -> None:
    """Add the sums of a signal, and the number of its samples if `seen` does not have it."""
    if values is None:
        return
    table = values.table[hours]
    if values.whole:
        rows.rows[total][:] = np.add.reduce(table, axis=1)
        if number is not None:
            rows.rows[number][:] = table.shape[1]
        return
    # An hour without any sample of use is no row when it is counted alone: neither may it count here.
    known = ~np.isnan(table) & np.logical_or.reduce(rows.rows["seen"], axis=1)[:, None]
    rows.rows[total][:] = np.add.reduce(np.where(known, table, 0.0), axis=1)
    if number is not None:
        rows.rows[number][:] = np.add.reduce(known, axis=1, dtype=np.uint16)


def by_day(rows: Rows, first_hour: int, sm_signal: int) -> Table:
    """The sums of each UTC day with rows, shape (days, columns of `DAILY`).

    Args:
        rows: of a device.
        first_hour: hour of the first row, hours since the epoch.
        sm_signal: column of SM activity.
    """
    start, hours = first_hour % DAY_H, len(rows["seen"])
    days = -(-(start + hours) // DAY_H)
    table = np.zeros((days * DAY_H, len(DAILY)))
    for at, name in enumerate(DAILY):
        table[start : start + hours, at] = rows[name][:, sm_signal] if name == "seen" else rows[name]
    # In sequence: a sum in pairs would depend on the memory layout of the rows.
    return np.add.accumulate(table.reshape(days, DAY_H, len(DAILY)), axis=1)[:, -1].copy()
