"""Idleness: masks over steps, and their runs.

A step of a device is idle if every signal that the device ever reported was sampled in it and none reached its
threshold. So more activity, or fewer samples, can only reduce the idle steps (I3 in docs/safety.md); a step with a
missing sample is not idle (I1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import named
from gpuwise.model.hours import HourRows, PodDevice
from gpuwise.model.profile import IdleInterval
from gpuwise.model.signal import Signal
from gpuwise.score.settings import ScoreSettings

Mask = NDArray[np.bool_]

ACTIVITY = (
    Signal.SM_ACTIVITY,
    Signal.TENSOR_ACTIVITY,
    Signal.DRAM_ACTIVITY,
    Signal.GPU_UTIL,
    Signal.KERNEL_ACTIVITY,
)
# Used memory is not a sign of use: endpoints keep their weights and KV cache loaded for weeks.
VOTER_BITS: dict[Signal, int] = {
    Signal.SM_ACTIVITY: 1,
    Signal.TENSOR_ACTIVITY: 2,
    Signal.DRAM_ACTIVITY: 4,
    Signal.GPU_UTIL: 8,
    Signal.POWER: 16,
    Signal.KERNEL_ACTIVITY: 32,
}
"""Signals that decide about idleness; checkpoints store these bits, so a number must never be reused."""

_ACTIVITY_BITS = sum(VOTER_BITS[signal] for signal in ACTIVITY)


def threshold(signal: Signal, gpu_type: str | None, settings: ScoreSettings) -> float | None:
    """The value at which a signal vetoes idleness on this card; None if the power limit of the card is not known."""
    if signal is not Signal.POWER:
        return settings.activity_idle_below
    gpu = named(gpu_type) if gpu_type else None
    return gpu.idle_ratio * gpu.board_watts if gpu else None


@dataclass(frozen=True, slots=True)
class Runs:
    """Maximal runs of True in a mask, as half-open ranges of steps.

    Attributes:
        starts: first step of each, ascending, shape (runs,).
        ends: first step after each, shape (runs,).
    """

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, mask: Mask, *, at_least: int) -> "Runs":
        """The runs of True with at least this many steps."""
        edges = (mask[1:] != mask[:-1]).nonzero()[0] + 1
        first = [0] if mask.size and mask[0] else []
        last = [mask.size] if mask.size and mask[-1] else []
        bounds = np.concatenate((first, edges, last)).astype(np.intp) if first or last else edges
        starts, ends = bounds[::2], bounds[1::2]
        long = ends - starts >= at_least
        return cls(starts[long], ends[long])

    @property
    def steps(self) -> int:
        """Number of steps in all runs."""
        return int((self.ends - self.starts).sum())

    def within(self, bounds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Number of steps of the runs between each bound and the next, shape (bounds - 1,)."""
        if not self.starts.size:
            return np.zeros(bounds[1:].shape[0])
        # The cumulative steps grow by one per step within a run and not outside: exact, because the slopes are 1 and 0.
        edges, passed = np.empty(2 * self.starts.size), np.zeros(2 * self.starts.size)
        edges[::2], edges[1::2] = self.starts, self.ends
        np.cumsum(self.ends - self.starts, out=passed[1::2])
        passed[2::2] = passed[1:-1:2]
        reached = np.interp(bounds, edges, passed)
        between: NDArray[np.float64] = reached[1:] - reached[:-1]
        return between


@dataclass(frozen=True, slots=True)
class AllocatedDevice:
    """A device while it was allocated: from its first sample to its last, including gaps between them.

    Attributes:
        pod_device: the device.
        rows: its hours.
        start: first allocated step, on the workload's steps.
        end: first step after it.
        idle: steps that were idle by every signal the device ever reported, shape (steps,).
        voters: bits of these signals.
        active: number of steps of each row with activity, shape (hours,).
        seen: number of samples by signal, shape (signals,).
    """

    pod_device: PodDevice
    rows: HourRows
    start: int
    end: int
    idle: Mask
    voters: int
    active: NDArray[np.int64]
    seen: NDArray[np.int64]

    @property
    def reports_activity(self) -> bool:
        """Whether any activity signal was ever sampled."""
        return bool(self.voters & _ACTIVITY_BITS)

    @property
    def not_idle(self) -> Mask:
        """The allocated steps that were not idle, shape (end - start,)."""
        busy: Mask = ~self.idle[self.start : self.end]
        return busy


