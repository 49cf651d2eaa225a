"""Usage from a recording: finds and reads only the files of the requested workloads and nodes."""

import hashlib
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.declared import work_metric
from gpuwise.model.errors import SourceError
from gpuwise.model.gpu import mig_share, named
from gpuwise.model.inventory import Inventory, Node, Workload, WorkloadClass, WorkloadRef, deleted_ref, node_ref
from gpuwise.model.labels import MIG_RESOURCE_PREFIX
from gpuwise.model.ports import Cite
from gpuwise.model.recommendation import Evidence
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.kubernetes.pod_names import own_names
from gpuwise.sources.recording.layout import NODES, SUFFIXES, checked, stem
from gpuwise.sources.recording.pods import PodUsage, pod_usage, read_pod
from gpuwise.sources.recording.recent import RecentReader
from gpuwise.sources.work import summed

_END_BYTES = 4_096
"""Part of each file that its digest covers: the footer of a Parquet file, with its statistics."""


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """Usage from a recording; implements `UsageSource`. It has only the path, so it can be sent to workers.

    Attributes:
        directory: directory of the recording, as `RecordingWriter` writes it.
    """

    directory: Path

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in order; the samples of one step are reduced to their maximum.

        A workload's files are those of its current pods, and of deleted pods whose names only its kind and name make.

        Args:
            workloads: the workloads.
            inventory: the pods that belong to other workloads.
            window: the grid; samples outside are left out.

        Raises:
            SourceError: the directory is not a recording, or a file in it is corrupt or lacks a column.
        """
        usage = self._folder()
        files = {space: _files(usage / checked(space)) for space in {workload.ref.namespace for workload in workloads}}
        past, reader = _past_pods(workloads, files, inventory), _Reader(self.directory, window)
        for workload in workloads:
            live = {pod.name: pod.node for pod in workload.pods}
            mine = live.keys() | past[workload.ref]
            there = files[workload.ref.namespace]
            found = sorted((there[pod], pod) for pod in mine if pod in there)
            folder = usage / workload.ref.namespace
            pods = [reader.read(folder, name, pod, live.get(pod)) for name, pod in found]
            yield _workload_series(workload, pods, window, inventory)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:  # noqa: ARG002 - the recording has these files separately
        """Yield one series per node, in order, of its devices at the times when they were unallocated.

        Args:
            nodes: the nodes; a node without a file has a series without devices.
            inventory: not used.
            window: the grid.

        Raises:
            SourceError: as `read`.
        """
        folder, reader = self._folder() / NODES, _Reader(self.directory, window)
        for node in nodes:
            names = (f"{checked(node.name)}{suffix}" for suffix in SUFFIXES)
            paths = [name for name in names if os.path.isfile(f"{folder}/{name}")]  # noqa: PTH113 - half of the time
            found = (device for name in paths for device in reader.read(folder, name, "", node.name).devices)
            yield UsageSeries(node_ref(node), window, tuple(found))

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series for each namespace with files of pods that no workload owns: see the port.

        Raises:
            SourceError: as `read`.
        """
        usage = self._folder()
        with os.scandir(usage) as entries:
            spaces = sorted(entry.name for entry in entries if entry.is_dir() and entry.name != NODES)
        of_space: dict[str, list[Workload]] = {space: [] for space in spaces}
        for workload in inventory.workloads:
            of_space.setdefault(workload.ref.namespace, []).append(workload)
        for space in spaces:
            files = _files(usage / checked(space))
            owned = {pod.name for workload in of_space[space] for pod in workload.pods}
            for pods in _past_pods(of_space[space], {space: files}, inventory).values():
                owned.update(pods)
            found = [
                _by_memory(device, None, inventory)
                for pod, name in files.items()
                if pod not in owned
                for device in read_pod(usage / space / name, pod, window, None).devices
            ]
            if found:
                yield UsageSeries(deleted_ref(space), window, tuple(found))

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """See the port; a recording has the nodes of one time."""
        del inventory, window
        return ()

    def identity(self) -> Mapping[str, str]:
        """Return a digest of the files: see the port. It covers their names, sizes and ends, where Parquet has sums.

        Raises:
            SourceError: there is no recording.
        """
        digest = hashlib.sha256()
        folder = self._folder()
        for path in sorted(folder.rglob("*")):
            if path.name.endswith(SUFFIXES):
                size = path.stat().st_size
                with path.open("rb") as file:
                    file.seek(max(0, size - _END_BYTES))
                    end = hashlib.sha256(file.read()).digest()
                digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode() + end)
        return {"recording": digest.hexdigest()[:12]}

    @property
    def lists_allocations(self) -> bool:
        """A recording has a file for each pod that had a GPU."""
        return True

    def cite(self, window: Window) -> Cite:
        """Return a function that describes where the samples behind a number are: files, column and times."""
        usage = self._folder()

        def cited(workload: Workload, evidence: Evidence) -> str | None:
            if evidence.signal is None:
                return None
            pods = ",".join(sorted(pod.name for pod in workload.pods))
            files = usage / checked(workload.ref.namespace) / f"{{{pods}}}.*"
            return f"{files}: {evidence.signal.value} of t_s in [{window.start_s}, {window.end_s})"

        return cited

    def describe(self) -> str:
        """Describe in a sentence what can be read.

        Raises:
            SourceError: there is no recording.
        """
        files = sum(1 for path in self._folder().rglob("*") if path.name.endswith(SUFFIXES))
        return f"usage of {files} pods in {self.directory}"

    def _folder(self) -> Path:
        folder = self.directory / "usage"
        if not folder.is_dir():
            raise SourceError(
                f"{self.directory} is not a recording: it has no directory 'usage'",
                hint="create one with `gpuwise demo`, or give the directory that contains 'usage'",
            )
        return folder


