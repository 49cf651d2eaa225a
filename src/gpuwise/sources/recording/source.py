"""Finds the files of the workloads and nodes it is asked for, and reads no other."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import Inventory, Node, Workload, WorkloadRef, node_ref
from gpuwise.model.ports import Cite
from gpuwise.model.recommendation import Evidence
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.sources.kubernetes.pod_names import own_names
from gpuwise.sources.recording.layout import NODES, SUFFIXES, checked, stem
from gpuwise.sources.recording.pods import PodUsage, read_pod


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """Usage read from a recording; fulfils `UsageSource` and holds nothing but the path, so workers can be sent it.

    Attributes:
        directory: as `RecordingWriter` leaves it.
    """

    directory: Path

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in order; samples finer than the window's steps are joined by their maximum.

        A workload's files are those of its live pods, and of pods since gone whose names only its kind and name make.

        Args:
            workloads: whose usage.
            inventory: tells which pods belong to other workloads.
            window: the grid of the answer; samples outside are left out.

        Raises:
            SourceError: the directory is none, or a file in it is corrupt or lacks a column.
        """
        usage = self._folder()
        files = {space: _files(usage / checked(space)) for space in {workload.ref.namespace for workload in workloads}}
        past = _past_pods(workloads, files, inventory)
        for workload in workloads:
            live = {pod.name: pod.node for pod in workload.pods}
            mine = live.keys() | past[workload.ref]
            found = ((pod, name) for pod, name in files[workload.ref.namespace].items() if pod in mine)
            folder = usage / workload.ref.namespace
            yield _workload_series(
                workload, [read_pod(folder / name, pod, window, live.get(pod)) for pod, name in found], window
            )

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:  # noqa: ARG002 - a recording has sorted it out
        """Yield one series per node, in order, of its devices at the times when no pod held them, as recorded.

        Args:
            nodes: which; one without a file has a series without devices.
            inventory: not needed here.
            window: the grid of the answer.

        Raises:
            SourceError: as `read`.
        """
        folder = self._folder() / NODES
        for node in nodes:
            paths = [path for suffix in SUFFIXES if (path := folder / f"{checked(node.name)}{suffix}").is_file()]
            found = (device for path in paths for device in read_pod(path, "", window, node.name).devices)
            yield UsageSeries(node_ref(node), window, tuple(found))

    def cite(self, window: Window) -> Cite:
        """Tell how a person sees the samples of a window: files, and the column and times in them."""
        usage = self._folder()

        def cited(workload: Workload, evidence: Evidence) -> str | None:
            if evidence.signal is None:
                return None
            pods = ",".join(sorted(pod.name for pod in workload.pods))
            files = usage / checked(workload.ref.namespace) / f"{{{pods}}}.*"
            return f"{files}: {evidence.signal.value} of t_s in [{window.start_s}, {window.end_s})"

        return cited

    def describe(self) -> str:
        """Say in a sentence what can be read here.

        Raises:
            SourceError: there is no recording.
        """
        files = sum(1 for path in self._folder().rglob("*") if path.name.endswith(SUFFIXES))
        return f"usage of {files} pods in {self.directory}"

    def _folder(self) -> Path:
        folder = self.directory / "usage"
        if not folder.is_dir():
            raise SourceError(
                f"{self.directory} holds no recording: there is no directory 'usage' in it",
                hint="make one with `gpuwise demo`, or name the directory above 'usage'",
            )
        return folder


def _files(folder: Path) -> dict[str, str]:
    """Names of a folder's files by pod; none where there is no folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:  # names alone: a Path of each costs more than to list them
        names = sorted(entry.name for entry in entries)
    return {pod: name for name in names if (pod := stem(name)) is not None}


def _past_pods(
    workloads: Sequence[Workload], files: Mapping[str, Iterable[str]], inventory: Inventory
) -> Mapping[WorkloadRef, Collection[str]]:
    """Names of the pods since gone that were a workload's: those that only its kind and name make, and nobody has."""
    gone = {workload.ref: _alike(workload, files[workload.ref.namespace]) for workload in workloads}
    if not any(gone.values()):  # a shard that went through the fleet each time would make the whole quadratic
        return gone
    neighbours = (other for other in inventory.workloads if other.ref.namespace in files)
    owned = {(other.ref.namespace, pod.name) for other in neighbours for pod in other.pods}
    return {ref: [pod for pod in pods if (ref.namespace, pod) not in owned] for ref, pods in gone.items()}


def _alike(workload: Workload, pods: Iterable[str]) -> list[str]:
    """Those that are not its pods now, and bear a name that its pods can have."""
    name, live = workload.ref.name, {pod.name for pod in workload.pods}
    near = [pod for pod in pods if pod.startswith(name) and pod not in live]
    if not near:
        return []  # and no pattern is compiled, which takes longer than to match it
    own = re.compile(own_names(workload.ref) or re.escape(name) + "-.+")
    return [pod for pod in near if own.fullmatch(pod)]


def _workload_series(workload: Workload, pods: Sequence[PodUsage], window: Window) -> UsageSeries:
    devices = tuple(device for pod in pods for device in pod.devices)
    return UsageSeries(workload.ref, window, devices, _total_requests(pods, window))


def _total_requests(pods: Sequence[PodUsage], window: Window) -> NDArray[np.float64] | None:
    """Sum over the pods alive at a step; a live pod that does not report makes the sum unknown, not smaller."""
    reporting = [(pod.requests, pod.alive) for pod in pods if pod.requests is not None]
    if not reporting:
        return None
    total = np.zeros(window.steps)
    nobody = np.ones(window.steps, dtype=bool)
    for requests, alive in reporting:
        total[alive] += requests[alive]
        nobody[alive] = False
    total[nobody] = np.nan
    return total
