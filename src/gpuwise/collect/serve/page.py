"""The text of a scrape: written once per snapshot, whatever the number of scrapes; only its age is written anew."""

import gzip
import threading
from dataclasses import dataclass

from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.compat import dcgm_families
from gpuwise.collect.serve.exposition import age_family, device_families, own_families
from gpuwise.collect.serve.families import Family, capped, text
from gpuwise.collect.settings import Compat
from gpuwise.collect.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# 1 of 9: a node's page shrinks to a twelfth of its size at a sixth of the time of level 6, which gives a fifteenth.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class _Written:
    """The page of one snapshot, without its age."""

    snapshot: Snapshot | None
    fresh: bool
    plain: bytes
    packed: bytes


class Page:
    """Writes what /metrics shows.

    Args:
        sampler: whose snapshots.
        node: value of the label `node`.
        compat: whose names are shown, too.
        max_series: most series of devices and containers.
    """

    def __init__(self, sampler: Sampler, *, node: str, compat: Compat = Compat.NONE, max_series: int = 10_000) -> None:
        self._sampler = sampler
        self._node = node
        self._compat = compat
        self._max_series = max_series
        self._lock = threading.Lock()
        self._written: _Written | None = None

    def write(self) -> None:
        """Write the page of the last snapshot now, so that the next scrape finds it written."""
        self._current()

    def plain(self) -> bytes:
        """The page as text."""
        return self._current().plain + self._age()

    def packed(self) -> bytes:
        """The page compressed by gzip, the age as a member of its own (RFC 1952, section 2.2)."""
        return self._current().packed + gzip.compress(self._age(), _LEVEL)

    def _age(self) -> bytes:
        return text([age_family(self._sampler.age_s)]).encode()

    def _current(self) -> _Written:
        snapshot, fresh = self._sampler.snapshot, self._sampler.fresh
        with self._lock:  # of many scrapes at once, one writes
            last = self._written
            if last is None or last.snapshot is not snapshot or last.fresh is not fresh:
                plain = text(self._families(snapshot, fresh=fresh)).encode()
                last = self._written = _Written(snapshot, fresh, plain, gzip.compress(plain, _LEVEL))
        return last

    def _families(self, snapshot: Snapshot | None, *, fresh: bool) -> list[Family]:
        wanted = [] if snapshot is None else device_families(snapshot, node=self._node, fresh=fresh)
        if snapshot is not None and fresh and self._compat is Compat.DCGM:
            wanted += dcgm_families(snapshot, node=self._node)
        kept, left_out = capped(wanted, self._max_series)
        series = sum(len(family.lines) for family in kept)
        return [*kept, *own_families(snapshot, series=series, left_out=left_out.items())]
