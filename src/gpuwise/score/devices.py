"""The devices of a workload on its steps."""

from typing import NamedTuple

from gpuwise.model.hours import PodDevice
from gpuwise.model.profile import IdleIntervals
from gpuwise.score._sheet import Placed
from gpuwise.score._sheet_py import Edges
from gpuwise.score.idle import ACTIVITY_BITS
from gpuwise.score.summary import NO_HOURS, DeviceSummary


class AllocatedDevice(NamedTuple):
    """A device while it was allocated: from its first sample to its last, including gaps between them.

    Attributes:
        pod_device: the device.
        summary: of its hours; `NO_HOURS` if it has no samples.
        start: first allocated step, on the workload's steps.
        end: first step after it.
    """

    pod_device: PodDevice
    summary: DeviceSummary
    start: int
    end: int

    @property
    def voters(self) -> int:
        """Bits of the signals that decide about idleness and that the device ever reported."""
        return self.summary.voters

    @property
    def reports_activity(self) -> bool:
        """Whether any activity signal was ever sampled."""
        return bool(self.voters & ACTIVITY_BITS)

    def placed(self, pod: int, *, first_hour: int, per_hour: int) -> Placed:
        """The device as the kernel needs it.

        Args:
            pod: number of its pod.
            first_hour: hour of step 0.
            per_hour: steps in an hour.
        """
        summary, at = self.summary, self.summary.first_hour - first_hour if self.summary.hours else 0
        share = self.pod_device.gpu_fraction / per_hour
        return Placed(at, summary.idle, summary.active, summary.sampled, self.start, self.end, pod, share)


def allocated_device(
    pod_device: PodDevice, summary: DeviceSummary, *, first_hour: int, per_hour: int
) -> AllocatedDevice:
    """Arrange a device on the steps of its workload.

    Args:
        pod_device: the device.
        summary: of its hours.
        first_hour: hour of step 0.
        per_hour: steps in an hour.
    """
    at = (summary.first_hour - first_hour) * per_hour
    end = at + (summary.hours - 1) * per_hour + summary.end_step
    return AllocatedDevice(pod_device, summary, at + summary.first_step, end)


def unsampled_device(pod_device: PodDevice, start: int, end: int) -> AllocatedDevice:
    """A device without samples, which counts as used.

    Args:
        pod_device: the device.
        start: first allocated step.
        end: first step after it.
    """
    return AllocatedDevice(pod_device, NO_HOURS, start, end)


def intervals(quiet: Edges, *, base_s: int, step_s: int) -> IdleIntervals:
    """Idle runs as time intervals.

    Args:
        quiet: the runs.
        base_s: time of step 0, epoch seconds.
        step_s: length of a step.
    """
    return IdleIntervals(base_s + quiet[::2] * step_s, base_s + quiet[1::2] * step_s)
