"""The result of one sweep: a Reading for each device, and what could not be read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gpuwise.collect.metric import Metric, Sample
from gpuwise.model.errors import DeviceError


@dataclass(frozen=True, slots=True)
class MigInstance:
    """The part of a card that a MIG instance occupies.

    Attributes:
        gpu_instance_id: NVML's GPU instance id on its card.
        compute_instance_id: id of the compute instance in it, None if not available.
        profile: such as "1g.10gb"; empty if NVML's name does not contain it.
        profile_id: NVML's number of the profile, None if not available.
        start: first memory slice of the instance, None if not available.
        size: number of memory slices, None if not available.
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
        uuid: NVML's UUID; empty for a card that never answered.
        index: NVML's index of the card.
        minor: minor number of the card's device file in /dev, None if not available.
        model: NVML's product name of the card.
        pci_bus_id: of the card; empty if not available.
        card_uuid: UUID of the card that contains it; for a card, its own.
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
        pid: the process id in the host's pid namespace.
        memory_bytes: framebuffer that the process uses, None if not available.
    """

    pid: int
    memory_bytes: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The values read from one device at one time.

    Attributes:
        device: the device.
        at_s: when, epoch seconds; NaN for a card that never answered.
        samples: all values that could be read; a value that the board does not support has no sample.
        processes: on the device, None if not available.
        sm_time: how long each process had the SMs since the last sweep, by pid, in any common unit; a process that
            is not in it was not seen to be active. None if not available.
    """

    device: Device
    at_s: float
    samples: tuple[Sample, ...]
    processes: tuple[Process, ...] | None = None
    sm_time: Mapping[int, float] | None = None
    _values: Mapping[Metric, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = {metric: value for metric, value, _ in reversed(self.samples)}
        object.__setattr__(self, "_values", values)  # a sweep asks for about 15 values of each device

    def value(self, metric: Metric, *labels: str) -> float | None:
        """The value of a metric, the first or the one with these labels; None if it was not read."""
        if not labels:
            return self._values.get(metric)
        return next((s.value for s in self.samples if s.metric is metric and s.labels == labels), None)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of one sweep over the devices.

    Attributes:
        readings: one per GPU and per MIG instance that answered.
        lost: of each card that answered before and no longer does, what is known without it, with the time of its last
            reading.
        errors: the name of each error, such as "NVML_ERROR_GPU_IS_LOST"; "not supported" is not an error.
        dropped: the metric of each value that no board can have.
    """

    readings: tuple[Reading, ...]
    lost: tuple[Reading, ...] = ()
    errors: tuple[str, ...] = ()
    dropped: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverState:
    """The state of the driver, apart from its devices.

    Attributes:
        version: of the driver; empty if not available.
        reloads: how often the driver was unloaded and loaded again since the exporter started.
    """

    version: str = ""
    reloads: int = 0


class DriverReplaced(DeviceError):
    """The driver's version differs from the library that this process has loaded; sampling ends."""

    def __init__(self) -> None:
        super().__init__(
            "the NVIDIA driver was replaced by another version while the exporter was running",
            hint="restart the exporter: a loaded library cannot be replaced",
        )


class Devices(Protocol):
    """The GPUs of this node."""

    def sweep(self) -> Sweep:
        """Read every device once.

        Raises:
            DriverReplaced: no further sweep is possible in this process.
            DeviceError: the devices cannot be listed.
        """
        ...

    def remembered(self) -> tuple[Reading, ...]:
        """What is known without the driver of each card that ever answered, with the time of its last reading."""
        ...

    @property
    def driver(self) -> DriverState:
        """The driver as of the last sweep."""
        ...

    def close(self) -> None:
        """Release the driver."""
        ...


@dataclass(slots=True)
class Findings:
    """What one sweep has collected so far."""

    errors: list[str] = field(default_factory=list)
    dropped: list[Metric] = field(default_factory=list)

    def samples(self, found: Iterable[Sample]) -> Iterator[Sample]:
        """The samples whose value a board can have; the others are dropped and counted.

        NVML and DCGM report an unknown value as a large number, and a plan must not use it (docs/safety.md, I1).
        """
        for sample in found:
            if sample.metric.plausible(sample.value):
                yield sample
            else:
                self.dropped.append(sample.metric)
