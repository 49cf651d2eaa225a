"""Sketches of other projects, each as one call that inserts a batch of float64 into a fresh sketch.

They insert without decay, because most do not support it; this favours them. Sizes are the projects' defaults, or an
error of 1 % if they require one. Sketches with one value per call are timed on the first values only; their time is
proportional to the number of values.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.measure import remark
from numpy.typing import NDArray

Values = NDArray[np.float64]

ONE_BY_ONE = 200_000
"""Number of values to time for a peer that takes one value at a time."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A batch insertion of another project.

    Attributes:
        name: for figures, a word.
        values: how many `insert` inserts.
        insert: makes a sketch and fills it.
    """

    name: str
    values: int
    insert: Callable[[], object]


def peers(values: Values) -> Iterator[Peer]:
    """The peers that can be imported; each missing one is reported in a remark."""
    for name, (module, distribution, prepare) in _PEERS.items():
        try:
            imported = importlib.import_module(module)
        except ImportError as error:
            remark(f"peer {name} is missing: {error}; `make bench` installs the dependency group bench")
            continue
        count, insert = prepare(imported, values)
        remark(f"peer {name}: {distribution} {importlib.metadata.version(distribution)}, {count:,} values")
        yield Peer(name, count, insert)


Prepared = tuple[int, Callable[[], object]]


def _ddsketch(module: Any, values: Values) -> Prepared:
    few = values[:ONE_BY_ONE].tolist()

    def insert() -> object:
        sketch = module.DDSketch(0.01)
        for value in few:
            sketch.add(value)
        return sketch

    return len(few), insert


def _kll(module: Any, values: Values) -> Prepared:
    def insert() -> object:
        sketch = module.kll_doubles_sketch(200)
        sketch.update(values)
        return sketch

    return values.size, insert


def _req(module: Any, values: Values) -> Prepared:
    narrow = values.astype(np.float32)  # it accepts float32 only; the conversion is not timed

    def insert() -> object:
        sketch = module.req_floats_sketch(12)
        sketch.update(narrow)
        return sketch

    return narrow.size, insert


def _fastdigest(module: Any, values: Values) -> Prepared:
    return values.size, lambda: module.TDigest.from_values(values)


def _pytdigest(module: Any, values: Values) -> Prepared:
    return values.size, lambda: module.TDigest.compute(values)


def _hdrhistogram(module: Any, values: Values) -> Prepared:
    few = np.maximum(values[:ONE_BY_ONE] * 1e6, 1).astype(np.int64).tolist()  # it counts integers from 1

    def insert() -> object:
        histogram = module.HdrHistogram(1, 1_000_000, 2)
        for value in few:
            histogram.record_value(value)
        return histogram

    return len(few), insert


_PEERS: dict[str, tuple[str, str, Callable[[Any, Values], Prepared]]] = {
    "ddsketch": ("ddsketch", "ddsketch", _ddsketch),
    "kll": ("datasketches", "datasketches", _kll),
    "req": ("datasketches", "datasketches", _req),
    "fastdigest": ("fastdigest", "fastdigest", _fastdigest),
    "pytdigest": ("pytdigest", "pytdigest", _pytdigest),
    "hdrhistogram": ("hdrh.histogram", "hdrhistogram", _hdrhistogram),
}
