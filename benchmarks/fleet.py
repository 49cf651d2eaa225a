"""The recorded fleet that several benchmarks read: 28 days of 6 metrics at 1 minute, up to 12,000 GPUs.

192 pods are recorded (6 blocks of the synthetic fleet); the files of the other blocks are hard links to theirs. So all
data stay in the page cache, on both sides of a comparison: the benchmarks measure decoding and scoring, not the disk. A
GPU has 6.35 columns on average: a whole GPU 6 (an L4 5), a MIG slice 4.

The synthetic fleet has a workload for every two GPUs. With `copies`, each of its pods and nodes is there so many times,
under other names: five copies make a fleet of 100,000 GPUs with 10,000 workloads.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.measure import scaled

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.inventory import Inventory, Workload
from gpuwise.model.ports import Executor, UsageSource
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.schedule.in_process import InProcess
from gpuwise.simulate import SyntheticFleet
from gpuwise.simulate.blocks import GPUS_PER_BLOCK
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordedUsage, RecordingWriter
from gpuwise.sources.recording.recent import RecentRows, RecentWriter
from gpuwise.sources.recording.writer import recent_rows

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


def size(full: int, copies: int = 1) -> int:
    """A number of GPUs at the scale of this run, rounded to whole blocks."""
    return scaled(full, least=GPUS_PER_BLOCK * copies, multiple=GPUS_PER_BLOCK * copies)


@dataclass(frozen=True, slots=True)
class RepeatedFleet:
    """An inventory in which every node and every pod of another one is there several times.

    Attributes:
        once: the other one.
        copies: how many times.
    """

    once: SyntheticFleet
    copies: int

    def snapshot(self, now_s: int) -> Inventory:
        """See the port."""
        whole = self.once.snapshot(now_s)
        nodes = (replace(node, name=name) for node in whole.nodes.values() for name in self.names(node.name))
        workloads = tuple(self.repeated(workload) for workload in whole.workloads)
        return Inventory(whole.taken_s, {node.name: node for node in nodes}, workloads, whole.namespaces)

    def repeated(self, workload: Workload) -> Workload:
        """A workload with all copies of its pods."""
        pods = tuple(
            replace(pod, name=name, uid=uid, node=node)
            for pod in workload.pods
            for name, uid, node in zip(*map(self.names, (pod.name, pod.uid, pod.node or "")), strict=True)
        )
        return replace(workload, pods=pods, replicas=workload.replicas and workload.replicas * self.copies)

    def names(self, name: str) -> list[str]:
        """The names of all copies of an object."""
        return [f"{name}-{copy}" for copy in range(self.copies)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.once, name)


@dataclass(frozen=True, slots=True)
class DistinctDevices:
    """Usage in which each pod has devices of its own, on its own node, although files are links to each other.

    Attributes:
        recording: the usage.
    """

    recording: RecordedUsage

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """See the port."""
        for workload, series in zip(workloads, self.recording.read(workloads, inventory, window), strict=True):
            nodes = {pod.name: pod.node for pod in workload.pods}
            devices = (
                replace(one, device_uuid=f"{one.device_uuid}-{one.pod}", node=nodes[one.pod]) for one in series.devices
            )
            yield replace(series, devices=tuple(devices))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recording, name)


def recorded(gpus: int, copies: int = 1) -> RecordedUsage:
    """A recording of that many GPUs, written on first use."""
    repeated = f"-{copies}-copies" if copies > 1 else "-recent"
    folder = _BUILD / f"fleet-{gpus}-gpus{repeated}-{DAYS}-days-{STEP_S}-s"
    if not folder.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILD) as unfinished:
            _write(RepeatedFleet(fleet(gpus // copies), copies), Path(unfinished))
            shutil.copytree(unfinished, folder, copy_function=os.link)
    return RecordedUsage(folder)


def files(usage: RecordedUsage) -> list[Path]:
    """The recording's files, in order."""
    return sorted(usage.directory.glob("usage/*/*.parquet"))


def _write(whole: RepeatedFleet, folder: Path) -> None:
    writer, once = RecordingWriter(folder), whole.once
    distinct = min(_DISTINCT_BLOCKS, once.blocks)
    last_day: list[dict[tuple[str, str], RecentRows]] = []
    for index in range(distinct):
        last_day.append({})
        for measured in once.record(index):
            writer.append(measured)
            last_day[index][measured.namespace, measured.devices[0].pod] = recent_rows(measured)
    usage = folder / "usage"
    made = [[_file(usage, *names) for names in _pods(once, index)] for index in range(distinct)]
    for index in range(once.blocks):
        for path, (namespace, pod) in zip(made[index % distinct], _pods(once, index), strict=True):
            for name in whole.names(pod) if whole.copies > 1 else [pod]:
                target = _file(usage, namespace, name)
                if target != path:
                    target.parent.mkdir(exist_ok=True)
                    os.link(path, target)
    if whole.copies == 1:  # the other benchmarks read windows that begin on an earlier day
        _write_recent(once, folder, last_day)
    if whole.copies > 1:
        for path in chain.from_iterable(made):
            path.unlink()


def _write_recent(once: SyntheticFleet, folder: Path, last_day: Sequence[Mapping[tuple[str, str], RecentRows]]) -> None:
    writer = RecentWriter(folder)
    for index in range(once.blocks):
        like = index % len(last_day)
        for first, (namespace, pod) in zip(_pods(once, like), _pods(once, index), strict=True):
            writer.add(_file(folder / "usage", namespace, pod), last_day[like][first])
    writer.close()


def _pods(whole: SyntheticFleet, index: int) -> list[tuple[str, str]]:
    """Namespace and name of a block's pods, sorted by kind: each block lists the same workloads in the same order."""
    return [(w.ref.namespace, pod.name) for w in whole.workloads(index, index + 1) for pod in w.pods]


def _file(usage: Path, namespace: str, pod: str) -> Path:
    return usage / namespace / f"{pod}.parquet"


@contextmanager
def pipeline(gpus: int, usage: UsageSource, executor: Executor | None = None, copies: int = 1) -> Iterator[Pipeline]:
    """The pipeline over a recording, with the default settings except step and look-back."""
    settings = LoopSettings("bench", look_back_h=DAYS * 24, step_s=STEP_S, shard_workloads=16)
    with tempfile.TemporaryDirectory() as folder, SqliteLedger(Path(folder) / "ledger.db") as ledger:
        yield Pipeline(
            inventory=RepeatedFleet(fleet(gpus // copies), copies) if copies > 1 else fleet(gpus),
            usage=usage,
            prices=read_prices(None),
            executor=executor or InProcess(),
            profiles=ProfileFile,
            ledger=ledger,
            settings=settings,
        )
