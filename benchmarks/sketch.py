"""The decayed histogram against the sketches of other projects, and against np.sum: the time to read the batch once.

Insert: one batch of 1e7 float64 with a decay weight each; scoring makes the weights once for all columns of a workload,
so that stands outside the timing. Peers insert the same values without weights. Merge: two histograms, the older one
decayed. Error: quantiles of every sample against the exact weighted quantile, the worst of all; see `sketch_samples`.
"""

from collections.abc import Iterator

import numpy as np
from benchmarks.measure import at_least, at_most, best_in_turn, scaled
from benchmarks.peers import peers
from benchmarks.sketch_samples import QUANTILES, samples
from numpy.typing import NDArray

from gpuwise.model.profile import Distribution
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.score import histogram

GOALS = {
    "sketch_insert_ns": at_most(3.0),
    "sketch_insert_speedup": at_least(10.0),
    "sketch_merge_us": at_most(2.0),
    "sketch_error": at_most(0.01),
}

_HALF_LIFE_S = 7 * 86_400
_ROUNDS = 15
_PEER_ROUNDS = 2
_MERGES = 2_000


def figures() -> dict[str, float]:
    return _insert() | _merge() | _errors()


def _insert() -> dict[str, float]:
    size = scaled(10_000_000, least=100_000)
    values = np.random.default_rng(0).beta(0.4, 2.0, size)
    weights = np.resize(_decay(40_320), size)  # of 28 days at 1 minute, again and again
    layout = histogram.LAYOUTS[Signal.SM_ACTIVITY]
    filled = histogram.distribution(layout, (values,), weights)
    if not np.isclose(filled.weights.sum(), weights.sum()):
        raise AssertionError("the histogram lost weight")
    ours = {
        "insert": lambda: histogram.distribution(layout, (values,), weights),
        "sum": lambda: np.sum(values),
    }
    best = best_in_turn(ours, _ROUNDS)
    ns = best["insert"] / size * 1e9
    found = {"sketch_insert_ns": ns, "sketch_over_sum": best["insert"] / best["sum"]}
    return found | _against_peers(values, ns)


def _against_peers(values: NDArray[np.float64], ns: float) -> dict[str, float]:
    others = {peer.name: peer for peer in peers(values)}
    best = best_in_turn({name: peer.insert for name, peer in others.items()}, _PEER_ROUNDS)
    each = {f"sketch_insert_ns_{name}": best[name] / peer.values * 1e9 for name, peer in others.items()}
    return each | ({"sketch_insert_speedup": min(each.values()) / ns} if each else {})


def _decay(steps: int) -> NDArray[np.float64]:
    return histogram.decay(Window(0, steps * 60, 60), _HALF_LIFE_S)


def _merge() -> dict[str, float]:
    """The slowest of the layouts in use."""
    rng = np.random.default_rng(1)
    pairs = {}
    for signal, layout in histogram.LAYOUTS.items():
        values = rng.uniform(layout.lowest, layout.highest, (2, 10_000))
        pairs[signal] = [histogram.distribution(layout, (row,), np.ones(row.size)) for row in values]

    def merges(first: Distribution, second: Distribution) -> None:
        for _ in range(_MERGES):
            histogram.merge(first, second, age_s=86_400.0, half_life_s=_HALF_LIFE_S)

    best = best_in_turn({signal: lambda pair=pair: merges(*pair) for signal, pair in pairs.items()}, _ROUNDS)
    return {"sketch_merge_us": max(best.values()) / _MERGES * 1e6}


def _errors() -> dict[str, float]:
    worst: dict[str, float] = {"sketch_error": 0.0}
    for sample in samples():
        for weights in (np.ones(sample.values.size), _decay(sample.values.size)):
            error = float(max(_relative(sample.signal, sample.values, weights)))
            worst["sketch_error"] = max(worst["sketch_error"], error)
            if sample.traced:
                worst["sketch_error_traces"] = max(worst.get("sketch_error_traces", 0.0), error)
    return worst


def _relative(signal: Signal, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Iterator[float]:
    """Relative error of each quantile; what is exactly 0 must read as 0."""
    made = histogram.distribution(histogram.LAYOUTS[signal], (values,), weights)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    for q in QUANTILES:
        # The same tolerance for rounding as `Distribution.quantile` has.
        true = values[order][np.searchsorted(reached, q * reached[-1] * (1.0 - 1e-12))]
        read = made.quantile(q)
        yield float("inf") if read is None or (true == 0.0 and read) else abs(read - true) / (true or 1.0)
