"""The fleet's utilisation compared with four published fleets: the bound that docs/fleet-model.md states."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from gpuwise.model.signal import Signal
from gpuwise.simulate import simulate_fleet

NOW = 1_795_219_200
BOUND = 0.06
CLUSTERS = ("seren", "kalos", "philly", "pai")
LEVELS = np.arange(101)

TRACES = Path(os.environ.get("GPUWISE_TRACES", Path(__file__).parents[2] / "../shared/data"))
TRACE = TRACES / "acme_util_cdf" / "util_cdf.csv.gz"


def published(cluster: str) -> np.ndarray:
    with gzip.open(TRACE, "rt") as file:
        points = [
            (float(row["x"]), float(row["cdf_pct"]) / 100)
            for row in csv.DictReader(file)
            if row["cluster"] == cluster and row["metric"] == "gpu_util"
        ]
    x, cdf = np.array(points).T
    return np.array([cdf[x <= level].max() for level in LEVELS])


def simulated(seed: int) -> np.ndarray:
    """CDF of utilisation in percent over whole GPUs; unallocated GPUs count as 0, as in the clusters' monitoring."""
    fleet = simulate_fleet(seed, NOW)
    counts = np.zeros(101)
    blank = 0
    for pod in fleet.series():
        for device in pod.devices:
            util = device.samples.get(Signal.GPU_UTIL)
            if util is not None:
                known = util[~np.isnan(util)]
                blank += util.size - known.size
                counts += np.bincount(np.rint(known * 100).astype(int), minlength=101)
    whole = sum(slot.fraction == 1.0 for machine in fleet.machines for slot in machine.slots)
    counts[0] += whole * fleet.window.steps - blank - counts.sum()
    return np.cumsum(counts) / counts.sum()


@pytest.mark.skipif(not TRACE.exists(), reason="set GPUWISE_TRACES to the directory that contains acme_util_cdf/")
@pytest.mark.parametrize("seed", [1, 7, 42])
def test_utilisation_fits_the_mean_of_four_published_fleets(seed, record_property):
    target = np.mean([published(cluster) for cluster in CLUSTERS], axis=0)
    distance = float(np.abs(simulated(seed) - target).max())
    record_property("ks_distance", distance)
    assert distance <= BOUND
