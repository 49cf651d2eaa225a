"""Recordings: usage kept as Parquet or CSV in a directory, written pod by pod and read workload by workload.

Layout: `inventory.json` (a Kubernetes List) and `usage/<namespace>/<pod>.parquet`, or `.csv`, `.csv.gz`. The path is
the index: a reader opens the files of the pods it is asked for and no other. Rows of one device are contiguous and
in order of time as this writer leaves them, but a reader takes any order. Columns:

| column | type | meaning |
|---|---|---|
| t_s | int64 | start of the sample, epoch seconds |
| namespace, pod | string | whose |
| device_uuid | string | NVML's UUID of the GPU or MIG device |
| gpu_type | string or null | canonical name of the card |
| gpu_fraction | float64 | share of a whole card that is paid for |
| node | string or null | where the card is; without it, where its pod runs now |
| one per `Signal` value | float32 | the measurement; null, NaN or no such column = not sampled |

`requests_per_second` speaks of the pod and may stand on any of its devices' rows.

`usage/_nodes/<node>.parquet`, which a recording need not have, holds the devices of a node at the times when no pod
held them, in the same columns; namespace and pod are empty. "_nodes" is no name that a namespace can have.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gpuwise.model.errors import InputError, SourceError
from gpuwise.model.inventory import Inventory, Node, Workload, node_ref
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, RecordedPod, UsageSeries, Window
from gpuwise.store.pod_names import own_names

_KEYS = ("t_s", "device_uuid", "gpu_type", "gpu_fraction", "node")
_REQUIRED = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction")
_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # RFC 1123: nothing that could climb out of the directory

_TYPES = {
    "t_s": pa.int64(),
    "namespace": pa.string(),
    "pod": pa.string(),
    "device_uuid": pa.string(),
    "gpu_type": pa.string(),
    "gpu_fraction": pa.float64(),
    "node": pa.string(),
} | {signal.value: pa.float32() for signal in Signal}


class RecordingWriter:
    """Writes one recording into an empty directory.

    Args:
        directory: made if it is not there.

    Raises:
        InputError: the directory already holds a recording; two fleets mixed would pass for one.
    """

    def __init__(self, directory: Path) -> None:
        self._usage = directory / "usage"
        self._directory = directory
        if self._usage.exists() and any(self._usage.iterdir()):
            raise InputError(
                f"{directory} already holds a recording", mend="name a new directory, or remove the old one"
            )
        self._usage.mkdir(parents=True, exist_ok=True)

    def append(self, pod: RecordedPod) -> None:
        """Write one pod's file; steps at which nothing was sampled leave no row."""
        if not pod.devices:
            return
        path = self._usage / _checked(pod.namespace) / f"{_checked(pod.devices[0].pod)}.parquet"
        path.parent.mkdir(exist_ok=True)
        table = pa.concat_tables([_device_table(pod, index) for index in range(len(pod.devices))])
        dictionary = [name for name in table.column_names if name != "t_s"]
        # Quantised samples take few distinct values: a dictionary and zstd's fastest level cost least time per byte.
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            column_encoding={"t_s": "DELTA_BINARY_PACKED"},
            write_statistics=False,
            row_group_size=max(table.num_rows, 1),
        )

    def write_objects(self, objects: Iterable[Mapping[str, Any]]) -> Path:
        """Write `inventory.json` beside the usage, as `kubectl get -o json` would."""
        path = self._directory / "inventory.json"
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        path.write_text(json.dumps(listing, separators=(",", ":")) + "\n", encoding="utf-8")
        return path


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no Kubernetes name", mend="use lower-case letters, digits, '-' and '.'")
    return name


