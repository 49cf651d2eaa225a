"""The rows of the last UTC day of many pods in one file, so that a pass that continues does not open a file per pod.

`recent/<midnight>/<number>.parquet` repeats the rows from that time on, one device after the other, in one row group.
Opening a file and finding its columns takes 20 times as long as decoding a day of a device. An index in its metadata
has the pods, with the size of their files. A reader uses these rows if the pod's file has that size and is not newer;
otherwise, or without the folder, it reads the pod's file.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.recording.files import Column, Part, column_of, whole
from gpuwise.sources.recording.layout import INDEX, RECENT, SIGNALS_BY_COLUMN

_DEVICES = 64
"""Devices in a file. A shard has 30: with more, a pass decodes more rows that it does not need; with fewer, it opens
more files."""

Labels = tuple[str, str | None, float, str | None]
"""UUID, GPU type, share of the GPU and node of a device."""


@dataclass(frozen=True, slots=True)
class RecentRows:
    """The rows of a pod's last UTC day.

    Attributes:
        midnight_s: when the day begins, epoch seconds.
        step_s: distance of the rows, seconds, where none is missing.
        devices: the devices with rows, and for each the columns `t_s` and signals.
    """

    midnight_s: int
    step_s: int
    devices: Sequence[tuple[Labels, pa.Table]]


class RecentWriter:
    """Collects rows and writes them, 64 devices to a file.

    Args:
        directory: of the recording.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / RECENT
        self._waiting: dict[int, list[tuple[Path, RecentRows]]] = {}
        self._files = 0

    def add(self, path: Path, rows: RecentRows) -> None:
        """Add the rows of a pod.

        Args:
            path: the finished file of the pod, in the recording.
            rows: of its last day.
        """
        waiting = self._waiting.setdefault(rows.midnight_s, [])
        waiting.append((path, rows))
        if sum(len(one.devices) for _, one in waiting) >= _DEVICES:
            self._write(rows.midnight_s)

    def close(self) -> None:
        """Write what is left."""
        for midnight_s in tuple(self._waiting):
            self._write(midnight_s)

    def _write(self, midnight_s: int) -> None:
        waiting = self._waiting.pop(midnight_s)
        tables = [table for _, rows in waiting for _, table in rows.devices]
        if not tables:
            return
        pods = [
            [path.parent.name, path.name, path.stat().st_size, rows.step_s, [_entry(*one) for one in rows.devices]]
            for path, rows in waiting
        ]
        joined = pa.concat_tables(tables, promote_options="default").combine_chunks()
        joined = joined.select([name for name in joined.column_names if joined[name].null_count < len(joined)])
        folder = self._folder / str(midnight_s)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            joined.replace_schema_metadata({INDEX: json.dumps(pods).encode()}),
            folder / f"{self._files:06}.parquet",
            row_group_size=len(joined),
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in joined.column_names if name != "t_s"],
            column_encoding={"t_s": "DELTA_BINARY_PACKED"},
            write_statistics=False,
        )
        self._files += 1


def _entry(labels: Labels, table: pa.Table) -> list[Any]:
    times = table["t_s"]
    return [len(table), times[0].as_py(), times[-1].as_py(), *labels]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows of a pod are.

    Attributes:
        path: the file with them.
        written_ns: when it was written, nanoseconds since the epoch.
        size_b: size of the pod's own file at that time.
        step_s: distance of its rows, where none is missing.
        start: its first row.
        devices: per device the number of rows, the time of the first and the last, and the labels.
    """

    path: Path
    written_ns: int
    size_b: int
    step_s: int
    start: int
    devices: Sequence[Sequence[Any]]


class RecentReader:
    """Reads the rows of a window that begins on the last day.

    Args:
        directory: of the recording.
        window: the window.
    """

    def __init__(self, directory: Path, window: Window) -> None:
        self._window = window
        self._places: list[Mapping[tuple[str, str], _Place]] = []
        folder = directory / RECENT
        if folder.is_dir():
            with os.scandir(folder) as entries:
                days = [one for one in entries if one.name.isdecimal() and int(one.name) <= window.start_s]
            self._places = [_places(Path(one.path), one.stat().st_mtime_ns) for one in days]

    def read(self, folder: Path, name: str) -> tuple[Mapping[Signal, Column], list[Part]] | None:
        """Return the columns and parts of a pod's rows as `read_file` does; None if its file has to be read.

        Args:
            folder: of the pod's file.
            name: of the pod's file.
        """
        for places in self._places:
            place = places.get((folder.name, name))
            if place is not None:
                return self._rows(place, f"{folder}/{name}")
        return None

    def _rows(self, place: _Place, path: str) -> tuple[Mapping[Signal, Column], list[Part]] | None:
        try:
            now = os.stat(path)  # noqa: PTH116 - half of the time with a Path
            if now.st_size != place.size_b or now.st_mtime_ns > place.written_ns:
                return None
            parts = list(self._parts(place))
            return (_columns(place.path, place.written_ns), parts) if parts else ({}, [])
        except (pa.ArrowException, OSError, ValueError):  # the pod's file has the same rows
            return None

    def _parts(self, place: _Place) -> Iterator[Part]:
        start = place.start
        for rows, first_s, last_s, *labels in place.devices:
            if last_s >= self._window.start_s and first_s < self._window.end_s:
                at = slice(start, start + rows)
                if last_s - first_s == (rows - 1) * place.step_s:
                    times: Any = range(first_s, last_s + place.step_s, place.step_s)
                else:
                    times = whole(_table(place.path, place.written_ns)["t_s"], np.dtype(np.int64))[at]
                yield Part(at, times, *labels)
            start += rows


@lru_cache(maxsize=2)
def _places(folder: Path, _changed_ns: int) -> Mapping[tuple[str, str], _Place]:
    """The pods of a day, by the folder and the name of their file. Kept, because each shard needs them."""
    found: dict[tuple[str, str], _Place] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            written_ns, start = path.stat().st_mtime_ns, 0
            with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
                index = json.loads(file.metadata.metadata[INDEX])
            for space, name, size_b, step_s, devices in index:
                found[space, name] = _Place(path, written_ns, size_b, step_s, start, devices)
                start += sum(rows for rows, *_ in devices)
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):  # the pods' files have the same rows
            continue
    return found


@lru_cache(maxsize=2)
def _columns(path: Path, written_ns: int) -> Mapping[Signal, Column]:
    """The signals of a file. Kept, because the pods of a shard follow each other."""
    table = _table(path, written_ns)
    return {SIGNALS_BY_COLUMN[name]: column_of(table[name]) for name in table.column_names if name in SIGNALS_BY_COLUMN}


@lru_cache(maxsize=2)
def _table(path: Path, _written_ns: int) -> pa.Table:
    with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
        return file.read(use_threads=False)
