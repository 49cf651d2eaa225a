"""How long each device has been idle, as far as it was monitored."""

from collections.abc import Iterator

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Sample
from gpuwise.collect.reading import Reading

_ACTIVITY = (c.SM_ACTIVITY, c.GRAPHICS_ACTIVITY, c.UTILIZATION, c.PROCESS_SM)


class IdleClocks:
    """When a kernel, and a process, were last seen on each device.

    Unknown counts as activity: a reading without activity metrics, and a gap between readings, reset the clock.

    Args:
        longest_gap_s: a longer time between two readings is a gap.
    """

    def __init__(self, *, longest_gap_s: float) -> None:
        self._longest_gap_s = longest_gap_s
        self._seen_s: dict[str, float] = {}
        self._worked_s: dict[str, float] = {}
        self._used_s: dict[str, float] = {}

    def samples(self, reading: Reading) -> Iterator[Sample]:
        """The idle clocks of a device; none if its activity or its processes are not known.

        Args:
            reading: the newest reading of the device.
        """
        uuid, at_s = reading.device.uuid, reading.at_s
        if at_s - self._seen_s.get(uuid, at_s) > self._longest_gap_s or at_s < self._seen_s.get(uuid, at_s):
            self._worked_s.pop(uuid, None)
            self._used_s.pop(uuid, None)
        self._seen_s[uuid] = at_s
        known = [value for metric in _ACTIVITY if (value := reading.value(metric)) is not None]
        idle_s = _since(self._worked_s, reading, known=bool(known), now=any(value > 0.0 for value in known))
        if idle_s is not None:
            yield Sample(c.IDLE, idle_s)
        has_any = reading.processes is not None
        empty_s = _since(self._used_s, reading, known=has_any, now=bool(reading.processes))
        if empty_s is not None:
            yield Sample(c.PROCESSLESS, empty_s)

    def keep(self, seen: set[str]) -> None:
        """Forget devices that no longer exist."""
        for clock in (self._seen_s, self._worked_s, self._used_s):
            for uuid in clock.keys() - seen:
                del clock[uuid]


def _since(clock: dict[str, float], reading: Reading, *, known: bool, now: bool) -> float | None:
    """Seconds since the condition was last true; None if that is not known."""
    uuid = reading.device.uuid
    if now or not known:
        clock[uuid] = reading.at_s
    if not known:
        return None
    return reading.at_s - clock.setdefault(uuid, reading.at_s)
