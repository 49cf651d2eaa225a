"""What the bill and the report need of a workload's usage, and what scoring yields: this and the profile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

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
        unseen_days: time in which pods that run now had GPUs before the first sample of the workload, as `days`. It is
            part of the bill and not of `allocated_gpu_s`: no recommendation is derived from it.
        stays: when each pod had each device; two stays on one device may overlap.
        sampled_gpu_s: of the time in `days`, GPU-seconds in hours with at least one sample of the device, by midnight;
            a day without any sample is absent.
        activity_tenths: share of the samples by activity, from below 0.1 to 0.9 and more, weighted by age; () if
            neither sensor was sampled.
        requests: requests by midnight; a day of which less than 90 % of the allocated time is known is absent.
        work: units of declared work, in the same way.
        work_unit: the counter of that work; None if the workload declares none.
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
    activity_tenths: tuple[float, ...] = ()
    requests: Mapping[int, float] = field(default_factory=dict)
    work: Mapping[int, float] = field(default_factory=dict)
    work_unit: str | None = None


class ScoredUse(NamedTuple):
    """The result of scoring one workload, or a node's unallocated devices.

    Attributes:
        profile: what the methods need.
        billed: what the bill needs.
    """

    profile: UsageProfile
    billed: BilledUse
