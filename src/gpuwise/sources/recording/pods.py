"""One file laid on a window's grid: what a pod's devices did, or a node's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, Window
from gpuwise.sources.recording.files import Part, read_file, values_of

_NO_STEPS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What one file says of a pod, or of a node's devices that no pod held.

    Attributes:
        devices: on the window's grid.
        requests: that reached the pod, float32 of shape (window.steps,), None where it reports none.
        alive: steps from its first row to its last.
    """

    devices: tuple[DeviceSeries, ...]
    requests: NDArray[np.float32] | None
    alive: slice


def read_pod(path: Path, pod: str, window: Window, live_on: str | None) -> PodUsage:
    """Read one file.

    Args:
        path: of the file.
        pod: whose it is; empty for devices that no pod held.
        window: the grid of the answer.
        live_on: node for rows that name none, None if unknown.

    Raises:
        SourceError: the file is corrupt or lacks a column.
    """
    columns, parts = read_file(path)
    measured: dict[str, tuple[Part, dict[Signal, NDArray[np.float32]]]] = {}
    spans = []
    for part in parts:
        inside = None if part.times is None else _Inside.of(part.times, window)
        if inside is None:
            continue
        spans.append((inside.first, inside.last + 1))
        known = measured.setdefault(part.device_uuid, (part, {}))[1]
        for signal, column in columns.items():
            grid = inside.on_grid(values_of(column, part.rows), signal)
            if grid is not None:
                known[signal] = np.fmax(known[signal], grid) if signal in known else grid
    reported = [samples.pop(Signal.REQUESTS) for _, samples in measured.values() if Signal.REQUESTS in samples]
    devices = tuple(
        DeviceSeries(pod, uuid, part.gpu_fraction, part.gpu_type or None, part.node or live_on, samples)
        for uuid, (part, samples) in measured.items()
    )
    alive = slice(min(first for first, _ in spans), max(end for _, end in spans)) if spans else slice(0, 0)
    return PodUsage(devices, _requests(reported) if reported else None, alive)


def _requests(reported: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Requests of a pod, which may stand on any of its devices' rows; what is no rate is unknown."""
    largest, *more = (_believable(values, Signal.REQUESTS) for values in reported)
    for other in more:
        largest = np.fmax(largest, other)
    return largest


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where the rows of one device fall on a window.

    Attributes:
        window: the grid.
        first: least step.
        last: largest step.
        even: whether the rows are one a step, in order.
        chosen: those within the window, a slice of even rows, else indices in order of time.
        steps: the step of each chosen row; empty for even rows.
        alone: no two rows fall on one step.
    """

    window: Window
    first: int
    last: int
    even: bool
    chosen: slice | NDArray[np.intp]
    steps: NDArray[np.int64]
    alone: bool

    @classmethod
    def of(cls, times: NDArray[np.int64] | range, window: Window) -> "_Inside | None":
        """None where no row falls within the window."""
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
        alone = bool((steps[1:] > steps[:-1]).all())
        return cls(window, int(steps[0]), int(steps[-1]), False, rows, steps, alone)

    def on_grid(self, values: NDArray[np.float32] | None, signal: Signal) -> NDArray[np.float32] | None:
        """Values on the window's steps, by the maximum per step; None where there are none."""
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
        # A sentinel (dcgm-exporter#418 read 4294967295 as utilisation) is no sample, and so not the largest one.
        chosen = _believable(chosen, signal)
        if self.alone:  # a tenth of the time of the maximum, which has nothing to choose from here
            grid[self.steps] = chosen
        else:
            np.fmax.at(grid, self.steps, chosen)
        return grid


def _believable(values: NDArray[np.float32], signal: Signal) -> NDArray[np.float32]:
    """The values with NaN for those that are no samples; not a copy where all are."""
    highest = SIGNALS[signal].highest
    if np.minimum.reduce(values) >= 0.0 and np.maximum.reduce(values) <= highest:  # False for NaN
        return values
    return np.where((values >= 0.0) & (values <= highest), values, np.float32(np.nan))
