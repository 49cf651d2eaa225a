"""What the bill measures beside time, counted per hour: power of the board, SM activity, own use of a shared device."""

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, HourRows
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries
from gpuwise.score.grid import Grid

DAILY = ("watts", "powered", "sm", "seen", "own", "owned")
"""The columns of `by_day`: sums of power, SM activity and own use, each with the number of its steps."""

_SM = DEVICE_SIGNALS.index(Signal.SM_ACTIVITY)

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
    power, own = _known(device, Signal.POWER, grid), _known(device, Signal.OWN_USE, grid)
    mean = _known(device, Signal.MEAN_POWER, grid)
    if mean is not None:
        power = mean if power is None else np.where(np.isnan(mean), power, mean)
    sm = _known(device, Signal.SM_ACTIVITY, grid)
    # An hour without any sample of use is no row when it is counted alone: neither may it count here.
    sampled = np.logical_or.reduce(rows.rows["seen"], axis=1)[:, None]
    for table, total, number in ((power, "watts", "powered"), (sm, "sm", ""), (own, "own", "owned")):
        if table is None:
            continue
        here = table[hours]
        known = ~np.isnan(here) & sampled
        rows.rows[total][:] = np.add.reduce(np.where(known, here, 0.0), axis=1)
        if number:
            rows.rows[number][:] = np.add.reduce(known, axis=1, dtype=np.uint16)


def _known(device: DeviceSeries, signal: Signal, grid: Grid) -> Table | None:
    """The values of a signal by hour, NaN where they are no samples; None without the signal."""
    column = device.samples.get(signal)
    if column is None:
        return None
    valid = (column >= 0.0) & (column <= SIGNALS[signal].highest)
    return grid.by_hour(np.where(valid, column, np.nan).astype(np.float64), np.nan)


def by_day(rows: HourRows) -> Table:
    """The sums of each UTC day with rows, shape (days, columns of `DAILY`).

    Args:
        rows: of a device.
    """
    columns = (rows.rows[name][:, _SM] if name == "seen" else rows.rows[name] for name in DAILY)
    table = np.stack([column.astype(np.float64) for column in columns], axis=1)
    starts = np.maximum(0, np.arange(-(rows.first_hour % DAY_H), rows.hours, DAY_H))
    # In sequence: a sum in pairs would depend on the memory layout of the rows.
    return np.stack([np.add.accumulate(day, axis=0)[-1] for day in np.split(table, starts[1:])])
