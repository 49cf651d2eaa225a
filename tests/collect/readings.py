"""Readings constructed for tests."""

from collections.abc import Mapping, Sequence

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.reading import Device, DriverState, MigInstance, Process, Reading, Sweep


def card(uuid: str = "GPU-1", index: int = 0) -> Device:
    return Device(uuid, index, index, "NVIDIA L4", f"00000000:0{index}:00.0", uuid)


def instance(of: Device, number: int, profile: str = "1g.10gb") -> Device:
    mig = MigInstance(number, 0, profile, profile_id=19, start=number, size=1)
    return Device(f"MIG-{of.index}-{number}", of.index, of.minor, of.model, of.pci_bus_id, of.uuid, mig)


def reading(
    device: Device,
    values: Mapping[Metric, float],
    *,
    at_s: float = 1000.0,
    sm_time: Mapping[int, float] | None = None,
    processes: Sequence[Process] | None = None,
) -> Reading:
    samples = tuple(Sample(metric, value, ("label",) * len(metric.labels)) for metric, value in values.items())
    return Reading(device, at_s, samples, None if processes is None else tuple(processes), sm_time)


def sliced(of: Device, watts: float) -> Reading:
    return reading(of, {c.MIG_MODE: 1.0, c.POWER: watts})


class ScriptedDevices:
    """Devices that return the given sweeps in order, and then repeat the last one."""

    def __init__(self, *sweeps: Sweep) -> None:
        self.sweeps = list(sweeps)
        self.driver = DriverState("999.0", 0)

    def sweep(self) -> Sweep:
        return self.sweeps.pop(0) if len(self.sweeps) > 1 else self.sweeps[0]

    def remembered(self) -> tuple[Reading, ...]:
        return ()

    def close(self) -> None:
        self.sweeps.clear()
