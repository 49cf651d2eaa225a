"""The decayed histogram against the sketches of other projects, and against np.sum: the time to read the batch once.

Insert: 1e7 float64 as in scoring, columns of 28 days at 1 minute, counted into the buckets of their days by the kernel
that scoring uses (which also computes the peaks and sums of each hour), with the days weighted by their age. Peers
insert the same values without weights. Merge: the histograms of one day of two shards, and of 28 days. Error: quantiles
of every sample against the exact weighted quantile, the worst of all; see `sketch_samples`.
"""

from collections.abc import Iterator

import numpy as np
from benchmarks.measure import at_least, at_most, best_in_turn, scaled
from benchmarks.peers import peers
from benchmarks.sketch_samples import QUANTILES, samples
from numpy.typing import NDArray

from gpuwise.model.hours import DEVICE_SIGNALS, device_rows
from gpuwise.model.signal import Signal
from gpuwise.score import _hours, histogram

GOALS = {
    "sketch_over_sum": at_most(3.0),
    "sketch_insert_speedup": at_least(14.0),
    "sketch_error": at_most(0.01),
}

_HALF_LIFE_S = 7 * 86_400
_NEVER_S = 10**15
_DAYS, _PER_HOUR = 28, 60
_COLUMN = _DAYS * 24 * _PER_HOUR
_ROUNDS = 15
_PEER_ROUNDS = 2
_MERGES = 2_000


def figures() -> dict[str, float]:
    return _insert() | _merge() | _errors()


def _insert() -> dict[str, float]:
    size = scaled(10_000_000, least=100_000)
    values = np.random.default_rng(0).beta(0.4, 2.0, size)
    signal = Signal.SM_ACTIVITY
    if _counted(signal, values).sum() != size:
        raise AssertionError("the histogram lost values")
    ours = {
        "insert": lambda: histogram.decayed(histogram.LAYOUTS[signal], _counted(signal, values), _HALF_LIFE_S),
        "sum": lambda: np.sum(values),
    }
    best = best_in_turn(ours, _ROUNDS)
    ns = best["insert"] / size * 1e9
    found = {"sketch_over_sum": best["insert"] / best["sum"]}
    return found | _against_peers(values, ns)


def _counted(signal: Signal, values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Samples by day and bucket, shape (days, buckets); the values are consecutive columns of 28 days."""
    layout, into = histogram.LAYOUTS[signal], DEVICE_SIGNALS.index(signal)
    counts = np.zeros((_DAYS, histogram.buckets(layout)), dtype=np.uint32)
    rows = device_rows(_PER_HOUR, _DAYS * 24)
    for start in range(0, values.size, _COLUMN):
        column = values[start : start + _COLUMN]
        counted = _hours.Column(column, np.inf, np.inf, 0, False, histogram.base(layout), counts, into)
        _hours.count((counted,), column.size, 0, _PER_HOUR, 0, rows)
    return counts


def _against_peers(values: NDArray[np.float64], ns: float) -> dict[str, float]:
    others = {peer.name: peer for peer in peers(values)}
    best = best_in_turn({name: peer.insert for name, peer in others.items()}, _PEER_ROUNDS)
    each = {f"sketch_insert_ns_{name}": best[name] / peer.values * 1e9 for name, peer in others.items()}
    return each | ({"sketch_insert_speedup": min(each.values()) / ns} if each else {})


def _merge() -> dict[str, float]:
    """The slowest of the layouts in use."""
    rng = np.random.default_rng(1)
    pairs = {}
    for signal, layout in histogram.LAYOUTS.items():
        pairs[signal] = rng.integers(0, 1_000, (2, _DAYS, histogram.buckets(layout)), dtype=np.uint32)

    def merges(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> None:
        for _ in range(_MERGES):
            first += second

    days = best_in_turn({s: lambda pair=pair: merges(pair[0, 0], pair[1, 0]) for s, pair in pairs.items()}, _ROUNDS)
    wholes = best_in_turn({s: lambda pair=pair: merges(*pair) for s, pair in pairs.items()}, _ROUNDS)
    return {
        "sketch_merge_us": max(days.values()) / _MERGES * 1e6,
        "sketch_merge_28_days_us": max(wholes.values()) / _MERGES * 1e6,
    }


def _errors() -> dict[str, float]:
    worst: dict[str, float] = {"sketch_error": 0.0}
    for sample in samples():
        for half_life_s in (_NEVER_S, _HALF_LIFE_S):
            error = float(max(_relative(sample.signal, sample.values, half_life_s)))
            worst["sketch_error"] = max(worst["sketch_error"], error)
            if sample.traced:
                worst["sketch_error_traces"] = max(worst.get("sketch_error_traces", 0.0), error)
    return worst


def _relative(signal: Signal, values: NDArray[np.float64], half_life_s: int) -> Iterator[float]:
    """Relative error of each quantile; a value of exactly 0 must read as 0."""
    layout = histogram.LAYOUTS[signal]
    values = values[:_COLUMN]
    counts = _counted(signal, values)
    made = histogram.decayed(layout, counts, half_life_s)
    weights = np.exp2(-(_DAYS - 1 - np.arange(values.size) // (24 * _PER_HOUR)) * 86_400.0 / half_life_s)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    for q in QUANTILES:
        # The same tolerance for rounding as `Distribution.quantile` has.
        true = values[order][np.searchsorted(reached, q * reached[-1] * (1.0 - 1e-12))]
        read = made.quantile(q)
        yield float("inf") if read is None or (true == 0.0 and read) else abs(read - true) / (true or 1.0)
