"""A pass one hour later, with the hours that the pass before stored, against that pass.

1,000 GPUs of the recorded fleet at 1 minute, from Parquet: one pass over 28 days until 11 o'clock, which stores its
hours, and one until 12 o'clock, which continues. The first reads a file per pod. The second reads the last day, of
which the recording has the rows of 64 devices in one file. CPU time of scoring, with reading usage and with reading and
writing checkpoints, without imports and the inventory. Each pass is a new process, each pair has a new file; the least
of three pairs. The figures:

incremental_over_full    CPU time of the second pass over the first
incremental_read_share   steps read from the source by the second pass over those of the first
incremental_kib          size of the checkpoints, KiB per GPU
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import DAYS, NOW_S, STEP_S, pipeline, recorded, size
from benchmarks.measure import at_most, in_a_process_of_its_own, remark

from gpuwise.memory.checkpoints import SqliteCheckpoints
from gpuwise.model.inventory import Inventory, Node, Workload
from gpuwise.model.ports import Cite, UsageSource
from gpuwise.model.usage import DAY_S, UsageSeries, Window

GOALS = {"incremental_read_share": at_most(0.01), "incremental_over_full": at_most(0.15)}

_GPUS = 1_000
_ROUNDS = 3
_FIRST_H, _NEXT_H = 11, 12


def figures() -> dict[str, float]:
    gpus = size(_GPUS)
    recorded(gpus)  # written before anything is timed
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "hours.db"
            first, following = (_pass(gpus, hour, file) for hour in (_FIRST_H, _NEXT_H))
            pairs.append((first, following))
            size_b = file.stat().st_size
    first_s, next_s = (min(pair[which]["cpu_s"] for pair in pairs) for which in (0, 1))
    first, following = pairs[0]
    remark(f"incremental: {gpus:,} GPUs, {first_s:.2f} s for 28 days, {next_s:.2f} s for the next hour")
    return {
        "incremental_read_share": following["steps"] / first["steps"],
        "incremental_over_full": next_s / first_s,
        "incremental_kib": size_b / gpus / 1024,
    }


def _pass(gpus: int, hour: int, file: Path) -> dict[str, float]:
    return in_a_process_of_its_own(__name__, gpus, hour, file)


@dataclass
class _Counting:
    """A source that counts the steps that are read."""

    source: UsageSource
    steps: int = 0

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        self.steps += len(workloads) * window.steps
        return self.source.read(workloads, inventory, window)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        self.steps += len(nodes) * window.steps
        return self.source.read_nodes(nodes, inventory, window)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        return self.source.read_deleted(inventory, window)

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        return self.source.past_nodes(inventory, window)

    def identity(self) -> Mapping[str, str]:
        return self.source.identity()

    @property
    def lists_allocations(self) -> bool:
        return self.source.lists_allocations

    def cite(self, window: Window) -> Cite:
        return self.source.cite(window)

    def describe(self) -> str:
        return self.source.describe()


def _side() -> None:
    gpus, hour, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    window = Window(NOW_S - DAYS * DAY_S, NOW_S - DAY_S + hour * 3_600, STEP_S)
    usage = _Counting(recorded(gpus))
    with pipeline(gpus, usage) as loop, SqliteCheckpoints(file, "bench") as checkpoints:
        inventory = loop.inventory.snapshot(NOW_S)
        began_s = time.process_time()
        loop.score(inventory, window, checkpoints)
        cpu_s = time.process_time() - began_s
    print(json.dumps({"cpu_s": cpu_s, "steps": usage.steps}))


if __name__ == "__main__":
    _side()
