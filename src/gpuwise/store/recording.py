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

_KEYS = ("t_s", "device_uuid", "gpu_type", "gpu_fraction", "node")
_REQUIRED = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction")
_SIGNALS = tuple(signal.value for signal in Signal)
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
        # A row group is one device, and statistics say so: a reader then need not read who each row is of.
        with pq.ParquetWriter(
            path,
            tables[0].schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in tables[0].column_names if name != "t_s"],
            column_encoding={"t_s": "DELTA_BINARY_PACKED"},
            write_statistics=list(_KEYS[1:]),
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


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one device that stand together in a table."""

    rows: slice
    device_uuid: str
    gpu_type: str | None
    gpu_fraction: float
    node: str | None


def _read_pod(path: Path, window: Window, live_on: str | None) -> _PodUsage:
    table, parts = _read_table(path)
    times = table.column("t_s").to_numpy()
    columns = {signal: table.column(signal.value) for signal in Signal if signal.value in table.column_names}
    measured: dict[str, tuple[_Part, dict[Signal, Samples]]] = {}
    alive = np.zeros(window.steps, dtype=bool)
    for part in parts:
        inside = _Inside.of(times[part.rows], window)
        if inside is None:
            continue
        alive[inside.first : inside.last + 1] = True
        known = measured.setdefault(part.device_uuid, (part, {}))[1]
        for signal, column in columns.items():
            grid = inside.on_grid(_values(column, part.rows), signal)
            if grid is not None:
                known[signal] = np.fmax(known[signal], grid) if signal in known else grid
    reported = [samples.pop(Signal.REQUESTS) for _, samples in measured.values() if Signal.REQUESTS in samples]
    requests = np.fmax.reduce(reported).astype(np.float64) if reported else None
    steps = np.flatnonzero(alive)
    if steps.size:
        alive[steps[0] : steps[-1] + 1] = True
    devices = tuple(
        DeviceSeries(_pod_name(path), uuid, part.gpu_fraction, part.gpu_type or None, part.node or live_on, samples)
        for uuid, (part, samples) in measured.items()
    )
    return _PodUsage(devices, requests, alive)


def _pod_name(path: Path) -> str:
    return re.sub(r"\.(parquet|csv|csv\.gz)$", "", path.name)


def _values(column: pa.ChunkedArray, rows: slice) -> NDArray[np.float32] | None:
    """A column's values at some rows, without a copy where nothing is null; None where all are."""
    chosen = column.slice(rows.start, rows.stop - rows.start)
    if chosen.null_count == len(chosen):
        return None
    values: NDArray[np.float32] = chosen.to_numpy().astype(np.float32, copy=False)
    return values


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where the rows of one device fall on a window.

    Attributes:
        window: the grid.
        first: least step.
        last: largest step.
        even: whether the rows are one a step, in order.
        chosen: those within the window, a slice of even rows, else indices in order of time.
        steps: the step of each chosen row.
    """

    window: Window
    first: int
    last: int
    even: bool
    chosen: slice | NDArray[np.intp]
    steps: NDArray[np.int64]

    @classmethod
    def of(cls, times: NDArray[np.int64], window: Window) -> "_Inside | None":
        """None where no row falls within the window."""
        steps = (times - window.start_s) // window.step_s
        if bool((np.diff(steps) == 1).all()):
            start, end = max(0, -int(steps[0])), min(len(steps), window.steps - int(steps[0]))
            if start >= end:
                return None
            return cls(window, int(steps[start]), int(steps[end - 1]), True, slice(start, end), steps[start:end])
        rows = np.flatnonzero((steps >= 0) & (steps < window.steps))
        if not rows.size:
            return None
        rows = rows[np.argsort(steps[rows], kind="stable")]
        return cls(window, int(steps[rows[0]]), int(steps[rows[-1]]), False, rows, steps[rows])

    def on_grid(self, values: NDArray[np.float32] | None, signal: Signal) -> NDArray[np.float32] | None:
        """Values on the window's steps, by the maximum per step; None where there are none."""
        if values is None:
            return None
        chosen = _believable(values[self.chosen], SIGNALS[signal].highest)
        if self.even and chosen.shape[0] == self.window.steps:
            return chosen
        grid = np.full(self.window.steps, np.nan, dtype=np.float32)
        if self.even:
            grid[self.first : self.last + 1] = chosen
            return grid
        np.fmax.at(grid, self.steps, chosen)
        return grid


def _believable(values: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
    """Without what is no measurement: a sentinel (dcgm-exporter#418 read 4294967295 as utilisation), a negative."""
    if values.min() >= 0.0 and values.max() <= highest:  # False for NaN
        return values
    return np.where((values >= 0.0) & (values <= highest), values, np.float32(np.nan))


def _read_table(path: Path) -> tuple[pa.Table, list[_Part]]:
    """Times and signals, with the device that each part of them is of."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, read_dictionary=list(_KEYS[1:])) as file:
                _require(path, file.schema_arrow.names)
                parts = _parts_by_statistics(file.metadata)
                wanted = [name for name in (*_KEYS, *_SIGNALS) if name in file.schema_arrow.names]
                keys = () if parts is None else _KEYS[1:]
                table = file.read(columns=[name for name in wanted if name not in keys], use_threads=False)
        else:
            parts = None
            options = pa_csv.ConvertOptions(column_types=_TYPES, null_values=["", "NaN", "nan", "null"])
            table = pa_csv.read_csv(path, convert_options=options)
            _require(path, table.column_names)
        if parts is None:
            table = _by_device(table)
            parts = list(_parts(table))
        names = [name for name in ("t_s", *_SIGNALS) if name in table.column_names]
        return pa.table({name: table.column(name).cast(_TYPES[name]) for name in names}), parts
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{path} cannot be read as a recording: {reason}", mend="restore it or record again"
        ) from error


def _parts_by_statistics(metadata: pq.FileMetaData) -> list[_Part] | None:
    """The parts, if the file's own statistics say that each row group is of one device, as our writer leaves it."""
    columns = {metadata.schema.column(i).name: i for i in range(metadata.num_columns)}
    parts, start = [], 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        only = {name: _only_value(group.column(columns[name])) for name in _KEYS[1:] if name in columns}
        if _MANY in only.values():
            return None
        rows = slice(start, start + group.num_rows)
        start = rows.stop
        if group.num_rows:
            parts.append(_Part(rows, only["device_uuid"], only["gpu_type"], only["gpu_fraction"], only.get("node")))
    return parts


_MANY = object()


def _only_value(column: pq.ColumnChunkMetaData) -> Any:
    """The one value of a column in a row group, None if all are null, _MANY if there are more or nothing says."""
    statistics = column.statistics
    if statistics is not None and statistics.has_null_count and statistics.null_count == column.num_values:
        return None
    if statistics is None or not statistics.has_min_max or not statistics.has_null_count or statistics.null_count:
        return _MANY
    return statistics.min if statistics.min == statistics.max else _MANY


def _by_device(table: pa.Table) -> pa.Table:
    """The table with each device's rows together, in the order the devices first appear."""
    codes = table.column("device_uuid").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if (np.diff(codes) >= 0).all():
        return table
    return table.take(pa.array(np.argsort(codes, kind="stable")))


def _parts(table: pa.Table) -> Iterator[_Part]:
    uuids = table.column("device_uuid").combine_chunks().dictionary_encode()
    codes = uuids.indices.to_numpy(zero_copy_only=False)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]

    def at(name: str, row: int) -> Any:
        return table.column(name)[row].as_py() if name in table.column_names else None

    for start, end in pairwise(edges):
        if start < end:
            yield _Part(
                slice(start, end),
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
