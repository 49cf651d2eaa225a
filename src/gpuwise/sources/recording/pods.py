"""Put one file on a window's grid: the devices of a pod, or of a node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, Window
from gpuwise.sources.recording.files import Column, Part, read_file, values_of

_MEANS = frozenset({Signal.WORK, Signal.MEAN_POWER, Signal.OWN_USE})
_NO_STEPS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PodUsage:
    """The content of one file: a pod, or the unallocated devices of a node.

    Attributes:
        devices: devices on the window's grid.
        requests: requests that reached the pod, float32 of shape (window.steps,), None if it reports none.
        alive: steps from its first row to its last.
        scrapes: requests in steps of SCRAPE_S; None if its rows are no closer than the window's steps.
        work: units of declared work that the pod did per second, float32 of shape (window.steps,), None if it has none.
    """

    devices: tuple[DeviceSeries, ...]
    requests: NDArray[np.float32] | None
    alive: slice
    scrapes: NDArray[np.float32] | None = None
    work: NDArray[np.float32] | None = None


def read_pod(path: Path, pod: str, window: Window, live_on: str | None) -> PodUsage:
    """Read one file.

    Args:
        path: the file.
        pod: name of the pod; empty for unallocated devices.
        window: the grid.
        live_on: node for rows without one, None if unknown.

    Raises:
        SourceError: the file is corrupt or lacks a column.
    """
    return pod_usage(*read_file(path, window), pod, window, live_on)


def pod_usage(
    columns: Mapping[Signal, Column], parts: Sequence[Part], pod: str, window: Window, live_on: str | None
) -> PodUsage:
    """Put the rows of a pod on a grid.

    Args:
        columns: by signal.
        parts: the pod's rows of them.
        pod: as for `read_pod`.
        window: as for `read_pod`.
        live_on: as for `read_pod`.
    """
    measured: dict[tuple[str, float], tuple[Part, dict[Signal, NDArray[np.float32]]]] = {}
    spans = []
    for part in parts:
        inside = None if part.times is None else _Inside.of(part.times, window)
        if inside is None:
            continue
        spans.append((inside.first, inside.last + 1))
        known = measured.setdefault((part.device_uuid, part.gpu_fraction), (part, {}))[1]
        for signal, column in columns.items():
            grid = inside.on_grid(values_of(column, part.rows), signal)
            if grid is not None:
                known[signal] = np.fmax(known[signal], grid) if signal in known else grid
    reported = [samples.pop(Signal.REQUESTS) for _, samples in measured.values() if Signal.REQUESTS in samples]
    work = [samples.pop(Signal.WORK) for _, samples in measured.values() if Signal.WORK in samples]
    devices = tuple(
        DeviceSeries(pod, uuid, part.gpu_fraction, part.gpu_type or None, part.node or live_on, samples)
        for (uuid, _), (part, samples) in measured.items()
    )
    alive = slice(min(first for first, _ in spans), max(end for _, end in spans)) if spans else slice(0, 0)
    return PodUsage(
        devices,
        _requests(reported) if reported else None,
        alive,
        _scrapes(columns, parts, window),
        np.fmax.reduce(work) if work else None,
    )


def _scrapes(columns: Mapping[Signal, Column], parts: Sequence[Part], window: Window) -> NDArray[np.float32] | None:
    """Return the pod's requests in steps of SCRAPE_S, where its rows are closer than the window's steps."""
    column, fine = columns.get(Signal.REQUESTS), window.scraped
    if column is None or fine is None:
        return None
    found = []
    for part in parts:
        if part.times is None or not _closer(part.times, window.step_s):
            continue
        inside = _Inside.of(part.times, fine)
        grid = None if inside is None else inside.on_grid(values_of(column, part.rows), Signal.REQUESTS)
        if grid is not None:
            found.append(grid)
    return _requests(found) if found else None


def _closer(times: NDArray[np.int64] | range, step_s: int) -> bool:
    """Whether half of the rows follow the one before in less than a step."""
    if isinstance(times, range):
        return times.step < step_s
    return times.size > 1 and bool(np.median(np.abs(np.diff(times))) < step_s)


def _requests(reported: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the requests of a pod, which may be in the rows of any of its devices; impossible rates are unknown."""
    largest, *more = (_believable(values, Signal.REQUESTS) for values in reported)
    for other in more:
        largest = np.fmax(largest, other)
    return largest


@dataclass(frozen=True, slots=True)
class _Inside:
    """Position of the rows of one device in a window.

    Attributes:
        window: the grid.
        first: smallest step.
        last: largest step.
        even: whether there is one row per step, in order.
        chosen: rows within the window: a slice of even rows, else indices in order of time.
        steps: step of each chosen row; empty for even rows.
        distinct: no two rows are in one step.
    """

    window: Window
    first: int
    last: int
    even: bool
    chosen: slice | NDArray[np.intp]
    steps: NDArray[np.int64]
    distinct: bool

    @classmethod
    def of(cls, times: NDArray[np.int64] | range, window: Window) -> "_Inside | None":
        """Locate rows in a window; None if no row is within it."""
        if isinstance(times, range) and times.step == window.step_s:
            first = (times.start - window.start_s) // window.step_s
            start, end = max(0, -first), min(len(times), window.steps - first)
            if start >= end:
                return None
            return cls(window, first + start, first + end - 1, True, slice(start, end), _NO_STEPS, True)
        steps = (np.asarray(times, dtype=np.int64) - window.start_s) // window.step_s
        rows = np.flatnonzero((steps >= 0) & (steps < window.steps))
        if not rows.size:
            return None
        rows = rows[np.argsort(steps[rows], kind="stable")]
        steps = steps[rows]
        distinct = bool((steps[1:] > steps[:-1]).all())
        return cls(window, int(steps[0]), int(steps[-1]), False, rows, steps, distinct)

    def on_grid(self, values: NDArray[np.float32] | None, signal: Signal) -> NDArray[np.float32] | None:
        """Put values on the window's steps: the maximum per step, of `_MEANS` the mean; None if there are no values."""
        if values is None:
            return None
        chosen = values[self.chosen]
        steps = self.window.steps
        if self.even and chosen.shape[0] == steps:
            return chosen
        grid = np.full(steps, np.nan, dtype=np.float32)
        if self.even:
            grid[self.first : self.last + 1] = chosen
            return grid
        # A sentinel is not a sample and must not win as the maximum (dcgm-exporter#418: 4294967295 as utilisation).
        chosen = _believable(chosen, signal)
        if self.distinct:  # takes a tenth of the time of the maximum, which is not needed here
            grid[self.steps] = chosen
        elif signal in _MEANS:  # the busiest minute of a step is not its speed
            known = ~np.isnan(chosen)
            count = np.bincount(self.steps[known], minlength=steps)
            total = np.bincount(self.steps[known], weights=chosen[known], minlength=steps)
            grid[count > 0] = (total[count > 0] / count[count > 0]).astype(np.float32)
        else:
            np.fmax.at(grid, self.steps, chosen)
        return grid


def _believable(values: NDArray[np.float32], signal: Signal) -> NDArray[np.float32]:
    """Replace values that are not valid samples by NaN; return the same array if all are valid."""
    highest = SIGNALS[signal].highest
    if np.minimum.reduce(values) >= 0.0 and np.maximum.reduce(values) <= highest:  # False for NaN
        return values
    return np.where((values >= 0.0) & (values <= highest), values, np.float32(np.nan))
