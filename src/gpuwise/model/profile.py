"""What scoring makes of a UsageSeries: distributions, idle intervals, coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window


@dataclass(frozen=True, slots=True)
class BucketLayout:
    """Log-linear buckets: 64 per octave, so a value is told within 1/128 = 0.78 % of itself.

    Attributes:
        lowest: values below it, 0 included, share bucket 0 and read as 0.0.
        highest: values above it fall into the last bucket.
    """

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """A decayed histogram, as weights per bucket.

    Attributes:
        layout: the buckets.
        weights: total weight per bucket, float64 of shape (buckets,).
        midpoints: the value each bucket stands for, float64 of shape (buckets,).
    """

    layout: BucketLayout
    weights: NDArray[np.float64]
    midpoints: NDArray[np.float64]

    def quantile(self, q: float) -> float | None:
        """The least bucket value with at least q of the weight at or below it; None if nothing was seen.

        Args:
            q: 0 to 1.
        """
        total = float(self.weights.sum())
        if total <= 0.0:
            return None
        # Weights are sums of powers of two apart by rounding: the tolerance keeps q = 1 inside the array.
        reached = np.cumsum(self.weights) >= q * total * (1.0 - 1e-12)
        occupied = reached & (self.weights > 0.0)
        return float(self.midpoints[int(np.argmax(occupied))])

    @property
    def mean(self) -> float | None:
        """Weighted mean; None if nothing was seen."""
        total = float(self.weights.sum())
        return float(self.weights @ self.midpoints) / total if total > 0.0 else None

    @property
    def peak(self) -> float | None:
        """The largest bucket value seen, however little it weighs; None if nothing was seen."""
        seen = np.flatnonzero(self.weights > 0.0)
        return float(self.midpoints[seen[-1]]) if seen.size else None


class Verdict(StrEnum):
    """What one signal says about idleness."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SignalVerdict:
    """One signal's word, with the numbers behind it.

    Attributes:
        signal: which.
        highest: largest value in the trailing look-back, None if nothing was sampled.
        threshold: at or above this the signal vetoes idleness.
        coverage: share of the trailing look-back that was sampled.
        verdict: busy vetoes; unknown neither vetoes nor agrees.
    """

    signal: Signal
    highest: float | None
    threshold: float
    coverage: float
    verdict: Verdict


@dataclass(frozen=True)  # no slots: pickling those takes 25 µs each, and a profile has dozens
class IdleInterval:
    """A span in which every signal at hand was below its threshold, unbroken.

    Attributes:
        start_s: first idle second.
        end_s: first second after it.
        gpus: whole-GPU equivalents held through it.
    """

    start_s: int
    end_s: int
    gpus: float


@dataclass(frozen=True, slots=True)
class IdleEvidence:
    """How idle a workload was, and who says so.

    Attributes:
        intervals: per workload, when all its devices were idle at once and for long enough to count.
        idle_gpu_s: GPU-seconds paid for on devices that were idle, device by device.
        since_s: start of the interval that reaches the end of the window, None when the workload is not idle now.
        verdicts: every signal over the time since `since_s` (or the last look-back), with its value and veto.
        agreeing_sensors: how many independent sensors said idle all through the current interval.
    """

    intervals: tuple[IdleInterval, ...]
    idle_gpu_s: float
    since_s: int | None
    verdicts: tuple[SignalVerdict, ...]
    agreeing_sensors: int


