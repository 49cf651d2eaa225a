"""The work of `gpuwise scan` for 100,000 GPUs and 10,000 workloads, against only reading the columns, and per GPU.

A scan is inventory, reading from Parquet, scoring, recommending and compiling the report, in one thread. Reading is
pyarrow with the same columns of the same files. CPU time, without imports; each run is a new process. The runs of 1,000
GPUs are repeated before and after those of 100,000, and the shortest counts. The figures:

scan_over_read    CPU time of a scan of 100,000 GPUs over that of reading the columns
scan_growth       CPU time of a scan per GPU, at 100,000 GPUs over that at 1,000
scan_peak_gib     largest resident memory of the scan of 100,000 GPUs (VmHWM)
scan_ms_per_gpu   CPU time of a scan per GPU at 100,000 GPUs
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from benchmarks.fleet import METRICS, NOW_S, DistinctDevices, files, pipeline, recorded, size
from benchmarks.measure import at_most, in_a_process_of_its_own, remark

from gpuwise.weekly import summary

GOALS = {"scan_over_read": at_most(2.3), "scan_growth": at_most(1.1), "scan_peak_gib": at_most(2.0)}

_SMALL, _LARGE = 1_000, 100_000
_SMALL_RUNS = 3
_COPIES = 5


def figures() -> dict[str, float]:
    small, large = size(_SMALL, _COPIES), size(_LARGE, _COPIES)
    for gpus in (small, large):  # written before anything is timed
        remark(f"scan: {gpus:,} GPUs in {len(files(recorded(gpus, _COPIES))):,} files")
    small_s = [_run("scan", small)["cpu_s"] for _ in range(_SMALL_RUNS)]
    scanned, read = _run("scan", large), _run("read", large)
    small_s += [_run("scan", small)["cpu_s"] for _ in range(_SMALL_RUNS)]
    each_ms = {gpus: cpu_s / gpus * 1e3 for gpus, cpu_s in ((small, min(small_s)), (large, scanned["cpu_s"]))}
    remark(f"scan: {each_ms[small]:.3f} ms per GPU for {small:,} GPUs; reading {read['cpu_s']:.1f} s for {large:,}")
    return {
        "scan_over_read": scanned["cpu_s"] / read["cpu_s"],
        "scan_growth": each_ms[large] / each_ms[small],
        "scan_peak_gib": scanned["peak_gib"],
        "scan_ms_per_gpu": each_ms[large],
    }


def _run(side: str, gpus: int) -> dict[str, float]:
    return in_a_process_of_its_own(__name__, side, gpus)


def _scan(gpus: int) -> Callable[[], object]:
    usage = DistinctDevices(recorded(gpus, _COPIES))

    def scan() -> None:
        with pipeline(gpus, usage, copies=_COPIES) as loop:
            summary(loop, loop.survey(NOW_S), now_s=NOW_S)

    return scan


def _read(gpus: int) -> Callable[[], object]:
    paths = files(recorded(gpus, _COPIES))

    def read() -> None:
        for path in paths:
            pq.ParquetFile(path).read(columns=list(METRICS), use_threads=False)

    return read


def _side() -> None:
    side, gpus = sys.argv[1], int(sys.argv[2])
    work = {"scan": _scan, "read": _read}[side](gpus)
    began_s = time.process_time()
    work()
    cpu_s = time.process_time() - began_s
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"cpu_s": cpu_s, "peak_gib": int(status["VmHWM"].split()[0]) / 2**20}))


if __name__ == "__main__":
    _side()
