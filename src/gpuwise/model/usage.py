"""Measured usage: a UsageSeries per workload over a window."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal

DAY_S = 86_400

SCRAPE_S = 30
"""Step at which sources supply the requests of endpoints, seconds: a usual scrape interval."""

Samples = NDArray[np.float64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time divided into steps: sample i covers [start_s + i step_s, start_s + (i + 1) step_s).

    Attributes:
        start_s: first second, epoch seconds.
        end_s: first second after the span.
        step_s: length of a step; end_s - start_s is a multiple of it.
    """

    start_s: int
    end_s: int
    step_s: int

    def __post_init__(self) -> None:
        if self.step_s <= 0 or self.end_s <= self.start_s or (self.end_s - self.start_s) % self.step_s:
            raise ValueError(f"window {self.start_s}..{self.end_s} is not a positive multiple of {self.step_s} s")

    @property
    def steps(self) -> int:
        """How many samples a complete series has."""
        return (self.end_s - self.start_s) // self.step_s

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return self.end_s - self.start_s

    @property
    def scraped(self) -> "Window | None":
        """The same span in steps of SCRAPE_S; None if its own steps are as short, or do not consist of such steps."""
        if self.step_s <= SCRAPE_S or self.step_s % SCRAPE_S:
            return None
        return Window(self.start_s, self.end_s, SCRAPE_S)

    @classmethod
    def ending(cls, now_s: int, *, length_s: int, step_s: int) -> "Window":
        """The last whole steps before `now_s`, aligned to multiples of `step_s` so that all runs use the same grid."""
        end_s = now_s - now_s % step_s
        return cls(end_s - length_s // step_s * step_s, end_s, step_s)


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """One pod's use of one device: an array per signal on the window's grid.

    A value that is NaN, negative or above `SignalSpec.highest` counts as not sampled; scoring skips it.

    Attributes:
        pod: name of the pod; empty for an unallocated device.
        device_uuid: NVML's UUID.
        gpu_fraction: share of a whole GPU that this allocation pays for: 1.0, 1/7 for a 1g slice, 1/n if n pods share.
        gpu_type: canonical name of the GPU type, None if unknown.
        node: the GPU's node, None if unknown; the GPU's price depends on how the node is paid for.
        samples: by signal, float64 or float32 of shape (window.steps,).
        dropped_samples: steps whose value was dropped because it is impossible or its unit is ambiguous.
        heartbeats: values that advance while the exporter measures (the energy counter, the time of the last sample),
            each of shape (window.steps,), NaN where missing.
    """

    pod: str
    device_uuid: str
    gpu_fraction: float
    gpu_type: str | None
    node: str | None
    samples: Mapping[Signal, Samples]
    dropped_samples: int = 0
    heartbeats: tuple[Samples, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageSeries:
    """All measurements of one workload over one window.

    Attributes:
        workload: the workload.
        window: the grid of all arrays.
        devices: one entry per pod and device.
        requests_per_second: requests that reached the workload, shape (window.steps,), or None if no source reports
            requests.
        scraped_requests: for an endpoint the same in steps of SCRAPE_S, shape (window.seconds / SCRAPE_S,), or None if
            the source has no samples closer than the window's steps.
        work_per_second: units of work that its pods did, by the counter that the workload declares (`WORK_METRIC`),
            shape (window.steps,), NaN where unknown, or None if it declares none or no source reports it.
        work_metric: the name of that counter; None if the workload declares none.
    """

    workload: WorkloadRef
    window: Window
    devices: tuple[DeviceSeries, ...]
    requests_per_second: NDArray[np.float64] | None = None
    scraped_requests: NDArray[np.float64] | None = None
    work_per_second: NDArray[np.float64] | None = None
    work_metric: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedPod:
    """All measurements of one pod during the part of its life that a recording covers; recordings are stored per pod.

    The unallocated devices of a node are recorded in the same way, with "" as namespace and pod.

    Attributes:
        namespace: the pod's namespace.
        window: the pod's own grid, used by all arrays.
        devices: one entry per device.
        requests_per_second: requests that reached this pod, shape (window.steps,), or None if no source reports
            requests.
        work_per_second: units of declared work that this pod did, shape (window.steps,), or None if none are reported.
    """

    namespace: str
    window: Window
    devices: tuple[DeviceSeries, ...]
    requests_per_second: NDArray[np.float64] | None = None
    work_per_second: NDArray[np.float64] | None = None
