"""A watch: the writes since a version, as they happen, one JSON line each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.views import shown

_BOOKMARKS_EVERY_S = 2.0
"""Interval of bookmarks; a real server sends one each minute and before it ends the watch."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One open watch.

    Attributes:
        store: the store to watch.
        kept: the resource under which the objects are stored.
        resource: the resource as which they are shown.
        matches: the filter on objects.
        form: converts an object to the requested form.
        version: the version to start from, None to start with the existing objects.
        timeout_s: when the server ends the watch.
        initial: send a bookmark after the existing objects.
        bookmarks: send bookmarks with the current version.
        closing: returns True when the server shuts down.
    """

    store: ObjectStore
    kept: Resource
    resource: Resource
    matches: Callable[[Object], bool]
    form: Callable[[Object], Object]
    version: int | None
    timeout_s: float
    initial: bool
    bookmarks: bool
    closing: Callable[[], bool]

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the events until the timeout or until the server closes."""
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
            yield self._line("ADDED", item)
        if self.initial and self.bookmarks:
            yield _line("BOOKMARK", self._bookmark(version, {"k8s.io/initial-events-end": "true"}))
        clock = asyncio.get_running_loop()
        last_bookmark = clock.time()
        while not self.closing():
            wake.clear()
            try:
                with self.store.lock:
                    events, version = self.store.history.since(version), self.store.version
            except ApiFailure as gone:
                yield _line("ERROR", gone.status())
                return
            for event in events:
                seen = event.seen_by(self.matches) if event.resource == self.kept else None
                if seen is not None:
                    yield self._line(*seen)
            now = clock.time()
            if self.bookmarks and now - last_bookmark >= _BOOKMARKS_EVERY_S:
                last_bookmark = now
                yield _line("BOOKMARK", self._bookmark(version, {}))
            next_mark = last_bookmark + _BOOKMARKS_EVERY_S if self.bookmarks else until
            try:
                async with asyncio.timeout_at(min(until, next_mark)):
                    await wake.wait()
            except TimeoutError:
                if clock.time() >= until:
                    break

    def _start(self) -> tuple[int, list[Object]]:
        if self.version is not None and not self.initial:
            return self.version, []
        with self.store.lock:
            return self.store.version, [item for item in self.store.all(self.kept) if self.matches(item)]

    def _line(self, kind: str, item: Object) -> bytes:
        return _line(kind, self.form(shown(self.resource, item)))

    def _bookmark(self, version: int, annotations: Object) -> Object:
        metadata: Object = {"resourceVersion": str(version)}
        mark = {
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version,
            "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        }
        return mark | ({"spec": {}} if self.resource.builtin else {})


def _line(kind: str, item: Any) -> bytes:
    return json.dumps({"type": kind, "object": item}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
