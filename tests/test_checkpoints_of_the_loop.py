"""A pass keeps the hours of the fleet's workloads, and collects those of workloads that are gone for long."""

import sqlite3
from dataclasses import replace
from pathlib import Path

from gpuwise.memory.checkpoints import SqliteCheckpoints
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.inventory import Inventory
from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.schedule.in_process import InProcess
from gpuwise.simulate import SyntheticFleet
from gpuwise.simulate.blocks import GPUS_PER_BLOCK
from gpuwise.sources.prices import read_prices

NOW_S = 1_780_272_000 + 43_200  # a noon
STEP_S = 3_600


class Fewer:
    """An inventory without some workloads."""

    def __init__(self, fleet: SyntheticFleet) -> None:
        self.fleet, self.gone = fleet, 0

    def snapshot(self, now_s: int) -> Inventory:
        whole = self.fleet.snapshot(now_s)
        return replace(whole, workloads=whole.workloads[self.gone :])


def stored(path: Path) -> int:
    with sqlite3.connect(path) as file:
        return file.execute("SELECT count(DISTINCT workload) FROM hours").fetchone()[0]


def test_the_hours_of_a_workload_that_is_gone_are_collected(tmp_path: Path):
    fleet = SyntheticFleet(GPUS_PER_BLOCK, Window(NOW_S - 3 * DAY_S, NOW_S, STEP_S))
    listed = Fewer(fleet)
    path = tmp_path / "hours.db"
    with SqliteLedger(tmp_path / "ledger.db") as ledger, SqliteCheckpoints(path, "test") as checkpoints:
        loop = Pipeline(
            inventory=listed,
            usage=fleet,
            prices=read_prices(None),
            executor=InProcess(),
            profiles=ProfileFile,
            ledger=ledger,
            settings=LoopSettings("test", look_back_h=48, step_s=STEP_S, shard_workloads=8),
            checkpoints=checkpoints,
        )
        loop.survey(NOW_S)
        before = stored(path)
        listed.gone = 2
        loop.survey(NOW_S)
        assert stored(path) == before > 2
        with sqlite3.connect(path) as file:
            file.execute("UPDATE listed SET at_s = at_s - ? ", (101 * DAY_S,))
        loop.survey(NOW_S)
    assert stored(path) == before - 2
