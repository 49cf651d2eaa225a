"""The result of scoring a UsageSeries: distributions, idle intervals, coverage.

No class here has slots: pickling a frozen dataclass with slots takes 25 µs, and a profile has dozens of objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gaps import RequestGaps
from gpuwise.model.inventory import Start, WorkloadRef
from gpuwise.model.pace import Pace
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window


@dataclass(frozen=True)
class Distribution:
    """A decayed histogram: the buckets with samples, 4 % of all buckets in a month of a usual signal.

    Attributes:
        values: the value that each bucket represents, ascending, float64 of shape (buckets,).
        weights: total weight of its samples, above 0, same shape.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    def quantile(self, q: float) -> float | None:
        """The smallest bucket value with at least q of the weight at or below it; None if nothing was sampled.

        Args:
            q: 0 to 1.
        """
        if not self.values.size:
            return None
        # Weights are sums of powers of two with rounding errors: the tolerance keeps q = 1 inside the array.
        reached = self.weights.cumsum()
        return float(self.values[reached.searchsorted(q * reached[-1] * (1.0 - 1e-12))])

    @property
    def mean(self) -> float | None:
        """Weighted mean; None if nothing was sampled."""
        return float(self.weights @ self.values) / float(self.weights.sum()) if self.values.size else None

    @property
    def peak(self) -> float | None:
        """The largest bucket value; None if nothing was sampled."""
        return float(self.values[-1]) if self.values.size else None


class Verdict(StrEnum):
    """Whether one signal shows a workload as idle."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"

    __hash__ = str.__hash__  # as in Signal


class SignalVerdict(NamedTuple):
    """One signal's verdict on idleness, with the numbers behind it.

    Attributes:
        signal: the signal.
        highest: largest value in the trailing look-back, None if nothing was sampled.
        threshold: a value at or above this means that the workload is not idle.
        coverage: share of the trailing look-back that was sampled.
        verdict: BUSY vetoes idleness; UNKNOWN neither vetoes nor confirms it.
    """

    signal: Signal
    highest: float | None
    threshold: float
    coverage: float
    verdict: Verdict


@dataclass(frozen=True)
class IdleIntervals:
    """Unbroken spans in which every available signal was below its threshold, in order of time; arrays of shape (n,).

    Attributes:
        start_s: first idle second of each.
        end_s: first second after it.
    """

    start_s: NDArray[np.int64]
    end_s: NDArray[np.int64]

    @classmethod
    def none(cls) -> "IdleIntervals":
        """No interval."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def reaching(self, end_s: int) -> int | None:
        """The first second of the interval that reaches a time; None if the last one ends before it."""
        return int(self.start_s[-1]) if self.end_s.size and self.end_s[-1] == end_s else None


@dataclass(frozen=True)
class IdleEvidence:
    """How idle a workload was, and which sensors agree.

    Attributes:
        intervals: spans in which all devices of the workload were idle at once, and long enough to count.
        idle_gpu_s: GPU-seconds allocated on idle devices, summed over the devices.
        since_s: start of the interval that reaches the end of the window, None if the workload is not idle now.
        verdicts: the verdict of every signal since `since_s` (or over the last look-back).
        agreeing_sensors: how many independent sensors measured no use throughout the current interval.
    """

    intervals: IdleIntervals
    idle_gpu_s: float
    since_s: int | None
    verdicts: tuple[SignalVerdict, ...]
    agreeing_sensors: int


class DayUse(NamedTuple):
    """A workload's use of one GPU type on one node in one UTC day; all days sum to the profile's totals.

    Attributes:
        start_s: midnight.
        node: the node, None if unknown.
        gpu_type: canonical name of the GPU type, None if unknown.
        allocated_gpu_s: GPU-seconds allocated.
        idle_gpu_s: of these, on devices that were idle.
        active_gpu_s: of these, on devices that a signal shows at work; time that is neither is not known.
        unknown_gpu_s: of these, allocated to pods that have no sample in the window.
        powered_gpu_s: of these, with a sample of the board's power.
        energy_j: energy in that time, joules.
        sm_known_gpu_s: of these, with a sample of SM activity.
        sm_gpu_s: that time, weighted by SM activity.
        shared_gpu_s: of these, on devices that several pods had at once.
        by_use_gpu_s: of the shared time, divided by what each pod was measured to use.
        shift_gpu_s: how much more it would be if all shared time were divided by request; less is negative.
    """

    start_s: int
    node: str | None
    gpu_type: str | None
    allocated_gpu_s: float
    idle_gpu_s: float
    active_gpu_s: float
    unknown_gpu_s: float = 0.0
    powered_gpu_s: float = 0.0
    energy_j: float = 0.0
    sm_known_gpu_s: float = 0.0
    sm_gpu_s: float = 0.0
    shared_gpu_s: float = 0.0
    by_use_gpu_s: float = 0.0
    shift_gpu_s: float = 0.0

    def times(self, factor: float) -> "DayUse":
        """That part of all amounts."""
        return DayUse(*self[:3], *(amount * factor for amount in self[3:]))

    def plus(self, other: "DayUse") -> "DayUse":
        """The amounts of both; day, node and type are those of this one."""
        return DayUse(*self[:3], *(one + two for one, two in zip(self[3:], other[3:], strict=True)))


class StayDay(NamedTuple):
    """What was measured of a stay on one UTC day.

    Attributes:
        powered_gpu_s, energy_j, sm_known_gpu_s, sm_gpu_s: as in `DayUse`, with the share of the stay.
        own_use: mean share of the device that the pod used, 0 to 1; None if less than 90 % of the time was measured.
    """

    powered_gpu_s: float
    energy_j: float
    sm_known_gpu_s: float
    sm_gpu_s: float
    own_use: float | None


