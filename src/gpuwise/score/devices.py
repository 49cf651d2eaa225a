"""The devices of a workload on its steps, and the spans in which all of them are idle."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpuwise.model.hours import PodDevice
from gpuwise.model.profile import IdleIntervals
from gpuwise.score.idle import ACTIVITY_BITS, Mask, Runs, unpacked
from gpuwise.score.summary import NO_HOURS, DeviceSummary


class AllocatedDevice(NamedTuple):
    """A device while it was allocated: from its first sample to its last, including gaps between them.

    Attributes:
        pod_device: the device.
        summary: of its hours; `NO_HOURS` if it has no samples.
        start: first allocated step, on the workload's steps.
        end: first step after it.
        idle: steps that were idle by every signal the device ever reported, shape (steps,).
    """

    pod_device: PodDevice
    summary: DeviceSummary
    start: int
    end: int
    idle: Mask

    @property
    def voters(self) -> int:
        """Bits of the signals that decide about idleness and that the device ever reported."""
        return self.summary.voters

    @property
    def reports_activity(self) -> bool:
        """Whether any activity signal was ever sampled."""
        return bool(self.voters & ACTIVITY_BITS)

    @property
    def not_idle(self) -> Mask:
        """The allocated steps that were not idle, shape (end - start,)."""
        busy: Mask = ~self.idle[self.start : self.end]
        return busy


def allocated_device(
    pod_device: PodDevice, summary: DeviceSummary, *, first_hour: int, steps: int, per_hour: int
) -> AllocatedDevice:
    """Arrange the hours of a device on the steps of its workload.

    Args:
        pod_device: the device.
        summary: of its hours.
        first_hour: hour of step 0.
        steps: length of the grid.
        per_hour: steps in an hour.
    """
    at = (summary.first_hour - first_hour) * per_hour
    idle = np.zeros(steps, dtype=bool)
    idle[at : at + summary.hours * per_hour] = unpacked(summary.idle, per_hour)
    end = at + (summary.hours - 1) * per_hour + summary.end_step
    return AllocatedDevice(pod_device, summary, at + summary.first_step, end, idle)


def unsampled_device(pod_device: PodDevice, start: int, end: int, *, steps: int) -> AllocatedDevice:
    """A device without samples, which counts as used.

    Args:
        pod_device: the device.
        start: first allocated step.
        end: first step after it.
        steps: length of the grid.
    """
    return AllocatedDevice(pod_device, NO_HOURS, start, end, np.zeros(steps, dtype=bool))


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


def intervals(quiet: Runs, *, base_s: int, step_s: int) -> IdleIntervals:
    """Idle runs as time intervals.

    Args:
        quiet: runs of `together_idle`.
        base_s: time of step 0, epoch seconds.
        step_s: length of a step.
    """
    return IdleIntervals(base_s + quiet.starts * step_s, base_s + quiet.ends * step_s)
