"""Paces: how fast a workload does its declared work, by kind of device and power limit.

What is kept of an hour depends on that hour's samples alone, so hours of parts equal the hours of the whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import HOUR_S, HourRows, PaceKind, PodDevice, Rows, UsageHours
from gpuwise.model.pace import Pace
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, Samples, UsageSeries
from gpuwise.score.grid import Grid
from gpuwise.score.idle import Mask, unpacked

Table = NDArray[np.float64]
"""Values by hour and step, shape (hours, per_hour)."""

# A limit is at most 10 kW: number of devices and limit in whole watts are one number.
_PER_DEVICE = 100_000
# Share of a pace's steps in which power must be sampled; the others count with the mean of these.
_POWERED = 0.9


def work_rows(
    series: UsageSeries, grid: Grid, devices: Mapping[PodDevice, HourRows]
) -> tuple[HourRows | None, dict[PaceKind, HourRows]]:
    """Count the declared work of a workload, and the paces at which it was done.

    Args:
        series: its usage.
        grid: the hours of its window.
        devices: the rows of its devices.

    Returns:
        The rows of all work and those of each pace, as `UsageHours` has them; None and none without declared work.
    """
    if series.work_per_second is None:
        return None, {}
    known = grid.by_hour(_valid(series.work_per_second, Signal.WORK), False)
    rates = np.where(known, grid.by_hour(series.work_per_second, np.nan), 0.0)
    total = np.add.reduce(rates, axis=1)
    work = HourRows(grid.first_hour, {"total": total, "seen": np.add.reduce(known, axis=1, dtype=np.uint16)})
    found: dict[PaceKind, HourRows] = {}
    if devices:
        for kind, steps, watts, powered in _Together.of(series, grid, devices).kinds(known):
            found[kind] = HourRows(grid.first_hour, _rows(steps, rates, watts, powered))
    return work, found


def _valid(values: Samples, signal: Signal) -> Mask:
    return np.asarray((values >= 0.0) & (values <= SIGNALS[signal].highest))


def _rows(steps: Mask, rates: Table, watts: Table, powered: Mask) -> Rows:
    seen = np.add.reduce(steps, axis=1, dtype=np.uint16)
    with_power = steps & powered
    return {
        "seen": seen,
        "work": np.add.reduce(np.where(steps, rates, 0.0), axis=1),
        "watts": np.add.reduce(np.where(with_power, watts, 0.0), axis=1),
        "powered": np.add.reduce(with_power, axis=1, dtype=np.uint16),
        "first": np.argmax(steps, axis=1).astype(np.uint16),
        "last": np.where(seen > 0, steps.shape[1] - np.argmax(steps[:, ::-1], axis=1), 0).astype(np.uint16),
    }


@dataclass(slots=True)
class _Together:
    """All devices of a workload, step by step.

    Attributes:
        present: number of devices that are there; a device is there from its first to its last sample of an hour.
        active: of these, devices at work.
        limited: of these, devices with a known power limit.
        lowest: lowest known limit, watts, infinite without one.
        highest: highest known limit, watts, negative without one.
        powered: devices whose power is known.
        watts: power of these together.
        of_type: devices that are there, by GPU type and share of a GPU.
    """

    present: NDArray[np.int32]
    active: NDArray[np.int32]
    limited: NDArray[np.int32]
    lowest: Table
    highest: Table
    powered: NDArray[np.int32]
    watts: Table
    of_type: dict[tuple[str | None, float], NDArray[np.int32]]

    @classmethod
    def of(cls, series: UsageSeries, grid: Grid, devices: Mapping[PodDevice, HourRows]) -> "_Together":
        shape = (grid.hours, grid.per_hour)
        counts = [np.zeros(shape, dtype=np.int32) for _ in range(4)]
        sums = cls(
            counts[0],
            counts[1],
            counts[2],
            np.full(shape, np.inf),
            np.full(shape, -1.0),
            counts[3],
            np.zeros(shape),
            {},
        )
        measured = {_named(device): device for device in series.devices}
        # In a fixed order, so that the sum of the power is equal to the last bit.
        for pod_device in sorted(devices, key=lambda one: tuple(map(str, one))):
            sums.add(measured[pod_device], devices[pod_device], grid)
        return sums

    def add(self, device: DeviceSeries, rows: HourRows, grid: Grid) -> None:
        """Add a device."""
        hours = slice(rows.first_hour - grid.first_hour, rows.end_hour - grid.first_hour)
        there, active = (np.zeros(self.present.shape, dtype=bool) for _ in range(2))
        sampled = _bits(rows, "sampled", grid)
        there[hours] = np.logical_or.accumulate(sampled, axis=1)
        there[hours] &= np.logical_or.accumulate(sampled[:, ::-1], axis=1)[:, ::-1]
        active[hours] = _bits(rows, "active", grid)
        self.present += there
        self.active += there & active
        kind = (device.gpu_type, device.gpu_fraction)
        self.of_type.setdefault(kind, np.zeros(self.present.shape, dtype=np.int32))
        self.of_type[kind] += there
        # The power of a step is its highest sample: too much for bursts, and too much by another share under a limit.
        has_mean = Signal.MEAN_POWER in device.samples
        power, known = _known(device, Signal.MEAN_POWER if has_mean else Signal.POWER, grid)
        self.powered += there & known
        self.watts += np.where(there & known, power, 0.0)
        limit, known = _known(device, Signal.POWER_LIMIT, grid)
        known &= there & (limit > 0.0)
        self.limited += known
        limit = np.round(limit)
        self.lowest = np.minimum(self.lowest, np.where(known, limit, np.inf))
        self.highest = np.maximum(self.highest, np.where(known, limit, -1.0))

    def kinds(self, known: Mask) -> Iterator[tuple[PaceKind, Mask, Table, Mask]]:
        """The kinds of steps, with the steps of each, the power in each step, and where it is known.

        Args:
            known: steps in which the work is known.
        """
        at_work = known & (self.present > 0) & (self.active == self.present)
        # Whole watts; 0 where the limit of a device is unknown.
        limit = np.where(self.limited == self.present, self.highest, 0.0)
        at_work &= ~((self.limited > 0) & (self.lowest < self.highest)) & ~_beside_a_change(limit)
        powered = self.powered == self.present
        for (gpu_type, fraction), count in sorted(self.of_type.items(), key=str):
            steps = at_work & (count == self.present)
            if gpu_type is None or not steps.any():
                continue
            codes = count * _PER_DEVICE + limit.astype(np.int64)
            for code in np.unique(codes[steps]).tolist():
                devices, limit_w = divmod(code, _PER_DEVICE)
                kind = PaceKind(gpu_type, fraction, devices, float(limit_w) if limit_w else None)
                yield kind, steps & (codes == code), self.watts, powered


def _named(device: DeviceSeries) -> PodDevice:
    return PodDevice(device.pod, device.device_uuid, device.gpu_fraction, device.gpu_type, device.node)


def _bits(rows: HourRows, name: str, grid: Grid) -> Mask:
    return unpacked(rows.rows[name], grid.per_hour).reshape(rows.hours, grid.per_hour)


def _known(device: DeviceSeries, signal: Signal, grid: Grid) -> tuple[Table, Mask]:
    column = device.samples.get(signal)
    if column is None:
        return np.zeros((grid.hours, grid.per_hour)), np.zeros((grid.hours, grid.per_hour), dtype=bool)
    values = np.where(_valid(column, signal), column, np.nan).astype(np.float64)
    table = grid.by_hour(values, np.nan)
    known = ~np.isnan(table)
    return np.where(known, table, 0.0), known


def _beside_a_change(limit: Table) -> Mask:
    """Steps next to a step with another known limit: part of them had the other limit, or of the work counted there."""
    changed = (limit[:, 1:] != limit[:, :-1]) & (limit[:, 1:] > 0.0) & (limit[:, :-1] > 0.0)
    beside = np.zeros(limit.shape, dtype=bool)
    beside[:, 1:] |= changed
    beside[:, :-1] |= changed
    return beside


def work_of(hours: UsageHours) -> float | None:
    """Units of declared work in some hours; None if none was sampled."""
    if hours.work is None or not hours.work.rows["seen"].any():
        return None
    return float(hours.work.rows["total"].sum()) * hours.step_s


def paces_of(hours: UsageHours) -> tuple[Pace, ...]:
    """The paces of some hours, by the time of their end.

    A pace ends where the limit of its GPU type changes: if an earlier limit is set again, that is another pace.
    """
    found: dict[tuple[PaceKind, int], list[tuple[HourRows, int]]] = {}
    changes: dict[tuple[str, float], tuple[float, int]] = {}
    for _, kind, rows, row in sorted(_events(hours), key=lambda event: event[0]):
        changed = 0
        if kind.limit_w is not None:
            card = (kind.gpu_type, kind.gpu_fraction)
            before_w, changed = changes.get(card, (kind.limit_w, 0))
            changed += before_w != kind.limit_w
            changes[card] = kind.limit_w, changed
        found.setdefault((kind, changed), []).append((rows, row))
    paces = (_pace(kind, events, hours.step_s) for (kind, _), events in found.items())
    return tuple(sorted(paces, key=lambda pace: (pace.last_s, pace.first_s, str(pace))))


def _events(hours: UsageHours) -> Iterator[tuple[tuple[int, int, str], PaceKind, HourRows, int]]:
    """The hours in which each kind of pace has steps, with their time."""
    for kind, rows in hours.paces.items():
        for row in np.flatnonzero(rows.rows["seen"]).tolist():
            yield (rows.first_hour + row, int(rows.rows["first"][row]), str(kind)), kind, rows, row


def _pace(kind: PaceKind, events: list[tuple[HourRows, int]], step_s: int) -> Pace:
    def total(name: str) -> float:
        return sum(float(rows.rows[name][row]) for rows, row in events)

    def at_s(event: tuple[HourRows, int], name: str) -> int:
        rows, row = event
        return (rows.first_hour + row) * HOUR_S + int(rows.rows[name][row]) * step_s

    seen, powered = total("seen"), total("powered")
    return Pace(
        gpu_type=kind.gpu_type,
        gpu_fraction=kind.gpu_fraction,
        devices=kind.devices,
        limit_w=kind.limit_w,
        first_s=at_s(events[0], "first"),
        last_s=max(at_s(event, "last") for event in events),
        seconds=seen * step_s,
        work=total("work") * step_s,
        energy_j=total("watts") / powered * seen * step_s if powered >= _POWERED * seen else None,
    )
