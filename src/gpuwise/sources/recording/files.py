"""Read one file: its columns by signal, and the parts of its rows that belong to one device."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.recording.layout import INDEX, REQUIRED, SIGNALS_BY_COLUMN, TYPES


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of one device in a table, with one share of it.

    Attributes:
        rows: slice of the rows.
        times: time of each row: an array, or a range if they are evenly spaced; None before they are read.
        device_uuid: the device; this field and the next are as in `DeviceSeries`.
    """

    rows: slice
    times: NDArray[np.int64] | range | None
    device_uuid: str
    gpu_type: str | None
    gpu_fraction: float
    node: str | None


Column: TypeAlias = pa.ChunkedArray | NDArray[np.float32]
"""A signal's column: an array if no value is null."""


def read_file(path: Path, window: Window) -> tuple[dict[Signal, Column], list[Part]]:
    """Read a file, written by gpuwise or by another tool.

    Args:
        path: a Parquet or CSV file.
        window: row groups that are outside of it are not read, if the writer's index tells their times.

    Returns:
        Columns by signal, and the parts of their rows.

    Raises:
        SourceError: the file is corrupt or lacks a column.
    """
    try:
        if path.suffix != ".parquet":
            options = pa_csv.ConvertOptions(column_types=TYPES, null_values=["", "NaN", "nan", "null"])
            return _any_rows(path, pa_csv.read_csv(path, convert_options=options))
        # Opened here, because with a path pyarrow first determines the file system, a fifth of the time to open it. Not
        # buffered ahead: other threads would read, which takes 7 % more CPU time.
        with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
            index = _index(file.metadata)
            if index is None:
                return _any_rows(path, file.read(use_threads=False))
            groups, parts = _within(index, window)
            if not groups:
                return {}, []
            wanted = _sampled(file.metadata, index)
            if any(part.times is None for part in parts):
                wanted.append("t_s")
            if len(groups) == file.num_row_groups:
                table = file.read(columns=wanted, use_threads=False)
            else:
                table = file.read_row_groups(groups, columns=wanted, use_threads=False)
            columns = dict(zip(table.column_names, table.columns, strict=True))
            if (read := columns.pop("t_s", None)) is not None:
                times = whole(read, np.dtype(np.int64))
                parts = [replace(part, times=times[part.rows]) for part in parts]
            return {SIGNALS_BY_COLUMN[name]: column_of(column) for name, column in columns.items()}, parts
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{path} cannot be read as a recording: {reason}", hint="restore the file or record again"
        ) from error


def _sampled(metadata: pq.FileMetaData, index: Mapping[str, Any]) -> list[str]:
    """Return the signals with values: reading nulls takes a quarter of a column's time.

    The statistics show whether another tool has added a signal that the index does not name.
    """
    groups = [group for number in range(metadata.num_row_groups) if (group := metadata.row_group(number)).num_rows]
    named = frozenset(index.get("signals", ()))

    def empty(column: int) -> bool:
        found = (group.column(column).statistics for group in groups)
        return all(one is not None and one.has_null_count and one.num_values == 0 for one in found)

    columns = enumerate(metadata.schema.names)
    return [name for column, name in columns if name in SIGNALS_BY_COLUMN and (name in named or not empty(column))]


def _index(metadata: pq.FileMetaData) -> Mapping[str, Any] | None:
    """Return the writer's index; None without one, or if it does not match the row groups."""
    try:
        index = json.loads((metadata.metadata or {}).get(INDEX, b"null"))
        if index is None or metadata.num_row_groups != len(index["devices"]):
            return None
        column = metadata.schema.names.index("t_s")
        for number, (rows, first_s, last_s, *_) in enumerate(index["devices"]):
            found = metadata.row_group(number).column(column).statistics
            if found is None or (found.min, found.max, found.num_values) != (first_s, last_s, rows):
                return None
        return {"step_s": int(index["step_s"]), **index}
    except (ValueError, TypeError, KeyError):  # not written by gpuwise: the rows themselves are read instead
        return None


