"""A watch: the writes since a version, as they happen, a JSON line each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Watch:
    """One open watch.

    Attributes:
        store: what is watched.
        resource: which kind.
        matches: which of its objects.
        version: from where on, None to start with what is there.
        timeout_s: when the server ends it.
        initial: say when all that was there has been told.
        bookmarks: say at the end how far it came.
        closing: the server is going away.
    """

    store: ObjectStore
    resource: Resource
    matches: Callable[[Object], bool]
    version: int | None
    timeout_s: float
    initial: bool
    bookmarks: bool
    closing: Callable[[], bool]

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the events until the time is over or the server closes."""
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def listener() -> None:
            loop.call_soon_threadsafe(wake.set)

        self.store.subscribe(listener)
        try:
            async for line in self._follow(wake, loop.time() + self.timeout_s):
                yield line
        finally:
            self.store.unsubscribe(listener)

    async def _follow(self, wake: asyncio.Event, until: float) -> AsyncIterator[bytes]:
        version, present = self._start()
        for item in present:
            yield _line("ADDED", item)
        if self.initial:
            yield _line("BOOKMARK", self._bookmark(version, {"k8s.io/initial-events-end": "true"}))
        while not self.closing():
            wake.clear()
            try:
                with self.store.lock:
                    events, version = self.store.history.since(version), self.store.version
            except ApiFailure as gone:
                yield _line("ERROR", gone.status())
                return
            for event in events:
                seen = event.seen_by(self.matches) if event.resource is self.resource else None
                if seen is not None:
                    yield _line(*seen)
            try:
                async with asyncio.timeout_at(until):
                    await wake.wait()
            except TimeoutError:
                break
        if self.bookmarks:
            yield _line("BOOKMARK", self._bookmark(version, {}))

    def _start(self) -> tuple[int, list[Object]]:
        if self.version is not None and not self.initial:
            return self.version, []
        with self.store.lock:
            return self.store.version, [item for item in self.store.all(self.resource) if self.matches(item)]

    def _bookmark(self, version: int, annotations: Object) -> Object:
        return {
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version,
            "metadata": {"resourceVersion": str(version), "annotations": annotations},
        }


def _line(kind: str, item: Any) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"
