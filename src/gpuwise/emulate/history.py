"""The events: for watches, and to reconstruct lists at earlier versions."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import Object, expired

KEPT = 20_000
"""Number of events kept; etcd keeps five minutes of them."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One write.

    Attributes:
        version: the resourceVersion of the write.
        resource: the object's resource.
        old: the object before, None for a new one.
        new: the object after, None for a deleted one.
    """

    version: int
    resource: Resource
    old: Object | None
    new: Object | None

    def seen_by(self, matches: Callable[[Object], bool]) -> tuple[str, Object] | None:
        """The watch event for a watcher with this filter: type and object, None if there is none."""
        before = self.old is not None and matches(self.old)
        after = self.new is not None and matches(self.new)
        if self.new is not None and after:
            return ("MODIFIED" if before else "ADDED"), self.new
        if self.old is not None and before:
            return "DELETED", self.old | {"metadata": self.old["metadata"] | {"resourceVersion": str(self.version)}}
        return None


class History:
    """The latest events, oldest first.

    Args:
        first: the version before the first event.
    """

    def __init__(self, first: int) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._forgotten = first
        self.compacted = 0
        """Lists at versions before this one are no longer available."""

    def add(self, event: Event) -> None:
        """Add an event; the oldest is dropped if the history is full."""
        if len(self._events) == KEPT:
            self._forgotten = self._events[0].version
        self._events.append(event)

    def forget(self) -> None:
        """Drop all events so far: watches from earlier versions get 410."""
        if self._events:
            self._forgotten = self._events[-1].version
            self._events.clear()

    def compact(self, version: int) -> None:
        """Drop lists at versions before this one, as etcd's compaction does; watches are not affected."""
        self.compacted = max(self.compacted, version)

    def since(self, version: int) -> list[Event]:
        """Events after a version.

        Raises:
            ApiFailure: 410, some of them are no longer kept.
        """
        if version < self._forgotten:
            raise expired(f"too old resource version: {version} ({self._forgotten})")
        at = bisect_right(self._events, version, key=lambda event: event.version)
        newer: list[Event] = []
        for event in reversed(self._events):
            if len(newer) == len(self._events) - at:
                break
            newer.append(event)
        return newer[::-1]

    def lists(self, version: int) -> bool:
        """Whether a list at that version is still available."""
        return version >= max(self.compacted, self._forgotten)

    def past(self, resource: Resource, present: Iterable[tuple[Key, Object]], version: int) -> dict[Key, Object]:
        """The objects of a kind at a version for which `lists` is true."""
        found = dict(present)
        for event in reversed(self._events):
            if event.version <= version:
                break
            if event.resource == resource:
                item = event.old or event.new
                assert item is not None
                key = item["metadata"].get("namespace", ""), item["metadata"]["name"]
                if event.old is None:
                    found.pop(key, None)
                else:
                    found[key] = event.old
        return found