def _device_table(pod: RecordedPod, index: int) -> pa.Table:
    device = pod.devices[index]
    signals = dict(device.samples)
    if index == 0 and pod.requests_per_second is not None:
        signals[Signal.REQUESTS] = pod.requests_per_second
    sampled = np.zeros(pod.window.steps, dtype=bool)
    for values in signals.values():
        sampled |= ~np.isnan(values)
    rows = np.flatnonzero(sampled)
    times = pod.window.start_s + rows * pod.window.step_s
    whole = rows.size == pod.window.steps

    def column(signal: Signal) -> pa.Array:
        values = signals.get(signal)
        if values is None:
            return pa.nulls(rows.size, pa.float32())
        return pa.array((values if whole else values[rows]).astype(np.float32))

    labels = (pod.namespace, device.pod, device.device_uuid, device.gpu_type)
    return pa.table(
        {"t_s": times}
        | {name: _repeat(label, rows.size) for name, label in zip(_REQUIRED[1:5], labels, strict=True)}
        | {"gpu_fraction": np.full(rows.size, device.gpu_fraction), "node": _repeat(device.node, rows.size)}
        | {signal.value: column(signal) for signal in Signal}
    )


def _repeat(label: str | None, rows: int) -> pa.DictionaryArray:
    indices = pa.array(np.zeros(rows, dtype=np.int8), mask=np.full(rows, label is None))
    return pa.DictionaryArray.from_arrays(indices, pa.array([label or ""], pa.string()))


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
        self._folder()
        files = {space: self._files(space) for space in {workload.ref.namespace for workload in workloads}}
        owners = {(other.ref.namespace, pod.name): other.ref for other in inventory.workloads for pod in other.pods}
        for workload in workloads:
            space = workload.ref.namespace
            live = {pod.name: pod.node for pod in workload.pods}
            past = re.compile(own_names(workload.ref) or re.escape(workload.ref.name) + "-.+")
            pods = [
                _read_pod(path, window, live.get(pod))
                for pod, path in files[space].items()
                if pod in live or (past.fullmatch(pod) and (space, pod) not in owners)
            ]
            yield _workload_series(workload, pods, window)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:  # noqa: ARG002 - a recording has sorted it out
        """Yield one series per node, in order, of its devices at the times when no pod held them, as recorded.

        Args:
            nodes: which; one without a file has a series without devices.
            inventory: not needed here.
            window: the grid of the answer.

        Raises:
            SourceError: as `read`.
        """
        folder = self._folder() / "_nodes"
        for node in nodes:
            paths = [path for suffix in _SUFFIXES if (path := folder / f"{_checked(node.name)}{suffix}").is_file()]
            found = [device for path in paths for device in _read_pod(path, window, node.name).devices]
            yield UsageSeries(node_ref(node), window, tuple(replace(device, pod="") for device in found))

    def describe(self) -> str:
        """Say in a sentence what can be read here.

        Raises:
            SourceError: there is no recording.
        """
        files = sum(1 for path in self._folder().rglob("*") if path.name.endswith(_SUFFIXES))
        return f"usage of {files} pods in {self.directory}"

    def _folder(self) -> Path:
        folder = self.directory / "usage"
        if not folder.is_dir():
            raise SourceError(
                f"{self.directory} holds no recording: there is no directory 'usage' in it",
                mend="make one with `gpuwise demo`, or name the directory above 'usage'",
            )
        return folder

    def _files(self, namespace: str) -> dict[str, Path]:
        folder = self.directory / "usage" / _checked(namespace)
        if not folder.is_dir():
            return {}
        found = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES))
        return {re.sub(r"\.(parquet|csv|csv\.gz)$", "", path.name): path for path in found}


@dataclass(frozen=True, slots=True)
class _PodUsage:
    devices: tuple[DeviceSeries, ...]
    requests: NDArray[np.float64] | None
    alive: NDArray[np.bool_]


def _workload_series(workload: Workload, pods: Sequence[_PodUsage], window: Window) -> UsageSeries:
    devices = tuple(device for pod in pods for device in pod.devices)
    return UsageSeries(workload.ref, window, devices, _total_requests(pods, window))


def _total_requests(pods: Sequence[_PodUsage], window: Window) -> NDArray[np.float64] | None:
    """Sum over the pods alive at a step; a live pod that does not report makes the sum unknown, not smaller."""
    reporting = [(pod.requests, pod.alive) for pod in pods if pod.requests is not None]
    if not reporting:
        return None
    total = np.zeros(window.steps)
    anyone = np.zeros(window.steps, dtype=bool)
    for requests, alive in reporting:
        total += np.where(alive, requests, 0.0)
        anyone |= alive
    return np.where(anyone, total, np.nan)