class _Reader:
    """Reads the rows of pods: of a window on the last day those that many pods have in one file, if there are such."""

    def __init__(self, directory: Path, window: Window) -> None:
        self._window, self._recent = window, RecentReader(directory, window)

    def read(self, folder: Path, name: str, pod: str, live_on: str | None) -> PodUsage:
        """Read a pod as `read_pod` does.

        Args:
            folder: of the pod's file.
            name: of the pod's file.
            pod: as for `read_pod`.
            live_on: as for `read_pod`.
        """
        rows = self._recent.read(folder, name)
        if rows is None:
            return read_pod(folder / name, pod, self._window, live_on)
        return pod_usage(*rows, pod, self._window, live_on)


def _files(folder: Path) -> dict[str, str]:
    """Return a folder's file names by pod; empty if the folder does not exist."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:  # only names: creating a Path for each costs more than listing them
        names = sorted(entry.name for entry in entries)
    return {pod: name for name in names if (pod := stem(name)) is not None}


def _past_pods(
    workloads: Sequence[Workload], files: Mapping[str, Iterable[str]], inventory: Inventory
) -> Mapping[WorkloadRef, Collection[str]]:
    """Return a workload's deleted pods: names that only its kind and name make, and that no current pod has."""
    gone = {workload.ref: _alike(workload, files[workload.ref.namespace]) for workload in workloads}
    if not any(gone.values()):  # iterating over the fleet in every shard would take quadratic time
        return gone
    neighbours = (other for other in inventory.workloads if other.ref.namespace in files)
    owned = {(other.ref.namespace, pod.name) for other in neighbours for pod in other.pods}
    return {ref: [pod for pod in pods if (ref.namespace, pod) not in owned] for ref, pods in gone.items()}


def _alike(workload: Workload, pods: Iterable[str]) -> list[str]:
    """Return the pods that are not current pods of a workload, but have a name that its pods can have."""
    name, live = workload.ref.name, {pod.name for pod in workload.pods}
    near = [pod for pod in pods if pod.startswith(name) and pod not in live]
    if not near:
        return []  # compiling a pattern takes longer than matching it
    own = re.compile(own_names(workload.ref) or re.escape(name) + "-.+")
    return [pod for pod in near if own.fullmatch(pod)]


