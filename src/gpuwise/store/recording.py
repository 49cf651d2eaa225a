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
from itertools import pairwise
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
from gpuwise.model.usage import DeviceSeries, RecordedPod, Samples, UsageSeries, Window
from gpuwise.store.pod_names import own_names

_REQUIRED = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction")
_SIGNALS = {signal.value: signal for signal in Signal}
_INDEX = b"gpuwise.recording"
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
        tables = [_device_table(pod, index) for index in range(len(pod.devices))]
        # Quantised samples take few distinct values: a dictionary and zstd's fastest level cost least time per byte.
        with pq.ParquetWriter(
            path,
            tables[0].schema.with_metadata(_index(pod, tables)),
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in tables[0].column_names if name != "t_s"],
            column_encoding={"t_s": "DELTA_BINARY_PACKED"},
            write_statistics=["t_s"],
        ) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(table.num_rows, 1))

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


def _index(pod: RecordedPod, tables: Sequence[pa.Table]) -> dict[bytes, bytes]:
    """Whose each row group is, and its times where they are even, so that a reader need not read that row by row.

    A reader holds it against the row groups' own statistics: a file that another tool has written anew does not pass
    for what it was.
    """
    parts = [
        [len(table), *_span(table), device.device_uuid, device.gpu_type, device.gpu_fraction, device.node]
        for device, table in zip(pod.devices, tables, strict=True)
        if len(table)
    ]
    return {_INDEX: json.dumps({"step_s": pod.window.step_s, "devices": parts}).encode()}


