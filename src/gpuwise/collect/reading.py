"""What one pass over the devices gives: a Reading each, and what could not be read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gpuwise.collect.metric import Metric, Sample
from gpuwise.model.errors import DeviceError


@dataclass(frozen=True, slots=True)
class MigInstance:
    """Which part of a card a MIG instance is.

    Attributes:
        gpu_instance_id: NVML's id of it on its card.
        compute_instance_id: id of the compute instance in it, None if not to be had.
        profile: as "1g.10gb"; empty if NVML's name does not say.
        profile_id: NVML's number of the profile, None if not to be had.
        start: first memory slice that it lies on, None if not to be had.
        size: memory slices that it lies on, None if not to be had.
    """

    gpu_instance_id: int
    compute_instance_id: int | None
    profile: str
    profile_id: int | None = None
    start: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG instance.

    Attributes:
        uuid: NVML's.
        index: NVML's, of the card.
        minor: the card's number in /dev, None if not to be had.
        model: NVML's product name of the card.
        pci_bus_id: of the card; empty if not to be had.
        card_uuid: UUID of the card it is cut from, its own for a whole one.
        mig: set for a MIG instance.
    """

    uuid: str
    index: int
    minor: int | None
    model: str
    pci_bus_id: str
    card_uuid: str
    mig: MigInstance | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a compute context on a device.

    Attributes:
        pid: as the host counts.
        memory_bytes: framebuffer that it has, None if not to be had.
    """

    pid: int
    memory_bytes: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one device at one instant.

    Attributes:
        device: which.
        at_s: when, epoch seconds.
        samples: all that could be read; what a board does not support is no sample.
        processes: on it, None if not to be had.
        sm_time: how long each process had the SMs since the last sweep, by pid, in any one unit; a process that is
            not in it was not seen to work. None if not to be had.
    """

    device: Device
    at_s: float
    samples: tuple[Sample, ...]
    processes: tuple[Process, ...] | None = None
    sm_time: Mapping[int, float] | None = None

    def value(self, metric: Metric, *labels: str) -> float | None:
        """The value of a metric, with these labels where some are given; None if it was not read."""
        found = (s.value for s in self.samples if s.metric is metric and (not labels or s.labels == labels))
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one pass over the devices gave.

    Attributes:
        readings: one per GPU and per MIG instance that answered.
        lost: devices that answered before and do not, with the time of their last reading.
        errors: the name of each error met, as "NVML_ERROR_GPU_IS_LOST"; "not supported" is no error.
        dropped: the metric of each value that no board can have.
    """

    readings: tuple[Reading, ...]
    lost: tuple[tuple[Device, float], ...] = ()
    errors: tuple[str, ...] = ()
    dropped: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverState:
    """What is known of the driver apart from its devices.

    Attributes:
        version: of the driver; empty if not to be had.
        reloads: how often it went away and came back since the exporter started.
    """

    version: str = ""
    reloads: int = 0


class DriverReplaced(DeviceError):
    """The kernel's driver is of another version than the library that this process has loaded; sampling ends."""

    def __init__(self) -> None:
        super().__init__(
            "the NVIDIA driver was replaced by another version under the running exporter",
            hint="restart the exporter: a loaded library cannot be exchanged",
        )


class Devices(Protocol):
    """The GPUs of this node."""

    def sweep(self) -> Sweep:
        """Read every device once.

        Raises:
            DriverReplaced: there will be no more sweeps in this process.
            DeviceError: the devices cannot even be listed.
        """
        ...

    @property
    def driver(self) -> DriverState:
        """The driver as of the last sweep."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...


@dataclass(slots=True)
class Findings:
    """What one sweep has gathered so far."""

    errors: list[str] = field(default_factory=list)
    dropped: list[Metric] = field(default_factory=list)

    def samples(self, found: Iterable[Sample]) -> Iterator[Sample]:
        """The samples that a board can have; the others are counted (safety story 7)."""
        for sample in found:
            if sample.metric.believable(sample.value):
                yield sample
            else:
                self.dropped.append(sample.metric)
