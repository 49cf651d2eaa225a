"""XID errors are NVML events: a separate thread waits for them between sweeps."""

import ctypes
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.health import RESET_XIDS
from gpuwise.collect.metric import Sample
from gpuwise.collect.nvml.library import name_of

_log = logging.getLogger(__name__)

# Longest time that a wait keeps the session locked, and so the longest delay before NVML is opened again.
_WAIT_MS = 200
_RETRY_S = 1.0
# XIDs are documented up to about 170; a board that reports more codes must not exceed the node's series limit. The
# codes that need a reset always have series of their own.
_MOST_CODES = c.XID_ERRORS.most - len(RESET_XIDS)
_OTHER = -1


class XidWatch:
    """Counts XID errors since the exporter started, by card.

    Args:
        session: locked during a wait in NVML; take it before opening NVML again.
        clock: epoch seconds.
    """

    def __init__(self, session: threading.Lock, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[int]] = {}
        self._times: dict[str, dict[int, float]] = {}
        self._latest: dict[str, int] = {}
        # An event has the card's handle only, and a card that fell off the bus (XID 79) no longer answers its UUID.
        self._uuids: dict[int, str] = {}
        self._set: Any = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xid", daemon=True)

    def start(self) -> None:
        """Start waiting for events."""
        self._thread.start()

    def stop(self) -> bool:
        """Stop waiting; False if the thread hangs in the driver and has not ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10 * _WAIT_MS / 1000)
        return not self._thread.is_alive()

    def renew(self) -> None:
        """Drop the event set and the handles, because NVML is opened again. The caller has locked the session."""
        self._set, self._uuids = None, {}

    def samples(self, card_uuid: str) -> Iterator[Sample]:
        """The XID errors of a card; none before the first error."""
        with self._lock:
            counts, times = dict(self._counts.get(card_uuid, {})), dict(self._times.get(card_uuid, {}))
            latest = self._latest.get(card_uuid)
        for code, count in counts.items():
            yield Sample(c.XID_ERRORS, float(count), (_label(code),))
        for code, at_s in times.items():
            yield Sample(c.XID_LAST_AT, at_s, (_label(code),))
        if latest is not None:
            yield Sample(c.XID_LAST, float(latest))

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._session:
                waited = self._wait()
            if not waited:
                self._stop.wait(_RETRY_S)

    def _wait(self) -> bool:
        """Wait for one event; False if waiting is not possible now."""
        try:
            if self._set is None:
                self._set = self._registered()
            event = pynvml.nvmlEventSetWait_v2(self._set, _WAIT_MS)
            uuid = self._uuids.get(_address(event.device)) or pynvml.nvmlDeviceGetUUID(event.device)
            self._record(uuid, int(event.eventData))
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                return True
            # The driver was unloaded, a card fell off the bus, or no card has events: the sweep counts which.
            _log.debug("no XID events: %s", name_of(error.value))
            self._release()
            return False
        return True

    def _release(self) -> None:
        events, self._set = self._set, None
        if events is not None:
            try:
                pynvml.nvmlEventSetFree(events)
            except pynvml.NVMLError as error:  # the driver that created the set was unloaded
                _log.debug("an event set was not freed: %s", name_of(error.value))

    def _record(self, uuid: str, code: int) -> None:
        with self._lock:
            counts = self._counts.setdefault(uuid, Counter())
            known = code in counts or str(code) in RESET_XIDS
            counted = code if known or len(counts) < _MOST_CODES - 1 else _OTHER
            counts[counted] += 1
            self._times.setdefault(uuid, {})[counted] = self._clock()
            self._latest[uuid] = code

    def _registered(self) -> Any:
        """An event set of all cards that support events; the UUIDs of their handles are remembered.

        Raises:
            NVMLError: there is no driver, or no card supports events.
        """
        count, able = pynvml.nvmlDeviceGetCount(), 0
        events = pynvml.nvmlEventSetCreate()
        for index in range(count):
            try:
                gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
                self._uuids[_address(gpu)] = pynvml.nvmlDeviceGetUUID(gpu)
                pynvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeXidCriticalError, events)
                able += 1
            except (pynvml.NVMLError, UnicodeDecodeError) as error:  # the sweep reports it
                _log.debug("no XID events from GPU %d: %s", index, error)
        if able == 0:
            pynvml.nvmlEventSetFree(events)
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return events


def _address(handle: Any) -> int:
    """The address that a handle points to: NVML returns the same one for a card in every call of a session."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _label(code: int) -> str:
    return "other" if code == _OTHER else str(code)