def _span(table: pa.Table) -> tuple[int, int]:
    times = table.column("t_s")
    return times[0].as_py(), times[-1].as_py()


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
        # Of these namespaces alone: a shard that looked at every pod of the fleet would make the whole quadratic.
        neighbours = (other for other in inventory.workloads if other.ref.namespace in files)
        owned = {(other.ref.namespace, pod.name) for other in neighbours for pod in other.pods}
        for workload in workloads:
            space = workload.ref.namespace
            live = {pod.name: pod.node for pod in workload.pods}
            past = re.compile(own_names(workload.ref) or re.escape(workload.ref.name) + "-.+")
            pods = [
                _read_pod(path, window, live.get(pod))
                for pod, path in files[space].items()
                if pod in live or (past.fullmatch(pod) and (space, pod) not in owned)
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
    alive: slice


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
        total[alive] += requests[alive]
        anyone[alive] = True
    return np.where(anyone, total, np.nan)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one device that stand together in a table.

    Attributes:
        rows: which.
        times: of each row: an array, or a range where they are even; None before they are read.
        device_uuid: whose, as are the rest; fields as in `DeviceSeries`.
    """

    rows: slice
    times: NDArray[np.int64] | range | None
    device_uuid: str
    gpu_type: str | None
    gpu_fraction: float
    node: str | None


def _read_pod(path: Path, window: Window, live_on: str | None) -> _PodUsage:
    columns, parts = _read_file(path)
    measured: dict[str, tuple[_Part, dict[Signal, Samples]]] = {}
    spans = []
    for part in parts:
        inside = None if part.times is None else _Inside.of(part.times, window)
        if inside is None:
            continue
        spans.append((inside.first, inside.last + 1))
        known = measured.setdefault(part.device_uuid, (part, {}))[1]
        for signal, column in columns.items():
            grid = inside.on_grid(_values(column, part.rows), signal)
            if grid is not None:
                known[signal] = np.fmax(known[signal], grid) if signal in known else grid
    reported = [samples.pop(Signal.REQUESTS) for _, samples in measured.values() if Signal.REQUESTS in samples]
    pod = _pod_name(path)
    devices = tuple(
        DeviceSeries(pod, uuid, part.gpu_fraction, part.gpu_type or None, part.node or live_on, samples)
        for uuid, (part, samples) in measured.items()
    )
    alive = slice(min(first for first, _ in spans), max(end for _, end in spans)) if spans else slice(0, 0)
    return _PodUsage(devices, _requests(reported) if reported else None, alive)


def _requests(reported: Sequence[Samples]) -> NDArray[np.float64]:
    """Requests of a pod, which may stand on any of its devices' rows; what is no rate is unknown."""
    known = [np.where((r >= 0.0) & (r <= SIGNALS[Signal.REQUESTS].highest), r, np.nan) for r in reported]
    largest: NDArray[np.float64] = np.fmax.reduce(known).astype(np.float64)
    return largest


def _pod_name(path: Path) -> str:
    return re.sub(r"\.(parquet|csv|csv\.gz)$", "", path.name)


def _values(column: pa.ChunkedArray, rows: slice) -> NDArray[np.float32] | None:
    """A column's values at some rows, without a copy where nothing is null; None where all are."""
    length = rows.stop - rows.start
    chosen = column if length == len(column) else column.slice(rows.start, length)
    nulls = chosen.null_count
    if nulls == length:
        return None
    if nulls == 0:
        return _whole(chosen, np.dtype(np.float32))
    values: NDArray[np.float32] = chosen.to_numpy().astype(np.float32, copy=False)
    return values


def _whole(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column without nulls as it lies in memory; Arrow's own way imports pandas where that is installed."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return np.frombuffer(array.buffers()[1], dtype=dtype)[array.offset : array.offset + len(array)]


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where the rows of one device fall on a window.

    Attributes:
        window: the grid.
        first: least step.
        last: largest step.
        even: whether the rows are one a step, in order.
        chosen: those within the window, a slice of even rows, else indices in order of time.
        steps: the step of each chosen row; empty for even rows.
    """

    window: Window
    first: int
    last: int
    even: bool
    chosen: slice | NDArray[np.intp]
    steps: NDArray[np.int64]

    @classmethod
    def of(cls, times: NDArray[np.int64] | range, window: Window) -> "_Inside | None":
        """None where no row falls within the window."""
        if isinstance(times, range) and times.step == window.step_s:
            first = (times.start - window.start_s) // window.step_s
            start, end = max(0, -first), min(len(times), window.steps - first)
            if start >= end:
                return None
            return cls(window, first + start, first + end - 1, True, slice(start, end), np.empty(0, dtype=np.int64))
        steps = (np.asarray(times, dtype=np.int64) - window.start_s) // window.step_s
        rows = np.flatnonzero((steps >= 0) & (steps < window.steps))
        if not rows.size:
            return None
        rows = rows[np.argsort(steps[rows], kind="stable")]
        return cls(window, int(steps[rows[0]]), int(steps[rows[-1]]), False, rows, steps[rows])

    def on_grid(self, values: NDArray[np.float32] | None, signal: Signal) -> NDArray[np.float32] | None:
        """Values on the window's steps, by the maximum per step; None where there are none."""
        if values is None:
            return None
        chosen = values[self.chosen]
        steps = self.window.steps
        if self.even and chosen.shape[0] == steps:
            return chosen
        grid = np.full(steps, np.nan, dtype=np.float32)
        if self.even:
            grid[self.first : self.last + 1] = chosen
            return grid
        # A sentinel (dcgm-exporter#418 read 4294967295 as utilisation) is no sample, and so not the largest one.
        believable = (chosen >= 0.0) & (chosen <= SIGNALS[signal].highest)
        np.fmax.at(grid, self.steps[believable], chosen[believable])
        return grid


def _read_file(path: Path) -> tuple[dict[Signal, pa.ChunkedArray], list[_Part]]:
    """Signals, with the device and the times that each part of them is of."""
    try:
        if path.suffix != ".parquet":
            options = pa_csv.ConvertOptions(column_types=_TYPES, null_values=["", "NaN", "nan", "null"])
            return _any_rows(path, pa_csv.read_csv(path, convert_options=options))
        with pq.ParquetFile(path) as file:
            names = file.metadata.schema.names
            parts = _indexed(file.metadata)
            if parts is None:
                return _any_rows(path, file.read(use_threads=False))
            wanted = [name for name in _SIGNALS if name in names]
            if any(part.times is None for part in parts):
                wanted.append("t_s")
            table = file.read(columns=wanted, use_threads=False)
            columns = dict(zip(table.column_names, table.columns, strict=True))
            if (read := columns.pop("t_s", None)) is not None:
                times = _whole(read, np.dtype(np.int64))
                parts = [replace(part, times=times[part.rows]) for part in parts]
            return {_SIGNALS[name]: column for name, column in columns.items()}, parts
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{path} cannot be read as a recording: {reason}", mend="restore it or record again"
        ) from error


def _indexed(metadata: pq.FileMetaData) -> list[_Part] | None:
    """The parts by the index that our writer leaves; None without one, or if the row groups are not what it says."""
    try:
        return _held_against(metadata, json.loads((metadata.metadata or {}).get(_INDEX, b"null")))
    except (ValueError, TypeError, KeyError):  # not as our writer leaves it: the rows themselves are read instead
        return None


def _held_against(metadata: pq.FileMetaData, index: Any) -> list[_Part] | None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    groups = [group for group in groups if group.num_rows]
    if index is None or len(groups) != len(index["devices"]):
        return None
    column = metadata.schema.names.index("t_s")
    parts, start, step_s = [], 0, index["step_s"]
    for group, (rows, first_s, last_s, *who) in zip(groups, index["devices"], strict=True):
        found = group.column(column).statistics
        if found is None or (found.min, found.max, found.num_values) != (first_s, last_s, rows):
            return None
        even = last_s - first_s == (rows - 1) * step_s
        parts.append(_Part(slice(start, start + rows), range(first_s, last_s + 1, step_s) if even else None, *who))
        start += rows
    return parts


def _any_rows(path: Path, table: pa.Table) -> tuple[dict[Signal, pa.ChunkedArray], list[_Part]]:
    """A table whose rows stand in any order, and its parts."""
    _require(path, table.column_names)
    known = [name for name in table.column_names if name in _TYPES]
    table = _by_device(pa.table({name: table.column(name).cast(_TYPES[name]) for name in known}))
    return {_SIGNALS[name]: table.column(name) for name in known if name in _SIGNALS}, list(_parts(table))


def _by_device(table: pa.Table) -> pa.Table:
    """The table with each device's rows together, in the order the devices first appear."""
    codes = table.column("device_uuid").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if (np.diff(codes) >= 0).all():
        return table
    return table.take(pa.array(np.argsort(codes, kind="stable")))


def _parts(table: pa.Table) -> Iterator[_Part]:
    times = _whole(table.column("t_s"), np.dtype(np.int64))
    uuids = table.column("device_uuid").combine_chunks().dictionary_encode()
    codes = uuids.indices.to_numpy(zero_copy_only=False)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]

    def at(name: str, row: int) -> Any:
        return table.column(name)[row].as_py() if name in table.column_names else None

    for start, end in pairwise(edges):
        if start < end:
            yield _Part(
                slice(start, end),
                times[start:end],
                at("device_uuid", start),
                at("gpu_type", start),
                float(at("gpu_fraction", start)),
                at("node", start),
            )


def _require(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise SourceError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            mend="write it with the columns " + ", ".join(_REQUIRED),
        )
