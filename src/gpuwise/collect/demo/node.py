"""The devices of the synthetic node: busy, idle, shared, MIG and failing cards, and their containers.

Every value is a function of the time since the start, so two demos show the same values.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.demo.board import Work, board, engines
from gpuwise.collect.demo.models import A100, GH200, GIB, H200, L4, RTX_6000, T4, Model
from gpuwise.collect.health import LOST, with_health
from gpuwise.collect.metric import Sample
from gpuwise.collect.reading import Device, DriverState, MigInstance, Process, Reading, Sweep

# An application on the shared card fails with XID 13, "Graphics Engine Exception". The failing card reports XID 79,
# "GPU has fallen off the bus", and is gone half a minute later.
_APPLICATION_XID, _APPLICATION_XID_AT_S = 13, 60.0
_FATAL_XID, _FATAL_XID_AT_S, _LOST_AT_S = 79, 120.0, 150.0
_TRAINER = Container("research", "trainer-0", "main")
_NOTEBOOK = Container("research", "notebook-0", "notebook")
_SERVER = Container("serving", "llm-0", "server")
_BATCH = Container("batch", "embed-7", "worker")
_TRANSCODER = Container("media", "transcode-0", "ffmpeg")


@dataclass(frozen=True, slots=True)
class _Card:
    """A card of the node and what happens on it.

    Attributes:
        index: of the card.
        model: its model.
        used_gib: framebuffer in use.
        busy: peak activity, 0 to 1; activity oscillates between half of it and all of it.
        pids: processes; the first has three times the SM time of the second.
        holders: containers that the card is allocated to.
        media: activity of encoder and decoder, 0 to 1.
        xid: code of an XID error, and seconds until it.
        fails: whether the card falls off the bus after the error.
        overrides: values that differ from a healthy board's.
    """

    index: int
    model: Model
    used_gib: float = 0.0
    busy: float = 0.0
    pids: tuple[int, ...] = ()
    holders: tuple[Container, ...] = ()
    media: float = 0.0
    xid: tuple[int, float] | None = None
    fails: bool = False
    overrides: tuple[Sample, ...] = ()

    @property
    def device(self) -> Device:
        uuid = f"GPU-demo-{self.index}"
        return Device(uuid, self.index, self.index, self.model.name, f"00000000:{self.index + 1:02X}:00.0", uuid)


@dataclass(frozen=True, slots=True)
class _Instance:
    """A MIG instance of the first card; fields as in `MigInstance` and `_Card`."""

    number: int
    profile: str
    start: int
    size: int
    memory_gib: float
    used_gib: float = 0.0
    busy: float = 0.0
    pids: tuple[int, ...] = ()
    holders: tuple[Container, ...] = ()

    @property
    def device(self) -> Device:
        card = _MIG_CARD.device
        mig = MigInstance(self.number, 0, self.profile, start=self.start, size=self.size)
        name = f"MIG-demo-{self.number}"
        return Device(name, card.index, card.minor, card.model, card.pci_bus_id, card.uuid, mig)


_MIG_CARD = _Card(0, H200, 70, pids=(41, 42))
_INSTANCES = (
    _Instance(1, "3g.71gb", 0, 4, 70, 60, 0.9, pids=(41,), holders=(_SERVER,)),
    _Instance(9, "1g.18gb", 4, 1, 17, 9, pids=(42,), holders=(_NOTEBOOK,)),
    _Instance(10, "1g.18gb", 5, 1, 17),
)
_CARDS = (
    _MIG_CARD,
    _Card(1, GH200, 80, 0.95, pids=(51,), holders=(_TRAINER,)),
    _Card(2, A100, 38, pids=(61,), holders=(_NOTEBOOK,)),
    _Card(3, L4, 15, 0.8, pids=(71, 72), holders=(_SERVER, _BATCH), xid=(_APPLICATION_XID, _APPLICATION_XID_AT_S)),
    _Card(4, A100, 0, 0.6, xid=(_FATAL_XID, _FATAL_XID_AT_S), fails=True),
    _Card(5, RTX_6000, 4, 0.3, pids=(81,), holders=(_TRANSCODER,), media=0.8),
    _Card(6, T4, overrides=(Sample(c.RETIREMENT_PENDING, 1.0), Sample(c.RETIRED_PAGES, 2.0, ("double_bit",)))),
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
    _active_s: dict[str, float] = field(default_factory=dict)

    def sweep(self) -> Sweep:
        """Advance every device to the current time."""
        now_s = self.clock()
        if self._start_s is None:
            self._start_s = self._swept_s = now_s
        start_s, since_s = self._start_s, now_s - self._swept_s
        self._swept_s = now_s
        gone = now_s - start_s >= _LOST_AT_S
        cards = [self._card(card, now_s, start_s, since_s) for card in _CARDS if not (card.fails and gone)]
        instances = [_instance(one, now_s, start_s) for one in _INSTANCES]
        lost = [
            Reading(card.device, start_s + _LOST_AT_S, (*_xids(card, now_s, start_s), LOST))
            for card in _CARDS
            if card.fails and gone
        ]
        return Sweep((*cards, *instances), tuple(lost), ("NVML_ERROR_GPU_IS_LOST",) * len(lost))

    def remembered(self) -> tuple[Reading, ...]:
        """Nothing: the devices can always be listed."""
        return ()

    def close(self) -> None:
        """Nothing to release."""

    def _card(self, card: _Card, now_s: float, start_s: float, since_s: float) -> Reading:
        sliced = card is _MIG_CARD
        # A card in MIG mode works as much as its instances: three of seven slices at the server's activity.
        busy = 0.9 * 3 / 7 if sliced else card.busy
        activity = _oscillating(busy, now_s - start_s, card.index)
        watts = card.model.idle_watts + (card.model.busy_watts - card.model.idle_watts) * activity
        uuid = card.device.uuid
        self._joules[uuid] = self._joules.get(uuid, 0.0) + watts * since_s
        self._active_s[uuid] = self._active_s.get(uuid, 0.0) + activity * since_s
        work = Work(activity, self._active_s[uuid], watts, self._joules[uuid], card.media * activity)
        times = None if sliced else _times(card.pids, activity)
        samples = {
            (sample.metric, sample.labels): sample
            for sample in (
                Sample(c.CARD_INFO, 1.0, (card.device.pci_bus_id, str(card.device.minor))),
                Sample(c.MIG_MODE, float(sliced)),
                *([] if sliced else _activity(activity, hopper=card.model.hopper)),
                *([] if sliced else _utilization(activity, times)),
                *([] if sliced else engines(work)),
                *_memory(card.used_gib, card.model.memory_gib, reserved_gib=0.6),
                *board(card.model, work),
                *_xids(card, now_s, start_s),
                *card.overrides,
            )
        }
        processes = _processes(card.pids, card.used_gib)
        return with_health(Reading(card.device, now_s, tuple(samples.values()), processes, times))


def demo() -> tuple[DemoDevices, Attributor]:
    """The synthetic node, and the containers of its devices."""
    return DemoDevices(), Attributor(_DemoAllocations(), _OWNERS.get)


class _DemoAllocations:
    """Allocations on the synthetic node; implements `Allocations`."""

    def list(self) -> tuple[Allocation, ...]:
        return tuple(
            Allocation(holder, f"{one.device.uuid}::{number}")
            for one in (*_CARDS, *_INSTANCES)
            for number, holder in enumerate(one.holders)
        )

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        return tuple(one for one in self.list() if (one.container.namespace, one.container.pod) == (namespace, pod))


def _instance(one: _Instance, now_s: float, start_s: float) -> Reading:
    activity = _oscillating(one.busy, now_s - start_s, 0)
    device, mig = one.device, one.device.mig
    assert mig is not None
    place = (device.card_uuid, mig.profile, str(mig.gpu_instance_id), "0", str(mig.start), str(mig.size))
    samples = (
        Sample(c.MIG_INFO, 1.0, place),
        *_activity(activity, hopper=True),
        *_memory(one.used_gib, one.memory_gib, reserved_gib=0.015),
    )
    return Reading(device, now_s, samples, _processes(one.pids, one.used_gib))


def _oscillating(highest: float, elapsed_s: float, card: int) -> float:
    """Oscillate between half the peak and the peak, with a period of five minutes and a phase per card."""
    return highest * (0.75 + 0.25 * math.sin(2 * math.pi * elapsed_s / 300 + card))


def _activity(activity: float, *, hopper: bool) -> Iterator[Sample]:
    if hopper:
        shares = ((c.SM_ACTIVITY, 1.0), (c.GRAPHICS_ACTIVITY, 1.0), (c.SM_OCCUPANCY, 0.4), (c.TENSOR_ACTIVITY, 0.5))
        yield from (Sample(metric, activity * share, (c.GPM,)) for metric, share in shares)
        yield Sample(c.DRAM_ACTIVITY, activity * 0.6, (c.GPM,))


def _utilization(activity: float, times: dict[int, float] | None) -> Iterator[Sample]:
    yield Sample(c.UTILIZATION, min(1.0, activity * 1.1), (c.RATES,))
    if times:
        yield Sample(c.PROCESS_SM, min(1.0, math.fsum(times.values())), (c.PROCESSES,))


def _memory(used_gib: float, total_gib: float, *, reserved_gib: float) -> Iterator[Sample]:
    yield Sample(c.MEMORY_TOTAL, total_gib * GIB)
    yield Sample(c.MEMORY_USED, used_gib * GIB)
    yield Sample(c.MEMORY_RESERVED, reserved_gib * GIB)


def _xids(card: _Card, now_s: float, start_s: float) -> Iterator[Sample]:
    if card.xid is None:
        return
    code, after_s = card.xid
    if now_s - start_s >= after_s:
        yield Sample(c.XID_ERRORS, 1.0, (str(code),))
        yield Sample(c.XID_LAST, float(code))
        yield Sample(c.XID_LAST_AT, start_s + after_s, (str(code),))


def _processes(pids: tuple[int, ...], used_gib: float) -> tuple[Process, ...]:
    return tuple(Process(pid, used_gib * GIB / len(pids)) for pid in pids)


def _times(pids: tuple[int, ...], activity: float) -> dict[int, float]:
    weights = (0.75, 0.25) if len(pids) > 1 else (1.0,)
    return {pid: activity * weight for pid, weight in zip(pids, weights, strict=False) if activity > 0.0}
