"""The text of a scrape: rendered once per snapshot, for any number of scrapes; only the age is rendered each time."""

import gzip
import threading
from dataclasses import dataclass

from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.compat import dcgm_families
from gpuwise.collect.serve.exposition import age_family, device_families, own_families
from gpuwise.collect.serve.families import Family, capped, text
from gpuwise.collect.serve.negotiation import Format
from gpuwise.collect.settings import Compat
from gpuwise.collect.snapshot import Snapshot

# Level 1 of 9: it compresses a node's page to 1/12 of its size, in a sixth of the time of level 6, which reaches 1/15.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The rendered page of one snapshot, compressed and without the age."""

    snapshot: Snapshot | None
    fresh: bool
    packed: bytes


class Page:
    """Renders the content of /metrics.

    Args:
        sampler: the source of snapshots.
        node: value of the label `node`.
        compat: which other metric names to serve as well.
        max_series: maximum number of series of devices and containers.
    """

    def __init__(self, sampler: Sampler, *, node: str, compat: Compat = Compat.NONE, max_series: int = 10_000) -> None:
        self._sampler = sampler
        self._node = node
        self._compat = compat
        self._max_series = max_series
        self._lock = threading.Lock()
        self._rendered: dict[Format, _Rendered] = {}
        self._scraped = Format.TEXT

    def render(self) -> None:
        """Render the page of the last snapshot in the format of the last scrape, so that the next does not wait."""
        self._current(self._scraped)

    def plain(self, wanted: Format = Format.TEXT) -> bytes:
        """The page as text; few clients ask for it, so only the compressed page is kept."""
        return gzip.decompress(self.packed(wanted))

    def packed(self, wanted: Format = Format.TEXT) -> bytes:
        """The page compressed with gzip; the age is a separate gzip member (RFC 1952, section 2.2)."""
        self._scraped = wanted
        return self._current(wanted) + gzip.compress(self._age(wanted), _LEVEL)

    def _age(self, wanted: Format) -> bytes:
        end = "# EOF\n" if wanted is Format.OPENMETRICS else ""
        return (text([age_family(self._sampler.age_s)], wanted) + end).encode()

    def _current(self, wanted: Format) -> bytes:
        snapshot, fresh = self._sampler.snapshot, self._sampler.fresh
        with self._lock:  # of concurrent scrapes, one renders the page
            last = self._rendered.get(wanted)
            if last is None or last.snapshot is not snapshot or last.fresh is not fresh:
                plain = text(self._families(snapshot, fresh=fresh), wanted).encode()
                last = self._rendered[wanted] = _Rendered(snapshot, fresh, gzip.compress(plain, _LEVEL))
        return last.packed

    def _families(self, snapshot: Snapshot | None, *, fresh: bool) -> list[Family]:
        wanted = [] if snapshot is None else device_families(snapshot, node=self._node, fresh=fresh)
        if snapshot is not None and fresh and self._compat is Compat.DCGM:
            wanted += dcgm_families(snapshot, node=self._node)
        kept, left_out = capped(wanted, self._max_series)
        series = sum(len(family.lines) for family in kept)
        return [*kept, *own_families(snapshot, series=series, left_out=left_out.items())]