def _workload_series(workload: Workload, pods: Sequence[PodUsage], window: Window, inventory: Inventory) -> UsageSeries:
    resource = workload.request.resource if workload.request is not None else ""
    asked = resource.removeprefix(MIG_RESOURCE_PREFIX) if resource.startswith(MIG_RESOURCE_PREFIX) else None
    devices = tuple(_by_memory(device, asked, inventory) for pod in pods for device in pod.devices)
    whole = [(pod.requests, pod.alive) for pod in pods]
    requests, scraped, fine = _total_requests(whole, window.steps), None, window.scraped
    if fine is not None and workload.workload_class is WorkloadClass.ENDPOINT:
        each = window.step_s // fine.step_s
        parts = [(pod.scrapes, slice(pod.alive.start * each, pod.alive.stop * each)) for pod in pods]
        # A pod with rows that are too far apart makes the sum unknown; without any other, there is none.
        known = any(pod.scrapes is not None for pod in pods)
        scraped = _total_requests(_unknown_where_missing(parts, whole, fine.steps), fine.steps) if known else None
    metric = work_metric(workload)
    work = None
    if metric is not None:
        working = [(pod.work.astype(np.float64), pod.alive) for pod in pods if pod.work is not None]
        work = summed([one for one, _ in working], [_mask(alive, window.steps) for _, alive in working])
    return UsageSeries(workload.ref, window, devices, requests, scraped, work, metric)


def _mask(steps: slice, size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[steps] = True
    return mask


def _by_memory(device: DeviceSeries, asked: str | None, inventory: Inventory) -> DeviceSeries:
    """Return a MIG instance with the larger of its shares of compute and memory, if the recording has that of compute.

    Args:
        device: the device.
        asked: the MIG profile that its workload requests, None if that is not known.
        inventory: the MIG profiles of nodes.
    """
    node = inventory.nodes.get(device.node or "")
    card = node.gpu_type if node is not None else named(device.gpu_type or "")
    known = node.mig if node is not None else ()  # of a node that is gone, only what the workload requests is known
    if device.gpu_fraction >= 1.0 or card is None or (asked is None and not known):
        return device  # a node whose MIG layout was changed lists no instances now, but the workload names its own
    profiles = [card.mig_profile(name) for name in ([asked] if asked is not None else known)]
    shares = {
        mig_share(one.name, card)
        for one in profiles
        if one is not None and math.isclose(one.compute_slices / card.compute_slices, device.gpu_fraction, rel_tol=1e-3)
    }
    share = shares.pop() if len(shares) == 1 else None
    return device if share is None else replace(device, gpu_fraction=share)


_OfPod = tuple[NDArray[np.float32] | None, slice]
"""Requests of a pod, None if it reports none, and the steps in which it exists."""


def _unknown_where_missing(scrapes: Sequence[_OfPod], whole: Sequence[_OfPod], steps: int) -> list[_OfPod]:
    """Replace the missing scrapes of a pod that does report requests by unknown ones."""
    unknown = np.full(steps, np.nan, dtype=np.float32)
    return [
        (unknown if values is None and requests is not None else values, alive)
        for (values, alive), (requests, _) in zip(scrapes, whole, strict=True)
    ]


def _total_requests(pods: Sequence[_OfPod], steps: int) -> NDArray[np.float64] | None:
    """Sum the requests of the pods that exist at a step; if one has no sample, the sum is unknown, not smaller."""
    reporting = [(requests, alive) for requests, alive in pods if requests is not None]
    if not reporting:
        return None
    total = np.zeros(steps)
    no_pod = np.ones(steps, dtype=bool)
    for requests, alive in reporting:
        total[alive] += requests[alive]
        no_pod[alive] = False
    total[no_pod] = np.nan
    return total
