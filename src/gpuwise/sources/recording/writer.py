"""Write recordings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpuwise.model.errors import InputError
from gpuwise.model.signal import APART, Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording.layout import INDEX, NODES, REQUIRED, SIGNALS_BY_COLUMN, checked
from gpuwise.sources.recording.recent import RecentRows, RecentWriter


class RecordingWriter:
    """Writes one recording into an empty directory. As a context manager, it also writes the last day of all pods.

    Args:
        directory: created if it does not exist.

    Raises:
        InputError: the directory already contains a recording; two fleets would be mixed into one.
    """

    def __init__(self, directory: Path) -> None:
        self._usage = directory / "usage"
        self._directory = directory
        if self._usage.exists() and any(self._usage.iterdir()):
            raise InputError(
                f"{directory} already contains a recording", hint="give a new directory, or remove the old recording"
            )
        self._usage.mkdir(parents=True, exist_ok=True)
        self._recent = RecentWriter(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._recent.close()

    def append(self, pod: RecordedPod) -> None:
        """Write the file of one pod, or of a node's unallocated devices; steps without samples have no row."""
        if not pod.devices:
            return
        first = pod.devices[0]
        folder, name = (checked(pod.namespace), first.pod) if pod.namespace else (NODES, first.node or "")
        path = self._usage / folder / f"{checked(name)}.parquet"
        path.parent.mkdir(exist_ok=True)
        whole = [_device_table(pod, at) for at in range(len(pod.devices))]
        tables = [
            (device, part) for device, table in zip(pod.devices, whole, strict=True) for part in _parts(table, pod)
        ]
        # Quantised samples have few distinct values: a dictionary and zstd's fastest level cost least time per byte.
        with pq.ParquetWriter(
            path,
            whole[0].schema.with_metadata(_index(pod, tables)),
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in whole[0].column_names if name != "t_s"],
            column_encoding={"t_s": "DELTA_BINARY_PACKED"},
            write_statistics=["t_s", *(name for name in whole[0].column_names if name in SIGNALS_BY_COLUMN)],
        ) as writer:
            for _, table in tables:
                writer.write_table(table, row_group_size=table.num_rows)
        self._recent.add(path, _recent(pod, tables))

    def write_objects(self, objects: Iterable[Mapping[str, Any]]) -> Path:
        """Write `inventory.json` beside the usage, in the form of `kubectl get -o json`."""
        path = self._directory / "inventory.json"
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        path.write_text(json.dumps(listing, separators=(",", ":")) + "\n", encoding="utf-8")
        return path


def _device_table(pod: RecordedPod, index: int) -> pa.Table:
    device = pod.devices[index]
    signals = dict(device.samples)
    if index == 0 and pod.requests_per_second is not None:
        signals[Signal.REQUESTS] = pod.requests_per_second
    if index == 0 and pod.work_per_second is not None:
        signals[Signal.WORK] = pod.work_per_second
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
        | {name: _repeat(label, rows.size) for name, label in zip(REQUIRED[1:5], labels, strict=True)}
        | {"gpu_fraction": np.full(rows.size, device.gpu_fraction), "node": _repeat(device.node, rows.size)}
        | {signal.value: column(signal) for signal in _columns(pod)}
    )


def _columns(pod: RecordedPod) -> list[Signal]:
    measured = {signal for device in pod.devices for signal in device.samples}
    measured |= {Signal.WORK} if pod.work_per_second is not None else set()
    return [signal for signal in Signal if signal in measured or signal not in APART]


def _parts(table: pa.Table, pod: RecordedPod) -> list[pa.Table]:
    """Divide a device's rows into the row groups of a file: the last UTC day is one, so that it can be read alone."""
    if not len(table):
        return []
    before = int(np.searchsorted(table["t_s"].to_numpy(), _midnight_s(pod.window)))
    return [part for part in (table[:before], table[before:]) if len(part)]


def _midnight_s(window: Window) -> int:
    return (window.end_s - 1) // DAY_S * DAY_S


def recent_rows(pod: RecordedPod) -> RecentRows:
    """Return the rows of the last UTC day of a pod.

    Args:
        pod: its measurements.
    """
    whole = ((device, _device_table(pod, at)) for at, device in enumerate(pod.devices))
    return _recent(pod, [(device, part) for device, table in whole for part in _parts(table, pod)])


def _recent(pod: RecordedPod, tables: Sequence[tuple[DeviceSeries, pa.Table]]) -> RecentRows:
    midnight_s, names = _midnight_s(pod.window), ["t_s", *(signal.value for signal in _columns(pod))]
    devices = [
        ((device.device_uuid, device.gpu_type, device.gpu_fraction, device.node), table.select(names))
        for device, table in tables
        if table["t_s"][0].as_py() >= midnight_s
    ]
    return RecentRows(midnight_s, pod.window.step_s, devices)


def _index(pod: RecordedPod, tables: Sequence[tuple[DeviceSeries, pa.Table]]) -> dict[bytes, bytes]:
    """Build the index: the device of each row group, its times and signals, so that a reader need not find them.

    A reader compares the index with the statistics of the row groups, and so detects a file that another tool rewrote.
    """
    parts = [
        [len(table), *_span(table), device.device_uuid, device.gpu_type, device.gpu_fraction, device.node]
        for device, table in tables
    ]
    columns = [signal.value for signal in _columns(pod)]
    signals = [name for name in columns if any(table[name].null_count < len(table) for _, table in tables)]
    return {INDEX: json.dumps({"step_s": pod.window.step_s, "devices": parts, "signals": signals}).encode()}


def _span(table: pa.Table) -> tuple[int, int]:
    times = table.column("t_s")
    return times[0].as_py(), times[-1].as_py()


def _repeat(label: str | None, rows: int) -> pa.DictionaryArray:
    indices = pa.array(np.zeros(rows, dtype=np.int8), mask=np.full(rows, label is None))
    return pa.DictionaryArray.from_arrays(indices, pa.array([label or ""], pa.string()))
