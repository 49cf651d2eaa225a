"""Sampling at its own pace, apart from scrapes: a snapshot is whole, dated and never changed."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gpuwise.collect.sweep import Attribution, Devices, Sweep
from gpuwise.model.errors import DeviceError, SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import PodRef, Reading

_log = logging.getLogger(__name__)

# A reading older than this many intervals is not served: gpu-monitoring-tools#188 served frozen values as fresh ones.
STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last finished sweep, with the counts since the exporter started.

    Attributes:
        at_s: when the sweep began, epoch seconds.
        duration_s: how long it took.
        readings: what was read, with the pods that hold each device; empty when the sweep failed.
        errors: how often each error was met since start.
        dropped: how many values no board can have were dropped since start, by signal.
    """

    at_s: float
    duration_s: float
    readings: tuple[Reading, ...]
    errors: Mapping[str, int]
    dropped: Mapping[Signal, int]


class Sampler:
    """Sweeps the devices on a thread of its own; a scrape only ever reads the last snapshot.

    A call into a wedged driver blocks this thread alone. The snapshot then ages, and `fresh` turns false.

    Args:
        devices: the GPUs.
        attribution: who holds which device, None where there is no kubelet to ask.
        interval_s: seconds from the start of one sweep to the start of the next.
        clock: epoch seconds.
    """

    def __init__(
        self,
        devices: Devices,
        attribution: Attribution | None,
        *,
        interval_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._devices = devices
        self._attribution = attribution
        self._interval_s = interval_s
        self._clock = clock
        self._errors: Counter[str] = Counter()
        self._dropped: Counter[Signal] = Counter()
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The last finished sweep, None before the first."""
        return self._snapshot

    @property
    def fresh(self) -> bool:
        """Whether the last sweep is young enough to speak for now."""
        last = self._snapshot
        return last is not None and self._clock() - last.at_s <= STALE_INTERVALS * self._interval_s

    def run(self, stop: threading.Event) -> None:
        """Sweep until told to stop."""
        while not stop.is_set():
            began = time.monotonic()
            self.sample()
            stop.wait(max(0.0, self._interval_s - (time.monotonic() - began)))

    def sample(self) -> Snapshot:
        """Sweep once and publish the result."""
        at_s, began = self._clock(), time.monotonic()
        sweep = self._sweep(at_s)
        holders = self._holders()
        self._errors.update(sweep.errors)
        self._dropped.update(sweep.dropped)
        self._snapshot = Snapshot(
            at_s=at_s,
            duration_s=time.monotonic() - began,
            readings=tuple(replace(reading, pods=holders.get(reading.device_uuid, ())) for reading in sweep.readings),
            errors=dict(self._errors),
            dropped=dict(self._dropped),
        )
        return self._snapshot

    def _sweep(self, at_s: float) -> Sweep:
        """The devices; when they cannot be listed, no readings and an error: the last values are not repeated."""
        try:
            return self._devices.sweep(at_s)
        except DeviceError as error:
            _log.warning("sweep failed: %s", error)
            return Sweep((), ("DEVICES_NOT_LISTED",), ())

    def _holders(self) -> Mapping[str, tuple[PodRef, ...]]:
        """Who holds what; unknown, and counted, where the kubelet does not say."""
        if self._attribution is None:
            return {}
        try:
            return self._attribution()
        except SourceError as error:
            _log.warning("attribution unknown: %s", error)
            self._errors["POD_RESOURCES_UNAVAILABLE"] += 1
            return {}
