"""Scoring on Ray with 2 workers against Ray with 1, on the same recorded fleet of 2,000 GPUs.

Each runs twice in a separate process, alternately; the better time counts. ray_speedup is without starting Ray and its
workers, which a first pass over a part of the fleet does. It includes sending the inventory to the workers and the
profiles back. The figures:

ray_speedup         seconds on 1 worker over those on 2
ray_start_s         seconds to start a local Ray with 2 workers, and to score a part of the fleet
ray_pays_from_gpus  size of a fleet for which 2 workers, with their start, take as long as 1 without
"""

import json
import sys
import time

from benchmarks.fleet import NOW_S, WINDOW, fleet, pipeline, recorded, size
from benchmarks.measure import at_least, in_a_process_of_its_own, remark, seconds

from gpuwise.schedule.on_ray import RayExecutor

GOALS = {"ray_speedup": at_least(1.8)}

_GPUS = 2_000
_WARM_UP_GPUS = 200
_ROUNDS = 2


def figures() -> dict[str, float]:
    gpus = size(_GPUS)
    recorded(gpus)
    best, start_s = {1: float("inf"), 2: float("inf")}, float("inf")
    for _ in range(_ROUNDS):
        for workers, before in best.items():
            found = in_a_process_of_its_own(__name__, workers, gpus)
            best[workers] = min(before, found["seconds"])
            start_s = min(start_s, found["start_s"]) if workers == 2 else start_s
    remark(f"ray: {gpus:,} GPUs, {best[1]:.1f} s on 1 worker, {best[2]:.1f} s on 2, {start_s:.1f} s to start")
    return {
        "ray_speedup": best[1] / best[2],
        "ray_start_s": start_s,
        "ray_pays_from_gpus": start_s / ((best[1] - best[2]) / gpus),
    }


def _score(workers: int, gpus: int) -> dict[str, float]:
    began_s = time.monotonic()
    with RayExecutor(None, workers) as executor, pipeline(gpus, recorded(gpus), executor) as loop:
        inventory = loop.inventory.snapshot(NOW_S)
        loop.score(fleet(min(gpus, size(_WARM_UP_GPUS))).snapshot(NOW_S), WINDOW)
        start_s = time.monotonic() - began_s
        return {"seconds": seconds(lambda: loop.score(inventory, WINDOW)), "start_s": start_s}


if __name__ == "__main__":
    print(json.dumps(_score(int(sys.argv[1]), int(sys.argv[2]))))