class Stay(NamedTuple):
    """The time in which one pod had one device, from its first sample to its last.

    Attributes:
        device_uuid: the device.
        node: its node, None if unknown.
        gpu_type: canonical name of the GPU type, None if unknown.
        gpu_fraction: share of a whole GPU that the pod pays for if it has the device alone or the share is stated.
        start_s: first second.
        end_s: first second after it.
        idle_s: first seconds and first seconds after idle spans, in turn.
        days: what was measured, by UTC day from that of `start_s` on; empty if the pod has a whole card.
    """

    device_uuid: str
    node: str | None
    gpu_type: str | None
    gpu_fraction: float
    start_s: int
    end_s: int
    idle_s: tuple[int, ...] = ()
    days: tuple[StayDay, ...] = ()


@dataclass(frozen=True)
class Rhythm:
    """How use repeats by the hour of the week, UTC; hour 0 begins on Monday at 00:00. Weights decay with age.

    Attributes:
        observed: weight of the hours for which it is known whether there was use, float64 of shape (168,).
        used: of these, the hours with use.
        after_idle: of the hours observed, those that follow an hour without use.
        resumed: of the hours in `after_idle`, those with use.
        busy_gpus: mean whole-GPU equivalents at work in the hours observed, NaN if none was observed.
        unused_weeks: number of weeks in which the hour was unused, not weighted; 0 if it was used or unknown in any.
    """

    observed: NDArray[np.float64]
    used: NDArray[np.float64]
    after_idle: NDArray[np.float64]
    resumed: NDArray[np.float64]
    busy_gpus: NDArray[np.float64]
    unused_weeks: NDArray[np.int64]


@dataclass(frozen=True)
class NextUse:
    """When an unused workload is likely to be used again: ends of hours, epoch seconds; None is beyond two weeks.

    Attributes:
        early_s: the workload is used before this with probability 0.1.
        median_s: the workload is used before this with probability 0.5.
        late_s: the workload is used before this with probability 0.9.
    """

    early_s: int | None
    median_s: int | None
    late_s: int | None


class Limit(StrEnum):
    """What limits the speed of a workload."""

    COMPUTE = "compute-bound"
    BANDWIDTH = "bandwidth-bound"
    MEMORY = "memory-capacity-bound"
    INPUT = "input-starved"
    COMMUNICATION = "communication-stalled"
    IDLE = "idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Bottleneck:
    """A workload's limit, with the numbers behind it.

    Attributes:
        limit: the limit.
        confidence: 0 to 1, from which activity signals were available and how well they were sampled.
        means: mean of each signal over the steps at work; a signal without samples in these steps is absent.
    """

    limit: Limit
    confidence: float
    means: Mapping[Signal, float]


@dataclass(frozen=True)
class UsageProfile:
    """Everything that the methods know about a workload's usage; the bill has its own data, `BilledUse`.

    Attributes:
        workload: the workload.
        window: the window of the data.
        allocated_gpu_s: GPU-seconds allocated, in whole-GPU equivalents.
        allocated_gpu_s_by_type: allocated GPU-seconds by canonical GPU type ("unknown" if the type is not known).
        coverage: share of allocated device-steps with a sample, by signal; a signal without samples is absent.
        distributions: by signal over all devices, decayed; memory is per device.
        daily_peaks: largest memory per day and device in bytes, newest last.
        allocated_weight: device-steps allocated, decayed like the weights of the distributions.
        devices: devices allocated at the end of the window.
        busy_devices: the largest number of devices that were busy in the same step, None if activity was not sampled.
        idle: idleness.
        active_gpu_s: GPU-seconds on devices that a signal shows at work, summed over the devices.
        requests: total requests in the window, None if no source reports them.
        gaps: the gaps between its requests, None if no source reports them.
        starts: the cold starts of its pods that were seen, also of pods that are gone, by the time of their end.
        observed_s: seconds from first to last sample.
        rhythm: use by the hour of the week.
        next_use: forecast of the next use, None if the workload never became idle or was not sampled.
        bottleneck: what limits the workload.
        running_pods: number of pods that run now.
        unsampled_pods: of these, those with fewer reporting devices than they request; missing data counts as used.
        work: units of declared work done in the window, None if no source reports them.
        paces: how fast it worked, by device and power limit, in the order of `last_s`.
    """

    workload: WorkloadRef
    window: Window
    allocated_gpu_s: float
    allocated_gpu_s_by_type: Mapping[str, float]
    coverage: Mapping[Signal, float]
    distributions: Mapping[Signal, Distribution]
    daily_peaks: tuple[float, ...]
    allocated_weight: float
    devices: int
    busy_devices: int | None
    idle: IdleEvidence
    active_gpu_s: float
    requests: float | None
    observed_s: int
    rhythm: Rhythm
    next_use: NextUse | None
    bottleneck: Bottleneck
    running_pods: int = 0
    unsampled_pods: tuple[str, ...] = ()
    gaps: RequestGaps | None = None
    starts: tuple[Start, ...] = ()
    work: float | None = None
    paces: tuple[Pace, ...] = ()

    def weighted_coverage(self, signal: Signal) -> float:
        """Share of the decayed, allocated device-steps in which a signal was sampled; a quantile covers only these.

        Args:
            signal: a signal of a device.
        """
        distribution = self.distributions.get(signal)
        if distribution is None or self.allocated_weight <= 0.0:
            return 0.0
        return min(1.0, float(np.add.reduce(distribution.weights)) / self.allocated_weight)