def allocated_device(
    pod_device: PodDevice, rows: HourRows, *, first_hour: int, steps: int, per_hour: int
) -> AllocatedDevice:
    """Arrange the rows of a device on the steps of its workload.

    Args:
        pod_device: the device.
        rows: its hours; the first and the last have at least one sample each.
        first_hour: hour of step 0.
        steps: length of the grid.
        per_hour: steps in an hour.
    """
    table = rows.rows
    voters = int(np.bitwise_or.reduce(table["voters"]))
    # An hour without any sample of a signal that the device reports in other hours is a gap, not idle.
    whole = (table["voters"] == voters) & bool(voters & _ACTIVITY_BITS)
    at = (rows.first_hour - first_hour) * per_hour
    idle = np.zeros(steps, dtype=bool)
    bits = table["idle"] if np.logical_and.reduce(whole) else table["idle"] * whole[:, None]
    idle[at : at + rows.hours * per_hour] = unpacked(bits, per_hour)
    first, last = unpacked(table["sampled"][[0, -1]], per_hour).reshape(2, per_hour)
    end = at + (rows.hours - 1) * per_hour + int(np.flatnonzero(last)[-1]) + 1
    return AllocatedDevice(
        pod_device=pod_device,
        rows=rows,
        start=at + int(np.argmax(first)),
        end=end,
        idle=idle,
        voters=voters,
        active=_counted(table["active"]),
        seen=np.add.reduce(table["seen"], axis=0, dtype=np.int64),
    )


def _counted(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number of set bits in each row, shape (rows,)."""
    counted: NDArray[np.int64] = np.add.reduce(np.bitwise_count(_words(bits)), axis=1, dtype=np.int64)
    return counted


def any_set(bits: NDArray[np.uint8]) -> Mask:
    """Whether any bit of each row is set, shape (rows,)."""
    found: Mask = np.logical_or.reduce(_words(bits), axis=1)
    return found


def _words(bits: NDArray[np.uint8]) -> NDArray[Any]:
    """The rows in as few integers as possible: one for steps of 60 s and 300 s."""
    whole = np.ascontiguousarray(bits)
    return whole.view(f"u{bits.shape[1]}") if bits.shape[1] in (1, 2, 4, 8) else whole


def unpacked(bits: NDArray[np.uint8], per_hour: int) -> Mask:
    """The bits of hours as a mask over steps."""
    # Rows of whole bytes are unpacked in one call: unpackbits along an axis is far slower.
    steps: Mask = np.unpackbits(bits.ravel()).view(bool).reshape(bits.shape[0], -1)[:, :per_hour].ravel()
    return steps


def together_idle(devices: Sequence[AllocatedDevice], silent: Mask | None, steps: int) -> Mask:
    """Steps at which a device was allocated, every allocated device was idle, and no request arrived.

    Args:
        devices: of one workload.
        silent: steps known to have no request, None if no source reports requests.
        steps: length of the grid.
    """
    if len(devices) == 1:
        quiet = devices[0].idle
    else:
        allocated, busy = np.zeros(steps, dtype=bool), np.zeros(steps, dtype=bool)
        for device in devices:
            allocated[device.start : device.end] = True
            busy[device.start : device.end] |= device.not_idle
        quiet = allocated & ~busy
    return quiet if silent is None else quiet & silent


def intervals(quiet: Runs, devices: Sequence[AllocatedDevice], *, base_s: int, step_s: int) -> tuple[IdleInterval, ...]:
    """Idle runs as time intervals, with the GPUs allocated during each.

    Args:
        quiet: runs of `together_idle`.
        devices: of the workload.
        base_s: time of step 0, epoch seconds.
        step_s: length of a step.
    """
    gpus = np.zeros(quiet.starts.shape[0])
    for device in devices:
        overlap = np.minimum(quiet.ends, device.end) - np.maximum(quiet.starts, device.start)
        gpus += device.pod_device.gpu_fraction * np.maximum(overlap, 0) / (quiet.ends - quiet.starts)
    starts_s, ends_s = base_s + quiet.starts * step_s, base_s + quiet.ends * step_s
    return tuple(map(IdleInterval, starts_s.tolist(), ends_s.tolist(), gpus.tolist()))
