"""Traces: one CSV, CSV.gz or Parquet file of many pods, with the schema of recordings (docs/recording.md).

A recording is read pod by pod and may be larger than memory; a trace is read into memory as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import gpu_type as product_type
from gpuwise.model.inventory import Inventory, Node, Workload, WorkloadClass, node_ref
from gpuwise.model.ports import Cite
from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.traces.columns import REQUIRED, Column

NAMESPACE = "trace"
"""Namespace of pods if the trace has no namespace column."""

_NULLS = ["", "NaN", "nan", "null", "NA"]
_TEXTS = ("namespace", "pod", "device_uuid", "gpu_type", "node")


@dataclass(frozen=True, slots=True)
class TracedDevice:
    """The measurements of one pod on one device.

    Attributes:
        namespace: namespace of the pod.
        pod: name of the pod.
        device_uuid: UUID of the device; "GPU-" and the pod's name if the trace has none.
        gpu_type: canonical GPU type, None if unknown.
        gpu_fraction: share of a whole card that is paid for.
        node: node of the device, None if unknown.
        times_s: when each sample was taken, epoch seconds, ascending, int64 of shape (n,).
        samples: values by signal, float64 of shape (n,); NaN is missing.
    """

    namespace: str
    pod: str
    device_uuid: str
    gpu_type: str | None
    gpu_fraction: float
    node: str | None
    times_s: NDArray[np.int64]
    samples: Mapping[Signal, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class TraceUsage:
    """Usage from a trace; implements `UsageSource`.

    Attributes:
        name: name of the file, for messages.
        devices: devices by namespace and pod.
    """

    name: str
    devices: Mapping[tuple[str, str], tuple[TracedDevice, ...]]

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in order: see the port. Samples of one step are reduced to their maximum."""
        del inventory  # not needed: the trace has pod names, and each workload lists its pods
        for workload in workloads:
            keys = [(workload.ref.namespace, pod.name) for pod in workload.pods]
            devices = [device for key in keys for device in self.devices.get(key, ())]
            yield _series(workload, devices, window)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """See the port; a trace has only rows of pods."""
        del inventory
        return (UsageSeries(node_ref(node), window, ()) for node in nodes)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """See the port; each pod of a trace belongs to a workload."""
        del inventory, window
        return iter(())

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """See the port; a trace has only rows of pods."""
        del inventory, window
        return ()

    def identity(self) -> Mapping[str, str]:
        """See the port; the samples are part of this object, so every machine has the same ones."""
        return {}

    @property
    def lists_allocations(self) -> bool:
        """A trace has the rows of each pod that had a GPU."""
        return True

    def cite(self, window: Window) -> Cite:
        """Return a function that describes where the samples behind a number are: rows of the file."""

        def cited(workload: Workload, evidence: Evidence) -> str | None:
            if evidence.signal is None:
                return None
            pods = ", ".join(sorted(pod.name for pod in workload.pods))
            rows = f"rows of {pods} with t_s in [{window.start_s}, {window.end_s})"
            return f"{self.name}: {evidence.signal.value} in the {rows}"

        return cited

    def describe(self) -> str:
        """Describe in a sentence what can be read."""
        return f"usage of {len(self.devices)} pods in {self.name}"


def _series(workload: Workload, devices: Sequence[TracedDevice], window: Window) -> UsageSeries:
    found, requests = [], None
    for device in devices:
        samples = _on_grid(device, window)
        here = samples.pop(Signal.REQUESTS, None)
        if here is not None:
            requests = here if requests is None else np.fmax(requests, here)
        if samples:
            labels = (device.device_uuid, device.gpu_fraction, device.gpu_type, device.node)
            found.append(DeviceSeries(device.pod, *labels, samples))
    return UsageSeries(workload.ref, window, tuple(found), requests, _scraped(workload, devices, window))


def _scraped(workload: Workload, devices: Sequence[TracedDevice], window: Window) -> NDArray[np.float64] | None:
    """Return an endpoint's requests in steps of SCRAPE_S, where samples are closer than the window's steps."""
    fine, found = window.scraped, None
    if fine is None or workload.workload_class is not WorkloadClass.ENDPOINT:
        return None
    for device in devices:
        values = device.samples.get(Signal.REQUESTS)
        if values is None:
            continue
        if device.times_s.size < 2 or np.median(np.diff(device.times_s)) >= window.step_s:
            return None  # between its samples, requests to it are not known
        here = _on_grid(replace(device, samples={Signal.REQUESTS: values}), fine).get(Signal.REQUESTS)
        if here is not None:
            found = here if found is None else np.fmax(found, here)
    return found


def _on_grid(device: TracedDevice, window: Window) -> dict[Signal, NDArray[np.float64]]:
    """Return each signal with samples in the window, by the maximum per step; sentinels are dropped (DCGM#199)."""
    first, last = np.searchsorted(device.times_s, (window.start_s, window.end_s))
    if first == last:
        return {}
    steps = (device.times_s[first:last] - window.start_s) // window.step_s
    starts = np.concatenate(([0], np.flatnonzero(np.diff(steps)) + 1))
    gridded = {}
    for signal, column in device.samples.items():
        values = column[first:last]
        values = np.where((values >= 0.0) & (values <= SIGNALS[signal].highest), values, np.nan)
        if not np.isnan(values).all():
            gridded[signal] = np.full(window.steps, np.nan)
            gridded[signal][steps[starts]] = np.fmax.reduceat(values, starts)
    return gridded


