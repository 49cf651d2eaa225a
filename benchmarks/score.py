"""Scoring a recorded fleet of 10,000 GPUs (28 days, 6 metrics, 1 minute) against only reading those columns.

Reading: pyarrow, the same six columns of the same files, one thread. Scoring: `Pipeline.score` in one thread as in
`gpuwise scan`, profiles in their file. Each runs twice in a separate process, alternately; the better time counts.
Peak memory is the scoring process's largest resident set (VmHWM). The figures:

score_over_read        a fleet with a workload for every ten GPUs, as in a scan of 100,000 GPUs with 10,000 workloads
score_over_read_small  the same with a workload for every two GPUs
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from benchmarks.fleet import METRICS, NOW_S, WINDOW, DistinctDevices, files, pipeline, recorded, size
from benchmarks.measure import at_most, in_a_process_of_its_own, remark, seconds

GOALS = {"score_over_read": at_most(2.0), "score_peak_gib": at_most(2.0)}

_GPUS = 10_000
_ROUNDS = 2
_COPIES = 5


def figures() -> dict[str, float]:
    gpus = size(_GPUS, _COPIES)
    for copies in (1, _COPIES):  # written before anything is timed
        remark(f"score: {gpus:,} GPUs in {len(files(recorded(gpus, copies))):,} files")
    sides: dict[tuple[str, int], list[dict[str, float]]] = {
        (side, copies): [] for copies in (1, _COPIES) for side in ("read", "score")
    }
    for _ in range(_ROUNDS):
        for side, runs in sides.items():
            runs.append(in_a_process_of_its_own(__name__, *side, gpus))
    best = {side: min(run["seconds"] for run in runs) for side, runs in sides.items()}
    return {
        "score_over_read": best["score", _COPIES] / best["read", _COPIES],
        "score_over_read_small": best["score", 1] / best["read", 1],
        "score_peak_gib": max(run["peak_gib"] for side, runs in sides.items() for run in runs if side[0] == "score"),
        "score_seconds": best["score", _COPIES],
        "score_read_seconds": best["read", _COPIES],
    }


def _read(gpus: int, copies: int) -> float:
    paths = files(recorded(gpus, copies))

    def read() -> None:
        for path in paths:
            pq.ParquetFile(path).read(columns=list(METRICS), use_threads=False)

    return seconds(read)


def _score(gpus: int, copies: int) -> float:
    with pipeline(gpus, DistinctDevices(recorded(gpus, copies)), copies=copies) as loop:
        inventory = loop.inventory.snapshot(NOW_S)
        return seconds(lambda: loop.score(inventory, WINDOW))


def _side() -> None:
    side, copies, gpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    taken = {"read": _read, "score": _score}[side](gpus, copies)
    # Not getrusage's ru_maxrss: on Linux a process inherits the value of its parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"seconds": taken, "peak_gib": int(status["VmHWM"].split()[0]) / 2**20}))


if __name__ == "__main__":
    _side()
