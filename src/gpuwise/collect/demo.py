"""A synthetic node to try the exporter without a GPU: busy, idle, shared, MIG and failing cards, and their containers.

Every value is a function of the time since the start, so two demos show the same values.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.health import LOST
from gpuwise.collect.metric import Sample
from gpuwise.collect.reading import Device, DriverState, MigInstance, Process, Reading, Sweep

_GIB = 2.0**30
# The failing card reports XID 79, "GPU has fallen off the bus", and is gone half a minute later.
_XID, _XID_AT_S, _LOST_AT_S = 79, 120.0, 150.0
_TRAINER = Container("research", "trainer-0", "main")
_NOTEBOOK = Container("research", "notebook-0", "notebook")
_SERVER = Container("serving", "llm-0", "server")
_BATCH = Container("batch", "embed-7", "worker")


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """The behaviour of one device of the node.

    Attributes:
        device: the device.
        idle_watts: idle power draw; 0 for a MIG instance, which has no power reading.
        busy_watts: power draw at full load.
        memory_gib: framebuffer size.
        used_gib: framebuffer in use.
        busy: peak activity, 0 to 1; activity oscillates between half of it and all of it.
        hopper: whether hardware counters are available.
        pids: processes; the first has three times the SM time of the second.
        holders: containers that the device is allocated to.
        fails: whether the device falls off the bus.
    """

    device: Device
    idle_watts: float
    busy_watts: float
    memory_gib: float
    used_gib: float
    busy: float
    hopper: bool
    pids: tuple[int, ...] = ()
    holders: tuple[Container, ...] = ()
    fails: bool = False


def _card(index: int, model: str) -> Device:
    uuid = f"GPU-demo-{index}"
    return Device(uuid, index, index, model, f"00000000:{index + 1:02X}:00.0", uuid)


def _instance(card: Device, number: int, profile: str, start: int, size: int) -> Device:
    mig = MigInstance(number, 0, profile, start=start, size=size)
    return Device(f"MIG-demo-{number}", card.index, card.minor, card.model, card.pci_bus_id, card.uuid, mig)


_H200, _A100, _L4 = "NVIDIA H200", "NVIDIA A100-SXM4-80GB", "NVIDIA L4"
_MIG_CARD = _card(0, _H200)
_NODE = (
    _Behaviour(_MIG_CARD, 75, 700, 141, 70, 0.0, hopper=True, pids=(41, 42)),
    _Behaviour(
        _instance(_MIG_CARD, 1, "3g.71gb", 0, 4), 0, 0, 70, 60, 0.9, hopper=True, pids=(41,), holders=(_SERVER,)
    ),
    _Behaviour(
        _instance(_MIG_CARD, 9, "1g.18gb", 4, 1), 0, 0, 17, 9, 0.0, hopper=True, pids=(42,), holders=(_NOTEBOOK,)
    ),
    _Behaviour(_instance(_MIG_CARD, 10, "1g.18gb", 5, 1), 0, 0, 17, 0, 0.0, hopper=True),
    _Behaviour(_card(1, _H200), 75, 700, 141, 120, 0.95, hopper=True, pids=(51,), holders=(_TRAINER,)),
    _Behaviour(_card(2, _A100), 55, 400, 80, 38, 0.0, hopper=False, pids=(61,), holders=(_NOTEBOOK,)),
    _Behaviour(_card(3, _L4), 12, 72, 24, 15, 0.8, hopper=False, pids=(71, 72), holders=(_SERVER, _BATCH)),
    _Behaviour(_card(4, _A100), 55, 400, 80, 0, 0.6, hopper=False, fails=True),
)
_OWNERS = {71: _SERVER, 72: _BATCH}


@dataclass(slots=True)
class DemoDevices:
    """The devices of the synthetic node; implements `Devices`.

    Attributes:
        clock: epoch seconds.
        driver: a version that no real driver has.
    """

    clock: Callable[[], float] = time.time
    driver: DriverState = field(default_factory=lambda: DriverState("demo", 0))
    _start_s: float | None = None
    _swept_s: float = 0.0
    _joules: dict[str, float] = field(default_factory=dict)

    def sweep(self) -> Sweep:
        """Advance every device to the current time."""
        now_s = self.clock()
        if self._start_s is None:
            self._start_s = self._swept_s = now_s
        start_s, since_s = self._start_s, now_s - self._swept_s
        self._swept_s = now_s
        gone = now_s - start_s >= _LOST_AT_S
        readings = [self._read(play, now_s, start_s, since_s) for play in _NODE if not (play.fails and gone)]
        lost = [
            Reading(play.device, start_s + _LOST_AT_S, (*_failure(play, now_s, start_s), LOST))
            for play in _NODE
            if play.fails and gone
        ]
        return Sweep(tuple(readings), tuple(lost), ("NVML_ERROR_GPU_IS_LOST",) * len(lost))

    def close(self) -> None:
        """Nothing to release."""

    def _read(self, play: _Behaviour, now_s: float, start_s: float, since_s: float) -> Reading:
        activity = _oscillating(play.busy, now_s - start_s, play.device.index)
        # A MIG card draws power for its instances' work: three of seven slices at the server's activity.
        work = _oscillating(0.9, now_s - start_s, 0) * 3 / 7 if play.device is _MIG_CARD else activity
        watts = play.idle_watts + (play.busy_watts - play.idle_watts) * work
        uuid = play.device.uuid
        self._joules[uuid] = self._joules.get(uuid, 0.0) + watts * since_s
        samples = [*_work(play, activity), *_memory(play)]
        if play.device.mig is None:
            samples += _board(play, watts, self._joules[uuid])
            samples += _failure(play, now_s, start_s)
        processes = tuple(Process(pid, play.used_gib * _GIB / len(play.pids)) for pid in play.pids)
        return Reading(play.device, now_s, tuple(samples), processes, _times(play, activity))


def demo() -> tuple[DemoDevices, Attributor]:
    """The synthetic node, and the containers of its devices."""
    return DemoDevices(), Attributor(_DemoAllocations(), _OWNERS.get)


class _DemoAllocations:
    """Allocations on the synthetic node; implements `Allocations`."""

    def list(self) -> tuple[Allocation, ...]:
        return tuple(
            Allocation(holder, f"{play.device.uuid}::{number}")
            for play in _NODE
            for number, holder in enumerate(play.holders)
        )

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        return tuple(one for one in self.list() if (one.container.namespace, one.container.pod) == (namespace, pod))


def _oscillating(highest: float, elapsed_s: float, card: int) -> float:
    """Oscillate between half the peak and the peak, with a period of five minutes and a phase per card."""
    return highest * (0.75 + 0.25 * math.sin(2 * math.pi * elapsed_s / 300 + card))


def _work(play: _Behaviour, activity: float) -> Iterator[Sample]:
    if play.hopper and play.device is not _MIG_CARD:
        shares = ((c.SM_ACTIVITY, 1.0), (c.GRAPHICS_ACTIVITY, 1.0), (c.SM_OCCUPANCY, 0.4), (c.TENSOR_ACTIVITY, 0.5))
        yield from (Sample(metric, activity * share, (c.GPM,)) for metric, share in shares)
        yield Sample(c.DRAM_ACTIVITY, activity * 0.6, (c.GPM,))
    if play.device.mig is None and play.device is not _MIG_CARD:
        yield Sample(c.UTILIZATION, min(1.0, activity * 1.1), (c.RATES,))


def _memory(play: _Behaviour) -> Iterator[Sample]:
    yield Sample(c.MEMORY_TOTAL, play.memory_gib * _GIB)
    yield Sample(c.MEMORY_USED, play.used_gib * _GIB)
    yield Sample(c.MEMORY_RESERVED, 0.5 * _GIB)


def _board(play: _Behaviour, watts: float, joules: float) -> Iterator[Sample]:
    yield Sample(c.CARD_INFO, 1.0, (play.device.pci_bus_id, str(play.device.minor)))
    yield Sample(c.MIG_MODE, float(play.device is _MIG_CARD))
    yield Sample(c.POWER, watts)
    yield Sample(c.ENERGY, joules)
    yield Sample(c.POWER_LIMIT, play.busy_watts)
    yield Sample(c.TEMPERATURE, 30.0 + 45.0 * watts / play.busy_watts, ("gpu",))
    yield Sample(c.CLOCK, 1.4e9, ("sm",))


def _failure(play: _Behaviour, now_s: float, start_s: float) -> Iterator[Sample]:
    if play.fails and now_s - start_s >= _XID_AT_S:
        yield Sample(c.XID_ERRORS, 1.0, (str(_XID),))
        yield Sample(c.XID_LAST, float(_XID))
        yield Sample(c.XID_LAST_AT, start_s + _XID_AT_S, (str(_XID),))


def _times(play: _Behaviour, activity: float) -> dict[int, float] | None:
    if play.device.mig is not None or play.device is _MIG_CARD:
        return None
    weights = (0.75, 0.25) if len(play.pids) > 1 else (1.0,)
    return {pid: activity * weight for pid, weight in zip(play.pids, weights, strict=False) if activity > 0.0}
