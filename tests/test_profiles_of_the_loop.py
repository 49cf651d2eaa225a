"""A pass over a fleet holds the profiles of a shard or two at a time, from scoring to the report."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpuwise.memory import profile_file
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.billed import BilledUse
from gpuwise.model.profile import UsageProfile
from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import LoopSettings, Pipeline, Progress
from gpuwise.schedule.in_process import InProcess
from gpuwise.score import profile
from gpuwise.simulate import SyntheticFleet
from gpuwise.simulate.blocks import GPUS_PER_BLOCK
from gpuwise.sources.prices import read_prices
from gpuwise.weekly import summary

NOW_S = 1_780_272_000
STEP_S = 3_600
BLOCKS, SHARD = 10, 8


@contextmanager
def pipeline(progress: Progress) -> Iterator[Pipeline]:
    fleet = SyntheticFleet(BLOCKS * GPUS_PER_BLOCK, Window(NOW_S - 3 * DAY_S, NOW_S, STEP_S))
    with SqliteLedger(Path(":memory:")) as ledger:
        yield Pipeline(
            inventory=fleet,
            usage=fleet,
            prices=read_prices(None),
            executor=InProcess(),
            profiles=ProfileFile,
            ledger=ledger,
            settings=LoopSettings("test", look_back_h=72, step_s=STEP_S, shard_workloads=SHARD),
            progress=progress,
        )


class Alive:
    """Counts the profiles in memory, and keeps the largest number of each type."""

    def __init__(self) -> None:
        self.counted, self.most = 0, Counter()

    def count(self, *_: object) -> None:
        self.counted += 1
        found = Counter(map(type, gc.get_objects()))
        for kind in (UsageProfile, BilledUse):
            self.most[kind] = max(self.most[kind], found[kind])


def test_at_most_two_shards_of_profiles_are_in_memory(monkeypatch: pytest.MonkeyPatch):
    alive, reads = Alive(), []
    profile._without_devices.cache_clear()
    read = profile_file._View.__getitem__

    def counting(view, ref):
        found = read(view, ref)
        reads.append(ref)
        if len(reads) % 60 == 0:
            alive.count()
        return found

    monkeypatch.setattr(profile_file._View, "__getitem__", counting)
    gc.collect()
    alive.count()
    before = alive.most.copy()
    with pipeline(alive.count) as loop:
        survey = loop.survey(NOW_S)
        report = summary(loop, survey, now_s=NOW_S)
    assert len(report.workloads) >= 200
    assert len(reads) > 3 * len(survey.profiles)
    assert alive.counted > 50
    cached = 1  # of a node without devices, from which others are made
    assert 0 < alive.most[UsageProfile] - before[UsageProfile] <= 2 * SHARD + cached
    assert 0 < alive.most[BilledUse] - before[BilledUse] <= 2 * SHARD


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, which Linux has")
def test_a_pass_frees_its_file_without_the_collector():
    """No cycle keeps the file: a service runs a pass an hour, and each file has hundreds of megabytes."""
    gc.disable()
    try:
        with pipeline(lambda *_: None) as loop:
            survey = loop.survey(NOW_S)
            summary(loop, survey, now_s=NOW_S)
            file = Path(f"/proc/self/fd/{survey.profiles._shards._file}")
            assert file.is_symlink()
            del survey
            assert not file.is_symlink()
    finally:
        gc.enable()
