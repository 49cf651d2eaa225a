"""Samples to measure the histogram's error: a public trace, and distributions chosen as hard cases.

Values are within the layout of their signal. Below the lowest value the histogram reads 0 by design, because no GPU
resolves activities under 0.1 %. The trace is GenTD26 (README.md, "Public traces"); without it there is a remark.
"""

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.measure import remark
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.score.histogram import LAYOUTS, BucketLayout

QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)

_SIZE = 40_320  # 28 days of minutes


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of one signal.

    Attributes:
        signal: which.
        values: float64, shape (n,).
        traced: whether they were measured on real GPUs.
    """

    signal: Signal
    values: NDArray[np.float64]
    traced: bool


def samples() -> Iterator[Sample]:
    """All samples."""
    yield from _trace()
    for signal in (Signal.SM_ACTIVITY, Signal.MEMORY_USED, Signal.POWER):
        layout = LAYOUTS[signal]
        for values in _adversarial(layout):
            inside = np.where(values == 0.0, 0.0, np.clip(values, layout.lowest, layout.highest))
            yield Sample(signal, inside, traced=False)


def _trace() -> Iterator[Sample]:
    folder = Path(os.environ.get("GPUWISE_TRACES") or Path(__file__).parents[2] / "shared" / "data")
    path = folder / "genai_gentd26" / "pod_gpu_57s.csv.gz"
    if not path.is_file():
        remark("sketch_error leaves the public trace out: set GPUWISE_TRACES (README.md, 'Public traces')")
        return
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    for signal, column, factor in (
        (Signal.MEMORY_USED, "gpu_mem_mib", 2.0**20),
        (Signal.GPU_UTIL, "gpu_duty_pct", 0.01),
    ):
        values = np.array([float(row[column]) for row in rows if row[column]]) * factor
        yield Sample(signal, np.random.default_rng(3).permutation(values)[:_SIZE], traced=True)


def _adversarial(layout: BucketLayout) -> Iterator[NDArray[np.float64]]:
    """Wide, heavy-tailed, in clusters, constant, and on the edges of buckets."""
    low, high = layout.lowest, layout.highest
    octaves = int(np.log2(high / low))
    rng = np.random.default_rng(2)
    yield low * np.exp2(rng.uniform(0, octaves, _SIZE))
    yield np.sqrt(low * high) * rng.lognormal(0.0, 2.0, _SIZE)
    yield low * (1 + rng.pareto(0.7, _SIZE))  # it has no mean
    yield rng.exponential(high / 50, _SIZE)
    yield np.where(rng.random(_SIZE) < 0.5, low * 1.01, high * 0.99)
    yield np.full(1_000, low * 3.3333)
    yield np.where(rng.random(_SIZE) < 0.97, 0.0, rng.uniform(high / 2, high, _SIZE))
    starts = low * np.exp2(np.arange(octaves))
    yield _with_neighbours(starts)
    yield _with_neighbours((starts[:, None] * (1 + np.arange(64) / 64)).ravel())  # 64 buckets an octave, linear
    yield _with_neighbours(low * np.exp2(np.arange(octaves * 64) / 64))


def _with_neighbours(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.nextafter(values, 0.0), values, np.nextafter(values, np.inf)])
