"""How the time of a whole survey grows with the fleet: 120, 1,200 and 12,000 GPUs, per GPU, against the smallest.

A survey is what `gpuwise scan` does: inventory, reading and scoring from Parquet, recommending; one process, one
thread. The figure is the worse of the two ratios of time a GPU. The three sizes take turns, three times over, the small
ones several times each turn, and the least time of each is taken: what slows the machine down for a while slows all.
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
    usage = recorded(max(runs))
    _survey(min(runs), usage)  # imports, caches
    taken = dict.fromkeys(runs, math.inf)
    for _ in range(_TURNS):
        for gpus, count in runs.items():
            taken[gpus] = min(taken[gpus], *(_survey(gpus, usage) for _ in range(count)))
    ms = {gpus: least / gpus * 1e3 for gpus, least in taken.items()}
    for gpus, each in ms.items():
        remark(f"growth: {gpus:,} GPUs, {each:.3f} ms a GPU")
    smallest, *larger = sorted(ms)
    return {"growth_per_unit": max(ms[gpus] for gpus in larger) / ms[smallest], "survey_ms_per_gpu": ms[max(ms)]}


def _survey(gpus: int, usage: RecordedUsage) -> float:
    with pipeline(gpus, usage) as loop:
        return seconds(lambda: loop.survey(NOW_S))
