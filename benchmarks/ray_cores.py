"""Scoring on Ray with 2 workers against Ray with 1, on the same recorded fleet of 2,000 GPUs.

Each runs twice in a separate process, alternately; the better time counts. Starting Ray and its workers is not timed: a
first pass over a part of the fleet starts them. Sending the inventory to the workers and the profiles back is timed.
"""

import json
import sys

from benchmarks.fleet import NOW_S, WINDOW, fleet, pipeline, recorded, size
from benchmarks.measure import at_least, in_a_process_of_its_own, remark, seconds

from gpuwise.schedule import ray_session

GOALS = {"ray_speedup": at_least(1.8)}

_GPUS = 2_000
_WARM_UP_GPUS = 200
_ROUNDS = 2


def figures() -> dict[str, float]:
    gpus = size(_GPUS)
    recorded(gpus)
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(_ROUNDS):
        for workers, before in best.items():
            best[workers] = min(before, in_a_process_of_its_own(__name__, workers, gpus)["seconds"])
    remark(f"ray: {gpus:,} GPUs, {best[1]:.1f} s on 1 worker, {best[2]:.1f} s on 2")
    return {"ray_speedup": best[1] / best[2]}


def _score(workers: int, gpus: int) -> float:
    with ray_session.start(None, workers) as executor, pipeline(gpus, recorded(gpus), executor) as loop:
        inventory = loop.inventory.snapshot(NOW_S)
        loop.score(fleet(min(gpus, size(_WARM_UP_GPUS))).snapshot(NOW_S), WINDOW)
        return seconds(lambda: loop.score(inventory, WINDOW))


if __name__ == "__main__":
    print(json.dumps({"seconds": _score(int(sys.argv[1]), int(sys.argv[2]))}))
