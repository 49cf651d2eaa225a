"""The decayed histogram against the sketches of other projects, and against np.sum: the time to read the batch once.

Insert: a batch of 1e7 float64, column by column of 28 days at 1 minute, into counts by day and bucket, and those
weighed by their age once at the end. The kernel also takes each hour's peak and sums in that pass; all of it is timed.
Peers insert the same values without ages. Merge: the counts of two days added. Error: quantiles of every sample
against the exact weighted quantile, the worst of all; see `sketch_samples`.
"""

from collections.abc import Iterator

import numpy as np
from benchmarks.measure import at_least, at_most, best_in_turn, scaled
from benchmarks.peers import peers
from benchmarks.sketch_samples import QUANTILES, samples
from numpy.typing import NDArray

from gpuwise.model.profile import BucketLayout, Distribution
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.score import _hours, histogram

GOALS = {
    "sketch_insert_ns": at_most(3.0),
    "sketch_insert_speedup": at_least(10.0),
    "sketch_merge_us": at_most(2.0),
    "sketch_error": at_most(0.01),
}

_HALF_LIFE_S = 7 * 86_400
_PER_HOUR = 60
_DAY = 24 * _PER_HOUR
_COLUMN = 28 * _DAY
_ROUNDS = 15
_PEER_ROUNDS = 2
_MERGES = 2_000

Values = NDArray[np.float64]


def figures() -> dict[str, float]:
    return _insert() | _merge() | _errors()


def _insert() -> dict[str, float]:
    size = scaled(10_000_000, least=2 * _COLUMN)
    values = np.random.default_rng(0).beta(0.4, 2.0, size)
    made = _distribution(Signal.SM_ACTIVITY, values, half_life_s=2**60)
    if round(made.weights.sum()) != size:
        raise AssertionError(f"the histogram counted {made.weights.sum():.0f} of {size} values")
    ours = {
        "insert": lambda: _distribution(Signal.SM_ACTIVITY, values, half_life_s=_HALF_LIFE_S),
        "sum": lambda: np.sum(values),
    }
    best = best_in_turn(ours, _ROUNDS)
    ns = best["insert"] / size * 1e9
    return {"sketch_insert_ns": ns, "sketch_over_sum": best["insert"] / best["sum"]} | _against_peers(values, ns)


def _distribution(signal: Signal, values: Values, *, half_life_s: int) -> Distribution:
    """As scoring makes it: columns of 28 days folded into one table of counts, then weighed."""
    layout = histogram.LAYOUTS[signal]
    counts = np.zeros((_COLUMN // _DAY, histogram.buckets(layout)), dtype=np.uint32)
    busy = np.ones(_COLUMN, dtype=np.uint8)
    hours = np.empty((4, _COLUMN // _PER_HOUR))
    for start in range(0, values.size, _COLUMN):
        column = values[start : start + _COLUMN]
        _fold(signal, layout, column, busy, counts, hours)
    return histogram.decayed(layout, counts, half_life_s)


def _fold(
    signal: Signal,
    layout: BucketLayout,
    column: Values,
    busy: NDArray[np.uint8],
    counts: NDArray[np.uint32],
    hours: NDArray[np.float64],
) -> None:
    highest, base = SIGNALS[signal].highest, histogram.base(layout)
    _hours.fold(column, busy, highest, 0, _PER_HOUR, 0, base, counts, hours)


def _against_peers(values: NDArray[np.float64], ns: float) -> dict[str, float]:
    others = {peer.name: peer for peer in peers(values)}
    best = best_in_turn({name: peer.insert for name, peer in others.items()}, _PEER_ROUNDS)
    each = {f"sketch_insert_ns_{name}": best[name] / peer.values * 1e9 for name, peer in others.items()}
    return each | ({"sketch_insert_speedup": min(each.values()) / ns} if each else {})


def _merge() -> dict[str, float]:
    """The counts of a day added to another's, in the largest layout."""
    layout = max(histogram.LAYOUTS.values(), key=histogram.buckets)
    first, second = np.random.default_rng(1).integers(0, 1_000, (2, 1, histogram.buckets(layout)), dtype=np.uint32)

    def merges() -> None:
        for _ in range(_MERGES):
            np.add(first, second)

    return {"sketch_merge_us": best_in_turn({"merge": merges}, _ROUNDS)["merge"] / _MERGES * 1e6}


def _errors() -> dict[str, float]:
    worst: dict[str, float] = {"sketch_error": 0.0}
    for sample in samples():
        column = sample.values[:_COLUMN]
        for half_life_s in (_HALF_LIFE_S, 2**60):
            error = float(max(_relative(sample.signal, column, half_life_s)))
            worst["sketch_error"] = max(worst["sketch_error"], error)
            if sample.traced:
                worst["sketch_error_traces"] = max(worst.get("sketch_error_traces", 0.0), error)
    return worst


def _relative(signal: Signal, values: Values, half_life_s: int) -> Iterator[float]:
    """Relative error of each quantile; what is exactly 0 must read as 0."""
    made = _distribution(signal, values, half_life_s=half_life_s)
    ages_s = (_COLUMN // _DAY - 1 - np.arange(values.size) // _DAY) * 86_400.0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.exp2(-ages_s / half_life_s)[order])
    for q in QUANTILES:
        # The same tolerance for rounding as `Distribution.quantile` has.
        true = values[order][np.searchsorted(reached, q * reached[-1] * (1.0 - 1e-12))]
        read = made.quantile(q)
        yield float("inf") if read is None or (true == 0.0 and read) else abs(read - true) / (true or 1.0)
