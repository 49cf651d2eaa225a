"""How the time of a complete scan grows with the fleet: time per GPU for 1,200 and 12,000 GPUs, against 120 GPUs.

The benchmark does the work of `gpuwise scan`: inventory, reading and scoring from Parquet, recommending; one process,
one thread. The figure is the larger of the two ratios. The three sizes run alternately in three rounds, the small ones
several times per round, and the shortest time of each counts, so that a slow phase of the machine affects all sizes.
"""

import math

from benchmarks.fleet import NOW_S, pipeline, recorded, size
from benchmarks.measure import at_most, remark, seconds

from gpuwise.sources.recording import RecordedUsage

GOALS = {"growth_per_unit": at_most(1.1)}

_RUNS_A_TURN = {120: 5, 1_200: 2, 12_000: 1}
_TURNS = 3


def figures() -> dict[str, float]:
    runs = {size(gpus): count for gpus, count in _RUNS_A_TURN.items()}
    # A recording of its own for each size: pods of a larger one would be those of deleted workloads.
    usage = {gpus: recorded(gpus) for gpus in runs}
    _survey(min(runs), usage[min(runs)])  # imports, caches
    taken = dict.fromkeys(runs, math.inf)
    for _ in range(_TURNS):
        for gpus, count in runs.items():
            taken[gpus] = min(taken[gpus], *(_survey(gpus, usage[gpus]) for _ in range(count)))
    ms = {gpus: least / gpus * 1e3 for gpus, least in taken.items()}
    for gpus, each in ms.items():
        remark(f"growth: {gpus:,} GPUs, {each:.3f} ms per GPU")
    smallest, *larger = sorted(ms)
    return {"growth_per_unit": max(ms[gpus] for gpus in larger) / ms[smallest], "survey_ms_per_gpu": ms[max(ms)]}


def _survey(gpus: int, usage: RecordedUsage) -> float:
    with pipeline(gpus, usage) as loop:
        return seconds(lambda: loop.survey(NOW_S))
