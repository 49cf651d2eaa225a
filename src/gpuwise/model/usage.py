"""Usage as it was measured: a UsageSeries per workload over a window."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal

DAY_S = 86_400

Samples = NDArray[np.float64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time cut into steps: sample i speaks for [start_s + i step_s, start_s + (i + 1) step_s).

    Attributes:
        start_s: first second, epoch seconds.
        end_s: first second after it.
        step_s: length of a step; end_s - start_s is a multiple of it.
    """

    start_s: int
    end_s: int
    step_s: int

    def __post_init__(self) -> None:
        if self.step_s <= 0 or self.end_s <= self.start_s or (self.end_s - self.start_s) % self.step_s:
            raise ValueError(f"window {self.start_s}..{self.end_s} is no positive multiple of {self.step_s} s")

    @property
    def steps(self) -> int:
        """How many samples a whole series has."""
        return (self.end_s - self.start_s) // self.step_s

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return self.end_s - self.start_s

    @classmethod
    def ending(cls, now_s: int, *, length_s: int, step_s: int) -> "Window":
        """The last whole steps before `now_s`, aligned to multiples of `step_s` so that runs see the same grid."""
        end_s = now_s - now_s % step_s
        return cls(end_s - length_s // step_s * step_s, end_s, step_s)


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """What one pod did on one device: an array per signal on the window's grid.

    A value that is NaN, negative or beyond `SignalSpec.highest` was not sampled; scoring passes it over.

    Attributes:
        pod: name of the pod; empty for a device that no pod holds.
        device_uuid: NVML's UUID.
        gpu_fraction: share of a whole card that this allocation pays for: 1.0, 1/7 for a 1g slice, 1/n shared by n.
        gpu_type: canonical name of the card, None if unknown.
        node: where the card is, None if unknown; what it costs depends on how that node is paid for.
        samples: by signal, float64 or float32 of shape (window.steps,).
        dropped_samples: steps whose value was dropped because no card can have it, or its unit cannot be told.
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
    """Everything measured of one workload over one window.

    Attributes:
        workload: whose.
        window: the grid all arrays are on.
        devices: one entry per pod and device.
        requests_per_second: requests that reached the workload, shape (window.steps,), or None if nothing reports them.
    """

    workload: WorkloadRef
    window: Window
    devices: tuple[DeviceSeries, ...]
    requests_per_second: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class RecordedPod:
    """What was measured of one pod over the part of its life that a recording covers; the unit recordings are kept in.

    What no pod held on a node is recorded alike, with namespace and pods "".

    Attributes:
        namespace: of the pod.
        window: the pod's own grid, which all arrays are on.
        devices: one entry per device.
        requests_per_second: requests that reached this pod, shape (window.steps,), or None if nothing reports them.
    """

    namespace: str
    window: Window
    devices: tuple[DeviceSeries, ...]
    requests_per_second: NDArray[np.float64] | None = None
