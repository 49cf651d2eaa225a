"""A run one hour after the last, with checkpoints, against the same run over the whole 28 days.

400 GPUs of the synthetic fleet at 1 minute, at noon, in one process; both runs give equal profiles. Read share: steps
read from the source, for every workload and node. Time: only scoring with reading and writing the checkpoints, because
this source generates its samples at almost no cost; the best of three alternating runs. Loading the checkpoints takes
about as long as scoring the hours again: the saving is in the reading, which takes most of the time with Prometheus.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.fleet import DAYS, NOW_S, STEP_S, pipeline, size
from benchmarks.measure import at_most, remark, seconds

from gpuwise.memory.checkpoints import SqliteCheckpoints
from gpuwise.model.inventory import Inventory, Node, Workload
from gpuwise.model.ports import Cite
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.pipeline import Pipeline
from gpuwise.simulate import SyntheticFleet

GOALS = {"incremental_read_share": at_most(0.01), "incremental_over_full": at_most(0.15)}

_GPUS = 400
_ROUNDS = 3
_HOUR_S = 3_600
_START_S = NOW_S - DAYS * DAY_S
_NOON_S = NOW_S - 12 * _HOUR_S


def figures() -> dict[str, float]:
    gpus = size(_GPUS)
    full_s, next_s = float("inf"), float("inf")
    with tempfile.TemporaryDirectory() as folder, _kept(Path(folder), gpus) as loop:
        fleet = loop.inventory.snapshot(NOW_S)
        loop.score(fleet, _until(_NOON_S - _HOUR_S), loop.checkpoints)
        for turn in range(_ROUNDS):
            window = _until(_NOON_S + turn * _HOUR_S)
            full_s = min(full_s, seconds(lambda window=window: loop.score(fleet, window)))
            full_steps = loop.usage.take()
            next_s = min(next_s, seconds(lambda window=window: loop.score(fleet, window, loop.checkpoints)))
            next_steps = loop.usage.take()
    remark(f"incremental: {gpus:,} GPUs, {full_s:.2f} s for 28 days, {next_s:.2f} s for the next hour")
    return {"incremental_read_share": next_steps / full_steps, "incremental_over_full": next_s / full_s}


@dataclass
class _Counting:
    """A source that counts the steps that are read."""

    source: SyntheticFleet
    steps: int = 0

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        self.steps += len(workloads) * window.steps
        return self.source.read(workloads, inventory, window)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        self.steps += len(nodes) * window.steps
        return self.source.read_nodes(nodes, inventory, window)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        return self.source.read_deleted(inventory, window)

    @property
    def lists_allocations(self) -> bool:
        return self.source.lists_allocations

    def cite(self, window: Window) -> Cite:
        return self.source.cite(window)

    def describe(self) -> str:
        return self.source.describe()

    def take(self) -> int:
        taken, self.steps = self.steps, 0
        return taken


def _until(end_s: int) -> Window:
    return Window(_START_S, end_s, STEP_S)


@contextmanager
def _kept(folder: Path, gpus: int) -> Iterator[Pipeline]:
    source = SyntheticFleet(gpus, Window(_START_S, NOW_S, STEP_S))
    with pipeline(gpus, _Counting(source)) as loop, SqliteCheckpoints(folder / "hours.db", "bench") as checkpoints:
        yield replace(loop, checkpoints=checkpoints)
