"""Sampling at a fixed interval, independent of scrapes."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from gpuwise.collect.attribution.allocation import Holders
from gpuwise.collect.attribution.apportion import Part, parts
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.attribution.energy import EnergyAccounts
from gpuwise.collect.idle import IdleClocks
from gpuwise.collect.reading import Devices, DriverReplaced, Reading, Sweep
from gpuwise.collect.snapshot import Snapshot
from gpuwise.model.errors import DeviceError, SourceError

_log = logging.getLogger(__name__)

# A reading older than this many intervals is not served: gpu-monitoring-tools#188 served frozen values as current.
STALE_INTERVALS = 3


class Sampler:
    """Sweeps the devices on a separate thread; a scrape only reads the last snapshot.

    A call that hangs in the driver blocks this thread only. The snapshot then ages, and `fresh` becomes false.

    Args:
        devices: the GPUs.
        attributor: finds the containers of each device, None if there is no kubelet to query.
        interval_s: seconds from the start of one sweep to the start of the next.
        clock: epoch seconds.
    """

    def __init__(
        self,
        devices: Devices,
        attributor: Attributor | None,
        *,
        interval_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._devices = devices
        self._attributor = attributor
        self._interval_s = interval_s
        self._clock = clock
        self._errors: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._sweeps = 0
        self._idle = IdleClocks(longest_gap_s=STALE_INTERVALS * interval_s)
        self._energy = EnergyAccounts()
        self._lost: tuple[Reading, ...] = ()
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The last finished sweep, None before the first."""
        return self._snapshot

    @property
    def age_s(self) -> float | None:
        """Seconds since the last finished sweep began, None before the first."""
        last = self._snapshot
        return None if last is None else max(0.0, self._clock() - last.at_s)

    @property
    def fresh(self) -> bool:
        """Whether the last sweep is recent enough to represent the current state."""
        last = self._snapshot  # a clock that was set back leaves a sweep in the future, whose age is unknown
        return last is not None and abs(self._clock() - last.at_s) <= STALE_INTERVALS * self._interval_s

    def run(self, stop: threading.Event, then: Callable[[], object] = lambda: None) -> None:
        """Sweep until the stop event is set.

        Args:
            stop: ends the loop.
            then: called after each sweep.
        """
        while not stop.is_set():
            began = time.monotonic()
            self.sample()
            then()
            stop.wait(max(0.0, self._interval_s - (time.monotonic() - began)))

    def sample(self) -> Snapshot:
        """Sweep once and publish the result.

        Raises:
            DriverReplaced: no further sweep is possible in this process.
        """
        at_s, began = self._clock(), time.monotonic()
        sweep = self._sweep()
        readings = tuple(self._with_clocks(sweep.readings))
        holders = self._holders(readings)
        found = self._parts(readings, holders)
        self._sweeps += 1
        self._snapshot = Snapshot(
            at_s=at_s,
            duration_s=time.monotonic() - began,
            readings=readings,
            lost=self._lost,
            holders=holders,
            parts=found,
            sweeps=self._sweeps,
            errors=dict(self._errors),
            dropped=dict(self._dropped),
            driver_up=sweep is not _FAILED,
            driver=self._devices.driver,
            attribution_up=None if self._attributor is None else holders is not None,
        )
        return self._snapshot

    def _sweep(self) -> Sweep:
        """Sweep the devices; if they cannot be listed, count an error and return no readings, not old ones."""
        try:
            sweep = self._devices.sweep()
        except DriverReplaced:
            raise
        except DeviceError as error:
            if self._snapshot is None or self._snapshot.driver_up:
                _log.warning("sweep failed: %s", error)  # once per outage; the counter counts every failure
            self._errors["DEVICES_NOT_LISTED"] += 1
            self._lost = self._devices.remembered()
            return _FAILED
        self._errors.update(sweep.errors)
        self._dropped.update(metric.name for metric in sweep.dropped)
        self._lost = sweep.lost
        return sweep

    def _with_clocks(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        self._idle.keep({reading.device.uuid for reading in readings})
        return [replace(reading, samples=(*reading.samples, *self._idle.samples(reading))) for reading in readings]

    def _holders(self, readings: Sequence[Reading]) -> Holders | None:
        """The containers of each device; None, and an error counted, if the kubelet does not answer."""
        if self._attributor is None:
            return None
        try:
            return self._attributor.holders(readings)
        except SourceError as error:
            if "POD_RESOURCES_UNAVAILABLE" not in self._errors or (self._snapshot and self._snapshot.attribution_up):
                _log.warning("attribution unknown: %s", error)  # once per outage; the counter counts every failure
            self._errors["POD_RESOURCES_UNAVAILABLE"] += 1
            return None

    def _parts(self, readings: Sequence[Reading], holders: Holders | None) -> tuple[Part, ...]:
        if self._attributor is None:
            return ()
        if holders is None:
            self._energy.skip(readings)
            return ()
        owner_of = self._attributor.owner_of
        return (*parts(readings, holders, owner_of), *self._energy.add(readings, holders, owner_of))


_FAILED = Sweep(())
