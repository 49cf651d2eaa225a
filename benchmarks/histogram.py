"""Histogram insert: the compiled kernel beside its twin, np.histogram and np.sum (the memory bound), in one run.

Prints nanoseconds a value and ratios to the kernel: the median of some rounds, taken in turns so that drift hits all.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from gpuwise.model.signal import Signal
from gpuwise.score import _histogram_c, _histogram_py
from gpuwise.score.histogram import LAYOUTS, midpoints

VALUES = 4_000_000
ROUNDS = 5


def main() -> None:
    values = np.random.default_rng(0).beta(0.4, 2.0, VALUES)
    weights = np.ones(VALUES)
    layout = LAYOUTS[Signal.SM_ACTIVITY]
    buckets = np.zeros(midpoints(layout).shape[0])
    base = (int(np.float64(layout.lowest).view(np.int64)) >> 46) - 1
    contenders: dict[str, Callable[[], object]] = {
        "compiled kernel": lambda: _histogram_c.add(values, weights, buckets, base),
        "its NumPy twin": lambda: _histogram_py.add(values, weights, buckets, base),
        "np.histogram, 640 equal bins": lambda: np.histogram(values, bins=640, range=(0.0, 1.0), weights=weights),
        "np.sum, the memory bound": lambda: float(values.sum()) + float(weights.sum()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    kernel = medians["compiled kernel"]
    for name, taken in medians.items():
        print(f"{name:<30} {taken / VALUES * 1e9:8.2f} ns a value   {taken / kernel:7.2f} x the kernel")


if __name__ == "__main__":
    main()
