"""An open NVML session, swept repeatedly; it is opened again when the driver is reloaded."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.health import JUDGED, LOST, with_health
from gpuwise.collect.metric import Sample
from gpuwise.collect.nvml.board import board, memory, utilization
from gpuwise.collect.nvml.events import XidWatch
from gpuwise.collect.nvml.fields import FieldRequest
from gpuwise.collect.nvml.gpm import Gpm
from gpuwise.collect.nvml.library import GPU_IS_LOST, Calls, VersionMismatch, initialise, name_of, preload
from gpuwise.collect.nvml.mig import MigMode, instances, mig_mode
from gpuwise.collect.nvml.processes import SmTimes, process_samples, running
from gpuwise.collect.reading import Device, DriverReplaced, DriverState, Reading, Sweep
from gpuwise.model.errors import DeviceError

_log = logging.getLogger(__name__)


class Nvml:
    """The devices of this node as NVML reports them; implements `Devices`.

    The caller closes it, after the last sweep has ended.

    Args:
        library: an NVML to load instead of the driver's, None for the driver's.
        clock: epoch seconds.

    Raises:
        DeviceError: there is no driver, its version is not the library's, or NVML returned an error.
    """

    def __init__(self, library: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        if library is not None:
            preload(library)
        initialise()
        self._clock = clock
        self._session = threading.Lock()
        self._open = True
        self._reloads = 0
        self._version = _driver_version()
        self._gpm, self._sm_times, self._fields = Gpm(), SmTimes(), FieldRequest(self._version)
        self._cards: dict[str, Device] = {}
        self._instances: dict[str, Device] = {}
        # Kept when the driver is reloaded: a card that does not return is lost, not forgotten.
        self._seen: dict[str, tuple[Device, float]] = {}
        self._answering: set[str] = set()
        self._xids = XidWatch(self._session, clock)
        self._xids.start()

    @property
    def driver(self) -> DriverState:
        """The driver as of the last sweep."""
        return DriverState(self._version, self._reloads)

    def close(self) -> None:
        """Free the samples and shut NVML down, unless a call into it hangs."""
        if self._xids.stop() and self._open:
            self._gpm.keep(set())
            _shut_down()

    def sweep(self) -> Sweep:
        """Read every GPU and MIG instance once.

        An error of one GPU loses the samples of that GPU only.

        Raises:
            DriverReplaced: the driver has another version now; only a new process can load its library.
            DeviceError: NVML cannot list the devices.
        """
        if not self._open:
            self._reopen()
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._open = False
            raise DeviceError(
                f"NVML cannot list the devices: {name_of(error.value)}",
                hint="check dmesg and nvidia-smi on the node; drain the node if a GPU has fallen off the bus",
            ) from error
        calls = Calls()
        readings = tuple(reading for index in range(count) for reading in self._answered(index, calls))
        self._answering = {reading.device.uuid for reading in readings}
        self._forget(self._answering)
        lost = tuple(one for one in self.remembered() if one.device.uuid not in self._answering)
        return Sweep(readings, lost, tuple(calls.errors), tuple(calls.dropped))

    def remembered(self) -> tuple[Reading, ...]:
        """The XID errors of each card that ever answered, and the verdict on those that did not in the last sweep."""
        return tuple(
            Reading(card, at_s, (*self._xids.samples(uuid), *(() if uuid in self._answering else (LOST,))))
            for uuid, (card, at_s) in self._seen.items()
        )

    def _reopen(self) -> None:
        """Open NVML again after the driver was unloaded; handles, samples and the list of cards start from empty."""
        with self._session:
            self._xids.renew()
            _shut_down()
            try:
                initialise()
            except VersionMismatch as error:
                raise DriverReplaced from error
            self._version = _driver_version()
            self._gpm, self._sm_times, self._fields = Gpm(), SmTimes(), FieldRequest(self._version)
            self._cards, self._instances = {}, {}
            self._open, self._reloads = True, self._reloads + 1

    def _answered(self, index: int, calls: Calls) -> Sequence[Reading]:
        """The readings of a card and its instances; none, and one error, if the card is lost.

        Some calls still succeed on a lost card, because the driver answers them from memory.
        """
        calls.lost, before = False, len(calls.errors)
        readings = tuple(self._gpu(index, calls))
        if calls.lost:
            calls.errors[before:] = [GPU_IS_LOST]
            self._never_answered(index)
        elif readings:
            self._seen.pop(f"index {index}", None)
        for one in readings:
            if one.device.mig is None and not (calls.lost and one.device.uuid in self._seen):
                self._seen[one.device.uuid] = (one.device, one.at_s)
        return () if calls.lost else readings

    def _never_answered(self, index: int) -> None:
        """Remember a card that was lost before the exporter's first sweep: only its index is known."""
        if all(card.index != index for card, _ in self._seen.values()):
            self._seen[f"index {index}"] = (Device("", index, None, "", "", ""), math.nan)

    def _gpu(self, index: int, calls: Calls) -> Iterator[Reading]:
        """The card itself, then its MIG instances."""
        gpu = calls.ask(pynvml.nvmlDeviceGetHandleByIndex, index)
        uuid = None if gpu is None else calls.ask(pynvml.nvmlDeviceGetUUID, gpu)
        if uuid is None:
            return
        if uuid not in self._cards or self._cards[uuid].index != index:
            self._cards[uuid] = _card(gpu, uuid, index, calls)
        card, at_s = self._cards[uuid], self._clock()
        errors, dropped = len(calls.errors), len(calls.dropped)
        mode = mig_mode(gpu, calls)
        whole = mode in {MigMode.NONE, MigMode.OFF}
        times = self._sm_times.since_last(uuid, gpu, calls) if whole else None
        samples = tuple(calls.samples([*self._card_samples(gpu, card, calls, times, mode)]))
        reading = Reading(card, at_s, samples, running(gpu, calls), times)
        complete = len(calls.errors) == errors and JUDGED.isdisjoint(calls.dropped[dropped:])
        yield with_health(reading, complete=complete)
        if mode is MigMode.ON:
            for handle, instance in instances(gpu, card, self._instances, calls):
                yield self._instance(gpu, handle, instance, calls)

    def _card_samples(
        self, gpu: Any, card: Device, calls: Calls, times: Mapping[int, float] | None, mode: MigMode
    ) -> Iterator[Sample]:
        yield Sample(c.CARD_INFO, 1.0, (card.pci_bus_id, "" if card.minor is None else str(card.minor)))
        if mode in {MigMode.ON, MigMode.OFF}:
            yield Sample(c.MIG_MODE, float(mode is MigMode.ON))
        if mode in {MigMode.NONE, MigMode.OFF}:
            yield from utilization(gpu, calls)
            yield from process_samples(times)
            yield from self._gpm.activity(card, gpu, calls)
        yield from memory(gpu, calls)
        yield from board(gpu, calls)
        yield from self._fields.samples(gpu, calls)
        yield from self._xids.samples(card.uuid)

    def _instance(self, gpu: Any, handle: Any, device: Device, calls: Calls) -> Reading:
        at_s, mig = self._clock(), device.mig
        assert mig is not None
        values = (device.card_uuid, mig.profile, mig.gpu_instance_id, mig.compute_instance_id, mig.start, mig.size)
        samples = [
            Sample(c.MIG_INFO, 1.0, tuple("" if one is None else str(one) for one in values)),
            *self._gpm.activity(device, gpu, calls),
            *memory(handle, calls),
        ]
        return Reading(device, at_s, tuple(calls.samples(samples)), running(handle, calls))

    def _forget(self, seen: set[str]) -> None:
        """Release what is kept for devices that no longer exist."""
        self._gpm.keep(seen)
        self._sm_times.keep(seen)
        for uuid in self._instances.keys() - seen:
            del self._instances[uuid]


def _card(gpu: Any, uuid: str, index: int, calls: Calls) -> Device:
    pci = calls.ask(pynvml.nvmlDeviceGetPciInfo, gpu)
    return Device(
        uuid=uuid,
        index=index,
        minor=calls.ask(pynvml.nvmlDeviceGetMinorNumber, gpu),
        model=calls.ask(pynvml.nvmlDeviceGetName, gpu) or "",
        pci_bus_id="" if pci is None else pci.busId if isinstance(pci.busId, str) else pci.busId.decode(),
        card_uuid=uuid,
    )


def _shut_down() -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:  # a driver that was unloaded cannot be shut down
        _log.debug("NVML was not shut down: %s", name_of(error.value))


def _driver_version() -> str:
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        _log.debug("the driver version is not available: %s", name_of(error.value))
        return ""
