"""What a fleet's monitoring misses: devices, nodes or hours, drawn from a seed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.simulate.fleet import SimulatedFleet

_HOUR_S = 3_600
_OUTAGE_H = 8

Sampled = Callable[[DeviceSeries, Window], DeviceSeries | None]
"""What is left of a device's samples; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """How much is missing, and of what.

    Attributes:
        way: "devices", "nodes", "hours" or "hours in outages".
        share: of them that have no samples, 0 to 1; of devices and nodes at least one.
        seed: of the draw.
    """

    way: str
    share: float
    seed: int = 0

    def apply(self, fleet: SimulatedFleet, pods: Iterator[RecordedPod]) -> Iterator[RecordedPod]:
        """The recorded pods without what is missing; a pod without any device left is not recorded.

        Requests are measured by the endpoint itself: an hour without GPU samples keeps them.

        Args:
            fleet: whose devices and nodes are drawn from.
            pods: of this fleet.
        """
        left = _WAYS[self.way](self, fleet) if self.share else _everything
        for pod in pods:
            devices = tuple(one for device in pod.devices if (one := left(device, pod.window)) is not None)
            if devices:
                yield replace(pod, devices=devices)

    def drawn(self, names: list[str]) -> frozenset[str]:
        """The names that are missing."""
        count = max(1, round(self.share * len(names)))
        return frozenset(np.random.default_rng((self.seed, len(names))).choice(sorted(names), count, replace=False))


def _everything(device: DeviceSeries, _window: Window) -> DeviceSeries | None:
    return device


def _without_devices(gaps: Gaps, fleet: SimulatedFleet) -> Sampled:
    lost = gaps.drawn([slot.uuid for machine in fleet.machines for slot in machine.slots])
    return lambda device, _: None if device.device_uuid in lost else device


def _without_nodes(gaps: Gaps, fleet: SimulatedFleet) -> Sampled:
    lost = gaps.drawn([machine.name for machine in fleet.machines])
    return lambda device, _: None if device.node in lost else device


def _without_hours(gaps: Gaps, fleet: SimulatedFleet) -> Sampled:
    """Each node loses hours of its own, one by one: the way that interrupts most idle intervals."""
    rng = np.random.default_rng((gaps.seed, len(fleet.machines)))
    hours = fleet.window.seconds // _HOUR_S + 1
    return _blanked(fleet, {machine.name: rng.random(hours) < gaps.share for machine in fleet.machines})


def _without_outages(gaps: Gaps, fleet: SimulatedFleet) -> Sampled:
    """Each node loses about as many hours, eight at a time."""
    rng = np.random.default_rng((gaps.seed, len(fleet.machines)))
    hours = fleet.window.seconds // _HOUR_S + 1
    lost = {}
    for machine in fleet.machines:
        begins = rng.random(hours) < gaps.share / _OUTAGE_H
        lost[machine.name] = np.convolve(begins, np.ones(_OUTAGE_H))[:hours] > 0
    return _blanked(fleet, lost)


def _blanked(fleet: SimulatedFleet, lost: Mapping[str, NDArray[np.bool_]]) -> Sampled:
    first_hour = fleet.window.start_s // _HOUR_S

    def left(device: DeviceSeries, window: Window) -> DeviceSeries:
        at_s = window.start_s + np.arange(window.steps, dtype=np.int64) * window.step_s
        gone = lost[device.node or ""][at_s // _HOUR_S - first_hour]
        samples = {signal: np.where(gone, np.nan, values) for signal, values in device.samples.items()}
        return replace(device, samples=samples)

    return left


_WAYS: Mapping[str, Callable[[Gaps, SimulatedFleet], Sampled]] = {
    "devices": _without_devices,
    "nodes": _without_nodes,
    "hours": _without_hours,
    "hours in outages": _without_outages,
}
WAYS = tuple(_WAYS)
