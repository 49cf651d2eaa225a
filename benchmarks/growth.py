"""How the time of a whole survey grows with the fleet: 120, 1,200 and 12,000 GPUs, per GPU, against the smallest.

A survey is what `gpuwise scan` does: inventory, reading and scoring from Parquet, recommending; one process, one
thread. The figure is the worse of the two ratios of time a GPU. The small fleets are run several times and the best is
taken.
"""

from benchmarks.fleet import NOW_S, pipeline, recorded, size
from benchmarks.measure import at_most, remark, seconds

from gpuwise.store.recording import RecordedUsage

GOALS = {"growth_per_unit": at_most(1.1)}

_ROUNDS = {120: 5, 1_200: 3, 12_000: 1}


def figures() -> dict[str, float]:
    sizes = [size(gpus) for gpus in _ROUNDS]
    usage = recorded(max(sizes))
    _survey(sizes[0], usage)  # imports, caches
    ms = {}
    for gpus, rounds in zip(sizes, _ROUNDS.values(), strict=True):
        ms[gpus] = min(_survey(gpus, usage) for _ in range(rounds)) / gpus * 1e3
        remark(f"growth: {gpus:,} GPUs, {ms[gpus]:.3f} ms a GPU")
    return {"growth_per_unit": max(ms[gpus] for gpus in sizes[1:]) / ms[sizes[0]], "survey_ms_per_gpu": ms[sizes[-1]]}


def _survey(gpus: int, usage: RecordedUsage) -> float:
    with pipeline(gpus, usage) as loop:
        return seconds(lambda: loop.survey(NOW_S))
