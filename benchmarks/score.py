"""Scoring a recorded fleet of 10,000 GPUs (28 days, 6 metrics, 1 minute) against only reading those columns.

Reading: pyarrow, the same six columns of the same files, one thread. Scoring: `Pipeline.score` in one thread as in
`gpuwise scan`, all profiles kept. Each runs twice in a separate process, alternately; the better time counts.
Peak memory is the scoring process's largest resident set (VmHWM).
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from benchmarks.fleet import METRICS, NOW_S, WINDOW, files, pipeline, recorded, size
from benchmarks.measure import at_most, in_a_process_of_its_own, remark, seconds

GOALS = {"score_over_read": at_most(2.0), "score_peak_gib": at_most(2.0)}

_GPUS = 10_000
_ROUNDS = 2


def figures() -> dict[str, float]:
    gpus = size(_GPUS)
    paths = files(recorded(gpus))  # written before anything is timed
    remark(f"score: {gpus:,} GPUs in {len(paths):,} files")
    sides: dict[str, list[dict[str, float]]] = {"read": [], "score": []}
    for _ in range(_ROUNDS):
        for side, runs in sides.items():
            runs.append(in_a_process_of_its_own(__name__, side, gpus))
    best = {side: min(run["seconds"] for run in runs) for side, runs in sides.items()}
    return {
        "score_over_read": best["score"] / best["read"],
        "score_peak_gib": max(run["peak_gib"] for run in sides["score"]),
        "score_seconds": best["score"],
        "score_read_seconds": best["read"],
    }


def _read(gpus: int) -> float:
    paths = files(recorded(gpus))

    def read() -> None:
        for path in paths:
            pq.ParquetFile(path).read(columns=list(METRICS), use_threads=False)

    return seconds(read)


def _score(gpus: int) -> float:
    with pipeline(gpus, recorded(gpus)) as loop:
        inventory = loop.inventory.snapshot(NOW_S)
        return seconds(lambda: loop.score(inventory, WINDOW))


def _side() -> None:
    side, gpus = sys.argv[1], int(sys.argv[2])
    taken = {"read": _read, "score": _score}[side](gpus)
    # Not getrusage's ru_maxrss: on Linux a process inherits the value of its parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"seconds": taken, "peak_gib": int(status["VmHWM"].split()[0]) / 2**20}))


if __name__ == "__main__":
    _side()
