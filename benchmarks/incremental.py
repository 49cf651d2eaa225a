"""A run an hour after the last, with the hours that were kept, against the same run over the whole 28 days.

400 GPUs of the synthetic fleet at 1 minute, at noon. Its source makes samples at nearly no cost, so this is scoring
alone, the least favourable case: of what has to be read, two hours of 672, nothing is to be seen here. Both score every
workload and every node in one process and give the same profiles; writing and reading the checkpoints is in. The better
of three, in turn.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.fleet import DAYS, NOW_S, STEP_S, pipeline, size
from benchmarks.measure import at_most, remark, seconds

from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import Pipeline
from gpuwise.simulate import SyntheticFleet
from gpuwise.store.checkpoints import SqliteCheckpoints

GOALS = {"incremental_over_full": at_most(0.75)}

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
            end_s = _NOON_S + turn * _HOUR_S
            full_s = min(full_s, seconds(lambda end_s=end_s: loop.score(fleet, _until(end_s))))
            next_s = min(next_s, seconds(lambda end_s=end_s: loop.score(fleet, _until(end_s), loop.checkpoints)))
    remark(f"incremental: {gpus:,} GPUs, {full_s:.2f} s for 28 days, {next_s:.2f} s for the next hour")
    return {"incremental_over_full": next_s / full_s}


def _until(end_s: int) -> Window:
    return Window(_START_S, end_s, STEP_S)


@contextmanager
def _kept(folder: Path, gpus: int) -> Iterator[Pipeline]:
    source = SyntheticFleet(gpus, Window(_START_S, NOW_S, STEP_S))
    with pipeline(gpus, source) as loop, SqliteCheckpoints(folder / "hours.db", "bench") as checkpoints:
        yield replace(loop, checkpoints=checkpoints)
