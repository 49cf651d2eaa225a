"""One pass over all devices: what could be read, and what could not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gpuwise.model.signal import Signal
from gpuwise.model.usage import PodRef, Reading


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one pass over the devices gave.

    Attributes:
        readings: one per GPU and per MIG instance.
        errors: the name of each error met, as "NVML_ERROR_GPU_IS_LOST"; "not supported" is no error.
        dropped: the signal of each value that no board can have.
    """

    readings: tuple[Reading, ...]
    errors: tuple[str, ...]
    dropped: tuple[Signal, ...]


class Devices(Protocol):
    """The GPUs of this node."""

    def sweep(self, at_s: float) -> Sweep:
        """Read every device once.

        Raises:
            DeviceError: the devices cannot even be listed.
        """
        ...


Attribution = Callable[[], Mapping[str, tuple[PodRef, ...]]]
"""Which containers hold which device id; raises SourceError where the kubelet does not say."""