def _read_pod(path: Path, window: Window, live_on: str | None) -> _PodUsage:
    table = _read_table(path)
    times = table.column("t_s").to_numpy()
    steps = (times - window.start_s) // window.step_s
    inside = (steps >= 0) & (steps < window.steps)
    uuids = table.column("device_uuid").combine_chunks().dictionary_encode()
    codes = uuids.indices.to_numpy(zero_copy_only=False)
    devices, requests = [], None
    for code, uuid in enumerate(uuids.dictionary.to_pylist()):
        rows = np.flatnonzero((codes == code) & inside)
        if not rows.size:
            continue
        samples = _on_grid(table, rows, steps[rows], window.steps)
        here = samples.pop(Signal.REQUESTS, None)
        if here is not None:
            requests = here if requests is None else np.fmax(requests, here)
        first = int(rows[0])
        fraction = float(table.column("gpu_fraction")[first].as_py())
        gpu = table.column("gpu_type")[first].as_py()
        node = table.column("node")[first].as_py() if "node" in table.column_names else None
        devices.append(DeviceSeries(_pod_name(path), uuid, fraction, gpu or None, node or live_on, samples))
    alive = np.zeros(window.steps, dtype=bool)
    if inside.any():
        alive[int(steps[inside].min()) : int(steps[inside].max()) + 1] = True
    return _PodUsage(tuple(devices), requests, alive)


def _pod_name(path: Path) -> str:
    return re.sub(r"\.(parquet|csv|csv\.gz)$", "", path.name)


def _on_grid(
    table: pa.Table, rows: NDArray[np.intp], steps: NDArray[np.int64], length: int
) -> dict[Signal, NDArray[np.float64]]:
    """Each signal that has a sample, on the grid, by the maximum per step."""
    moves = np.diff(steps)
    if (moves < 0).any():
        order = np.argsort(steps, kind="stable")
        rows, steps = rows[order], steps[order]
        moves = np.diff(steps)
    starts = np.concatenate(([0], np.flatnonzero(moves) + 1))
    single = starts.size == steps.size
    contiguous = bool((np.diff(rows) == 1).all())
    samples = {}
    for signal in Signal:
        if signal.value not in table.column_names or table.column(signal.value).null_count == table.num_rows:
            continue
        column = table.column(signal.value)
        chosen = column.slice(int(rows[0]), rows.size) if contiguous else column.take(pa.array(rows))
        values = chosen.to_numpy().astype(np.float64)
        # A sentinel or a negative is no measurement (dcgm-exporter#418 read 4294967295 as utilisation).
        values[~((values >= 0.0) & (values <= SIGNALS[signal].highest))] = np.nan
        if np.isnan(values).all():
            continue
        grid = np.full(length, np.nan)
        grid[steps[starts]] = values if single else np.fmax.reduceat(values, starts)
        samples[signal] = grid
    return samples


def _read_table(path: Path) -> pa.Table:
    signals = [signal.value for signal in Signal]
    try:
        if path.suffix == ".parquet":
            names = pq.read_schema(path).names
            _require(path, names)
            wanted = [name for name in (*_KEYS, *signals) if name in names]
            table = pq.read_table(path, columns=wanted, use_threads=False, partitioning=None)
        else:
            options = pa_csv.ConvertOptions(column_types=_TYPES, null_values=["", "NaN", "nan", "null"])
            table = pa_csv.read_csv(path, convert_options=options)
            _require(path, table.column_names)
        return pa.table({name: table.column(name).cast(_TYPES[name]) for name in table.column_names if name in _TYPES})
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{path} cannot be read as a recording: {reason}", mend="restore it or record again"
        ) from error


def _require(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise SourceError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            mend="write it with the columns " + ", ".join(_REQUIRED),
        )