@dataclass(frozen=True)  # no slots: pickling those takes 25 µs each, and a profile has dozens
class DayUse:
    """What a workload held of one GPU type on one node in one UTC day; a profile's days sum to its totals.

    Attributes:
        start_s: midnight.
        node: where, None if unknown.
        gpu_type: canonical name of the card, None if unknown.
        allocated_gpu_s: GPU-seconds held.
        idle_gpu_s: of these, on devices that were idle.
        active_gpu_s: of these, on devices that a signal positively shows at work; what is neither is not known.
    """

    start_s: int
    node: str | None
    gpu_type: str | None
    allocated_gpu_s: float
    idle_gpu_s: float
    active_gpu_s: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How use repeats by the hour of the week, UTC; hour 0 begins on Monday at 00:00. Weights decay with age.

    Attributes:
        observed: weight of the hours of which it is known whether there was use, float64 of shape (168,).
        used: of these, those with use.
        rests: of these, those that follow an hour without use.
        wakes: of the rests, those with use.
        busy_gpus: mean of whole-GPU equivalents at work in the hours observed, NaN where none was.
    """

    observed: NDArray[np.float64]
    used: NDArray[np.float64]
    rests: NDArray[np.float64]
    wakes: NDArray[np.float64]
    busy_gpus: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NextUse:
    """When an unused workload is likely to be used again: ends of hours, epoch seconds; None is beyond two weeks.

    Attributes:
        early_s: it is used before this with probability 0.1.
        median_s: as likely before as after.
        late_s: it is used before this with probability 0.9.
    """

    early_s: int | None
    median_s: int | None
    late_s: int | None


class Limit(StrEnum):
    """What keeps a workload from going faster."""

    COMPUTE = "compute-bound"
    BANDWIDTH = "bandwidth-bound"
    MEMORY = "memory-capacity-bound"
    INPUT = "input-starved"
    COMMUNICATION = "communication-stalled"
    IDLE = "idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A workload's limit, with the numbers behind it.

    Attributes:
        limit: which.
        confidence: 0 to 1, by which of the activity signals there were and how well they were sampled.
        means: mean of each signal over the steps at work; a signal that was not sampled then is absent.
    """

    limit: Limit
    confidence: float
    means: Mapping[Signal, float]


@dataclass(frozen=True, slots=True)
class UsageProfile:
    """Everything the recommenders know of a workload's usage.

    Attributes:
        workload: whose.
        window: over which.
        allocated_gpu_s: GPU-seconds held, in whole-GPU equivalents.
        allocated_gpu_s_by_type: allocated GPU-seconds by canonical GPU type ("unknown" where no type is known).
        coverage: share of allocated device-steps with a sample, by signal; a signal never seen is absent.
        distributions: per signal over all devices, decayed; memory is per device.
        daily_peaks: largest memory per day and device in bytes, newest last.
        weight_held: device-steps held, decayed as the distributions' weights are.
        devices: devices held at the end of the window.
        busy_devices: the most devices that were busy in the same step, None if activity was never seen.
        idle: idleness.
        days: allocated and idle time by UTC day, node and GPU type, oldest first.
        requests: total requests seen in the window, None if nothing reports them.
        observed_s: seconds from first to last sample.
        rhythm: use by the hour of the week.
        next_use: forecast of the next use, None where it was never seen to rest or never seen at all.
        bottleneck: what limits it.
        dropped_samples: values that no card can have, over all devices.
        running_pods: number of pods that run now.
        unsampled_pods: of these, those with fewer reporting devices than they request; missing data counts as used.
    """

    workload: WorkloadRef
    window: Window
    allocated_gpu_s: float
    allocated_gpu_s_by_type: Mapping[str, float]
    coverage: Mapping[Signal, float]
    distributions: Mapping[Signal, Distribution]
    daily_peaks: tuple[float, ...]
    weight_held: float
    devices: int
    busy_devices: int | None
    idle: IdleEvidence
    days: tuple[DayUse, ...]
    requests: float | None
    observed_s: int
    rhythm: Rhythm
    next_use: NextUse | None
    bottleneck: Bottleneck
    dropped_samples: int
    running_pods: int = 0
    unsampled_pods: tuple[str, ...] = ()

    def weighted_coverage(self, signal: Signal) -> float:
        """Share of the decayed device-steps held in which a signal was sampled; what a quantile of it speaks for.

        Args:
            signal: of a device.
        """
        seen = self.distributions.get(signal)
        return (
            0.0 if seen is None or self.weight_held <= 0.0 else min(1.0, float(seen.weights.sum()) / self.weight_held)
        )