def _within(index: Mapping[str, Any], window: Window) -> tuple[list[int], list[Part]]:
    """The row groups with rows in a window, and the parts of their rows; those of one device that adjoin are one."""
    groups: list[int] = []
    parts: list[Part] = []
    start, step_s = 0, index["step_s"]
    for number, (rows, first_s, last_s, *labels) in enumerate(index["devices"]):
        if last_s < window.start_s or first_s >= window.end_s:
            continue
        even = last_s - first_s == (rows - 1) * step_s
        part = Part(slice(start, start + rows), range(first_s, last_s + step_s, step_s) if even else None, *labels)
        if groups and groups[-1] == number - 1 and (joined := _joined(parts[-1], part)) is not None:
            parts[-1] = joined
        else:
            parts.append(part)
        groups.append(number)
        start += rows
    return groups, parts


def _joined(first: Part, second: Part) -> Part | None:
    """Two consecutive parts of a device with evenly spaced rows as one; None if they are not that."""
    if not isinstance(first.times, range) or not isinstance(second.times, range):
        return None
    if replace(second, rows=first.rows, times=first.times) != first or second.times.start != first.times.stop:
        return None
    times = range(first.times.start, second.times.stop, first.times.step)
    return replace(first, rows=slice(first.rows.start, second.rows.stop), times=times)


def _any_rows(path: Path, table: pa.Table) -> tuple[dict[Signal, pa.ChunkedArray], list[Part]]:
    """Convert a table with rows in any order, and find its parts."""
    _require(path, table.column_names)
    known = [name for name in table.column_names if name in TYPES]
    table = _by_device(pa.table({name: table.column(name).cast(TYPES[name]) for name in known}))
    columns = {SIGNALS_BY_COLUMN[name]: table.column(name) for name in known if name in SIGNALS_BY_COLUMN}
    return columns, list(_parts(table))


def _by_device(table: pa.Table) -> pa.Table:
    """Return the table with each device's rows together, in the order in which the devices first appear."""
    codes = table.column("device_uuid").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if (np.diff(codes) >= 0).all():
        return table
    return table.take(pa.array(np.argsort(codes, kind="stable")))


def _parts(table: pa.Table) -> Iterator[Part]:
    times = whole(table.column("t_s"), np.dtype(np.int64))
    uuids = table.column("device_uuid").combine_chunks().dictionary_encode()
    codes = uuids.indices.to_numpy(zero_copy_only=False)
    # A pod's share of a card can change, so a device has a part for each share.
    shares = table.column("gpu_fraction").to_numpy()
    if not ((shares > 0.0) & np.isfinite(shares)).all():
        raise ValueError("gpu_fraction is not above 0 in every row")
    changes = (np.diff(codes) != 0) | (np.diff(shares) != 0)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(codes)]

    def at(name: str, row: int) -> Any:
        return table.column(name)[row].as_py() if name in table.column_names else None

    for start, end in pairwise(edges):
        if start < end:
            yield Part(
                slice(start, end),
                times[start:end],
                at("device_uuid", start),
                at("gpu_type", start),
                float(at("gpu_fraction", start)),
                at("node", start),
            )


def _require(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise SourceError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            hint="write it with the columns " + ", ".join(REQUIRED),
        )


def column_of(column: pa.ChunkedArray) -> Column:
    """Return a column as an array without a copy, if no value is null."""
    return column if column.null_count else whole(column, np.dtype(np.float32))


def values_of(column: Column, rows: slice) -> NDArray[np.float32] | None:
    """Return a column's values at some rows, without a copy if no value is null; None if all are null."""
    if isinstance(column, np.ndarray):
        return column[rows]
    length = rows.stop - rows.start
    chosen = column if length == len(column) else column.slice(rows.start, length)
    nulls = chosen.null_count
    if nulls == length:
        return None
    if nulls == 0:
        return whole(chosen, np.dtype(np.float32))
    values: NDArray[np.float32] = chosen.to_numpy().astype(np.float32, copy=False)
    return values


def whole(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a column without nulls, without a copy; Arrow's own conversion imports pandas if it is installed."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return np.frombuffer(array.buffers()[1], dtype=dtype)[array.offset : array.offset + len(array)]