def read_trace(
    path: Path, columns: Mapping[str, Column], *, gpu_type: str | None = None, measured: bool = True
) -> list[TracedDevice]:
    """Read one trace file.

    Args:
        path: a .csv, .csv.gz or .parquet file.
        columns: the file's column for each column of the schema.
        gpu_type: GPU type of devices for which the trace has none.
        measured: also read the signals; else only keys and times.

    Raises:
        InputError: the file cannot be read, or lacks a column; the error names the file, the column and the hint.
    """
    table = _read(path, columns, measured=measured)
    times = _times(path, table.column("t_s"), columns["t_s"])
    pods = _texts(table, "pod", None)
    if pods.null_count or not len(pods):
        raise InputError(
            f"{path}: the column {columns['pod'].name} has no pod in {pods.null_count or 'all'} rows",
            hint="give another column with --column pod=COLUMN",
        )
    spaces = _texts(table, "namespace", NAMESPACE)
    uuids = pc.coalesce(_texts(table, "device_uuid", None), pc.binary_join_element_wise("GPU", pods, "-"))
    signals = {signal: _numbers(table, signal.value, columns[signal.value].factor) for signal in Signal}
    order, groups = _groups((spaces, pods, uuids), times)
    kinds, nodes = _texts(table, "gpu_type", gpu_type), _texts(table, "node", None)
    shares = _numbers(table, "gpu_fraction", 1.0)
    return [
        TracedDevice(
            namespace=spaces[first].as_py(),
            pod=pods[first].as_py(),
            device_uuid=uuids[first].as_py(),
            gpu_type=_canonical(kinds[first].as_py()),
            gpu_fraction=1.0 if shares is None or np.isnan(shares[first]) else float(shares[first]),
            node=nodes[first].as_py(),
            times_s=times[rows],
            samples={signal: values[rows] for signal, values in signals.items() if values is not None},
        )
        for rows in np.split(order, groups)
        for first in (int(rows[0]),)
    ]


def _read(path: Path, columns: Mapping[str, Column], *, measured: bool) -> pa.Table:
    """Read the columns of the schema that the file has, and rename them to the schema's names."""
    try:
        names = _names(path)
        here = {name: column for name, column in columns.items() if column.name in names}
        _require(path, columns, names)
        if measured and not any(signal.value in here for signal in Signal):
            raise InputError(
                f"{path} has no column of a signal; its columns are {', '.join(names)}",
                hint="give one, for example --column gpu_util_ratio=COLUMN:percent",
            )
        wanted = {name: column for name, column in here.items() if measured or name not in set(Signal)}
        table = _read_table(path, [column.name for column in wanted.values()], wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a trace: {reason}", hint="give a CSV or Parquet file") from error
    return pa.table({name: table.column(column.name) for name, column in wanted.items()})


def _names(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return list(pq.read_schema(path).names)
    with pa_csv.open_csv(path) as reader:
        return list(reader.schema.names)


def _require(path: Path, columns: Mapping[str, Column], names: Sequence[str]) -> None:
    for name, column in columns.items():
        if column.name not in names and (column.mapped or name in REQUIRED):
            raise InputError(
                f"{path} has no column {column.name!r} for {name}; its columns are {', '.join(names)}",
                hint=f"give the column with --column {name}=COLUMN",
            )


def _read_table(path: Path, names: list[str], wanted: Mapping[str, Column]) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path, columns=names, partitioning=None)
    # Without types pyarrow reads numeric pod names as integers, and a column without values as null.
    types = {column.name: pa.string() if name in _TEXTS else pa.float64() for name, column in wanted.items()}
    del types[wanted["t_s"].name]  # seconds, or a time such as 2026-05-01 12:00:00
    options = pa_csv.ConvertOptions(
        column_types=types, include_columns=names, null_values=_NULLS, strings_can_be_null=True
    )
    return pa_csv.read_csv(path, convert_options=options)


def _times(path: Path, column: pa.ChunkedArray, source: Column) -> NDArray[np.int64]:
    if column.null_count or not len(column):
        raise InputError(
            f"{path}: the column {source.name} has no time in {column.null_count or 'all'} rows",
            hint="give another column with --column t_s=COLUMN",
        )
    if pa.types.is_timestamp(column.type):
        return _array(column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(
            f"{path}: the column {source.name} does not contain times but {str(column[0].as_py())!r}",
            hint="use epoch seconds or 2026-05-01 12:00:00, or give another column with --column t_s=COLUMN",
        )
    return np.floor(_array(column.cast(pa.float64())) * source.factor).astype(np.int64)


def _canonical(product: str | None) -> str | None:
    card = product_type(product) if product else None
    return card.name if card else None


def _texts(table: pa.Table, name: str, default: str | None) -> pa.Array:
    if name not in table.column_names:
        return pa.array([default] * table.num_rows, pa.string())
    texts = table.column(name).cast(pa.string()).combine_chunks()
    return texts if default is None else pc.fill_null(texts, default)


def _numbers(table: pa.Table, name: str, factor: float) -> NDArray[np.float64] | None:
    if name not in table.column_names or table.column(name).null_count == table.num_rows:
        return None
    return _array(table.column(name).cast(pa.float64())) * factor


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    found: NDArray[Any] = column.to_numpy()  # null becomes NaN
    return found


def _groups(keys: Sequence[pa.Array], times: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows in order of key and time, and where each key except the first begins."""
    codes = [key.dictionary_encode().indices.to_numpy(zero_copy_only=False) for key in keys]
    order = np.lexsort((times, *reversed(codes)))
    changes = np.any([np.diff(code[order]) != 0 for code in codes], axis=0)
    return order, np.flatnonzero(changes) + 1
