"""How long each device has done nothing, as far as it was watched."""

from collections.abc import Iterator

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Sample
from gpuwise.collect.reading import Reading

_WITNESSES = (c.SM_ACTIVITY, c.GRAPHICS_ACTIVITY, c.UTILIZATION, c.PROCESS_SM)


class IdleClocks:
    """When a kernel, and a process, were last seen on each device.

    What is not known counts as work: a reading without activity, and a gap between readings, start the clock anew.

    Args:
        longest_gap_s: readings further apart leave open what was between them.
    """

    def __init__(self, *, longest_gap_s: float) -> None:
        self._longest_gap_s = longest_gap_s
        self._seen_s: dict[str, float] = {}
        self._worked_s: dict[str, float] = {}
        self._used_s: dict[str, float] = {}

    def samples(self, reading: Reading) -> Iterator[Sample]:
        """The clocks of a device, none where its activity or its processes are not known.

        Args:
            reading: the newest.
        """
        uuid, at_s = reading.device.uuid, reading.at_s
        if at_s - self._seen_s.get(uuid, at_s) > self._longest_gap_s or at_s < self._seen_s.get(uuid, at_s):
            self._worked_s.pop(uuid, None)
            self._used_s.pop(uuid, None)
        self._seen_s[uuid] = at_s
        known = [value for metric in _WITNESSES if (value := reading.value(metric)) is not None]
        idle_s = _since(self._worked_s, reading, known=bool(known), now=any(value > 0.0 for value in known))
        if idle_s is not None:
            yield Sample(c.IDLE, idle_s)
        has_any = reading.processes is not None
        empty_s = _since(self._used_s, reading, known=has_any, now=bool(reading.processes))
        if empty_s is not None:
            yield Sample(c.PROCESSLESS, empty_s)

    def keep(self, seen: set[str]) -> None:
        """Forget devices that are no more."""
        for clock in (self._seen_s, self._worked_s, self._used_s):
            for uuid in clock.keys() - seen:
                del clock[uuid]


def _since(clock: dict[str, float], reading: Reading, *, known: bool, now: bool) -> float | None:
    """Seconds since it last was so, None if that is not known."""
    uuid = reading.device.uuid
    if now or not known:
        clock[uuid] = reading.at_s
    if not known:
        return None
    return reading.at_s - clock.setdefault(uuid, reading.at_s)
