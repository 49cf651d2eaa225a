"""What happened, kept for watchers for a while."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import Object, expired

KEPT = 20_000
"""Events kept; etcd keeps five minutes' worth."""


@dataclass(frozen=True, slots=True)
class Event:
    """One write.

    Attributes:
        version: the resourceVersion that it made.
        resource: of which kind.
        old: the object before, None for a new one.
        new: the object after, None for a deleted one.
    """

    version: int
    resource: Resource
    old: Object | None
    new: Object | None

    def seen_by(self, matches: Callable[[Object], bool]) -> tuple[str, Object] | None:
        """What a watcher with such a filter is told: the event's type and object, None if nothing."""
        before = self.old is not None and matches(self.old)
        after = self.new is not None and matches(self.new)
        if self.new is not None and after:
            return ("MODIFIED" if before else "ADDED"), self.new
        if self.old is not None and before:
            last = self.new or self.old
            return "DELETED", last | {"metadata": last["metadata"] | {"resourceVersion": str(self.version)}}
        return None


class History:
    """The last events, oldest first."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._forgotten = 0

    def add(self, event: Event) -> None:
        """Keep an event; the oldest makes room."""
        if len(self._events) == KEPT:
            self._forgotten = self._events[0].version
        self._events.append(event)

    def compact(self) -> None:
        """Forget everything until now, as etcd does every five minutes."""
        if self._events:
            self._forgotten = self._events[-1].version
            self._events.clear()

    def since(self, version: int) -> list[Event]:
        """Events after a version.

        Raises:
            ApiFailure: 410, some of them are no longer kept.
        """
        if version < self._forgotten:
            raise expired(f"too old resource version: {version} ({self._forgotten})")
        newer: list[Event] = []
        for event in reversed(self._events):
            if event.version <= version:
                break
            newer.append(event)
        return newer[::-1]
