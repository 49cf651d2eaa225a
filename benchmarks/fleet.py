"""The recorded fleet that several benchmarks read: 28 days of 6 metrics at 1 minute, up to 12,000 GPUs.

192 pods are recorded (6 blocks of the synthetic fleet); the files of the other blocks are hard links to theirs. So all
data stay in the page cache, on both sides of a comparison: the benchmarks measure decoding and scoring, not the disk. A
GPU has 6.35 columns on average: a whole GPU 6 (an L4 5), a MIG slice 4.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import scaled

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.ports import Executor, UsageSource
from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.schedule.in_process import InProcess
from gpuwise.simulate import SyntheticFleet
from gpuwise.simulate.blocks import GPUS_PER_BLOCK
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordedUsage, RecordingWriter

METRICS = tuple(signal.value for signal in DEVICE_SIGNALS)

NOW_S = 1_780_272_000  # 2026-06-01 00:00 UTC
DAYS = 28
STEP_S = 60
WINDOW = Window(NOW_S - DAYS * DAY_S, NOW_S, STEP_S)

_DISTINCT_BLOCKS = 6
_BUILD = Path("build/bench")


def fleet(gpus: int) -> SyntheticFleet:
    """The first GPUs of the recorded fleet."""
    return SyntheticFleet(gpus, WINDOW)


def size(full: int) -> int:
    """A number of GPUs at the scale of this run, rounded to whole blocks."""
    return scaled(full, least=GPUS_PER_BLOCK, multiple=GPUS_PER_BLOCK)


def recorded(gpus: int) -> RecordedUsage:
    """A recording of that many GPUs, written on first use."""
    folder = _BUILD / f"fleet-{gpus}-gpus-{DAYS}-days-{STEP_S}-s"
    if not folder.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILD) as unfinished:
            _write(fleet(gpus), Path(unfinished))
            shutil.copytree(unfinished, folder, copy_function=os.link)
    return RecordedUsage(folder)


def files(usage: RecordedUsage) -> list[Path]:
    """The recording's files, in order."""
    return sorted(usage.directory.glob("usage/*/*.parquet"))


def _write(whole: SyntheticFleet, folder: Path) -> None:
    writer = RecordingWriter(folder)
    distinct = min(_DISTINCT_BLOCKS, whole.blocks)
    for index in range(distinct):
        for pod in whole.record(index):
            writer.append(pod)
    usage = folder / "usage"
    made = [[_file(usage, *names) for names in _pods(whole, index)] for index in range(distinct)]
    for index in range(distinct, whole.blocks):
        for path, names in zip(made[index % distinct], _pods(whole, index), strict=True):
            target = _file(usage, *names)
            target.parent.mkdir(exist_ok=True)
            os.link(path, target)


def _pods(whole: SyntheticFleet, index: int) -> list[tuple[str, str]]:
    """Namespace and name of a block's pods, sorted by kind: each block lists the same workloads in the same order."""
    return [(w.ref.namespace, pod.name) for w in whole.workloads(index, index + 1) for pod in w.pods]


def _file(usage: Path, namespace: str, pod: str) -> Path:
    return usage / namespace / f"{pod}.parquet"


@contextmanager
def pipeline(gpus: int, usage: UsageSource, executor: Executor | None = None) -> Iterator[Pipeline]:
    """The pipeline over a recording, with the default settings except step and look-back."""
    settings = LoopSettings("bench", look_back_h=DAYS * 24, step_s=STEP_S, shard_workloads=8)
    with tempfile.TemporaryDirectory() as folder, SqliteLedger(Path(folder) / "ledger.db") as ledger:
        yield Pipeline(
            inventory=fleet(gpus),
            usage=usage,
            prices=read_prices(None),
            executor=executor or InProcess(),
            ledger=ledger,
            settings=settings,
        )
