"""What the bill and the report need of a profile: less than half of it, and none of its distributions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import Bottleneck, DayUse, Stay, UsageProfile
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window


@dataclass(frozen=True)
class BilledUse:
    """The time that a workload, or a node's unallocated devices, had, and what the report says beside it.

    Attributes:
        workload: the workload; `node_ref` for unallocated devices.
        window: the window of the data.
        allocated_gpu_s: GPU-seconds allocated, in whole-GPU equivalents.
        days: allocated and idle time by UTC day, node and GPU type, oldest first.
        coverage: share of allocated device-steps with a sample, by signal; a signal without samples is absent.
        activity: mean activity over all devices, by the better sensor; None if none was sampled.
        bottleneck: what limits the workload.
        next_use_s: median forecast of the next use, epoch seconds; None if there is none.
        dropped_samples: impossible values that were dropped, over all devices.
        unseen_days: time before the first sample of the workload, as `days`.
        stays: when each pod had each device.
        sampled_gpu_s: GPU-seconds of `days` in hours with a sample of the device, by midnight.
    """

    workload: WorkloadRef
    window: Window
    allocated_gpu_s: float
    days: tuple[DayUse, ...]
    coverage: Mapping[Signal, float]
    activity: float | None
    bottleneck: Bottleneck
    next_use_s: int | None
    dropped_samples: int
    unseen_days: tuple[DayUse, ...] = ()
    stays: tuple[Stay, ...] = ()
    sampled_gpu_s: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: UsageProfile) -> "BilledUse":
        """Take from a profile what the bill needs."""
        sensors = (profile.distributions.get(signal) for signal in (Signal.SM_ACTIVITY, Signal.GPU_UTIL))
        means = (sensor.mean for sensor in sensors if sensor is not None)
        return cls(
            workload=profile.workload,
            window=profile.window,
            allocated_gpu_s=profile.allocated_gpu_s,
            days=profile.days,
            coverage=profile.coverage,
            activity=next((mean for mean in means if mean is not None), None),
            bottleneck=profile.bottleneck,
            next_use_s=None if profile.next_use is None else profile.next_use.median_s,
            dropped_samples=profile.dropped_samples,
            unseen_days=profile.unseen_days,
            stays=profile.stays,
            sampled_gpu_s=profile.sampled_gpu_s,
        )
