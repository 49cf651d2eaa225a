"""Checkpoints of usage between runs, in one SQLite file. The file is a cache: deleting it costs only time."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.usage import DAY_S

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hours (
    source TEXT NOT NULL, workload TEXT NOT NULL, name TEXT NOT NULL, checkpoint BLOB NOT NULL,
    PRIMARY KEY (source, workload, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (
    source TEXT NOT NULL, workload TEXT NOT NULL, at_s INTEGER NOT NULL, PRIMARY KEY (source, workload)
) WITHOUT ROWID;
"""
# A workload that one pass does not list may be unreadable in that pass, or be of another cluster with this file.
_GONE_S = 100 * DAY_S

_WAIT_S = 10.0


class SqliteCheckpoints:
    """The `Checkpoints` port on one SQLite file, which several processes may open.

    Args:
        path: the file; it is created with its folder if it does not exist.
        source: identifies where the hours were read and how they were counted; hours of another source are ignored.

    Raises:
        InputError: the file cannot be opened, or is not a SQLite database.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The service opens the file on one thread and runs the loop on another; only the loop uses the file.
            self._file = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
        with self._translated():
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")  # a power failure loses at most the last run's hours
            self._file.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def load(self, workloads: Iterable[WorkloadRef]) -> Mapping[WorkloadRef, Sequence[bytes]]:
        """See the port."""
        found: dict[WorkloadRef, list[bytes]] = defaultdict(list)
        with self._translated():
            for ref in workloads:
                rows = self._file.execute(
                    "SELECT checkpoint FROM hours WHERE source = ? AND workload = ? ORDER BY name",
                    (self._source, _key(ref)),
                )
                found[ref].extend(checkpoint for (checkpoint,) in rows)
        return found

    def save(self, kept: Mapping[WorkloadRef, Mapping[str, bytes]]) -> None:
        """See the port."""
        rows = [(self._source, _key(ref), name, one) for ref, named in kept.items() for name, one in named.items()]
        with self._translated(), self._file:
            self._file.executemany("INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?)", rows)

    def collect(self, workloads: Iterable[WorkloadRef], *, now_s: int) -> None:
        """See the port. The file keeps its size, and uses the free pages again."""
        with self._translated(), self._file:
            present = [(self._source, _key(ref), now_s) for ref in workloads]
            self._file.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", present)
            # Those of before this table existed, and of other clusters that have not run since.
            self._file.execute(
                "INSERT OR IGNORE INTO listed SELECT DISTINCT source, workload, ? FROM hours WHERE source = ?",
                (now_s, self._source),
            )
            gone = [
                *self._file.execute(
                    "SELECT source, workload FROM listed WHERE source = ? AND at_s < ?", (self._source, now_s - _GONE_S)
                )
            ]
            for table in ("hours", "listed"):
                self._file.executemany(f"DELETE FROM {table} WHERE source = ? AND workload = ?", gone)  # noqa: S608 - a constant

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of the file into InputError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"cannot use the checkpoint file {self._path}: {error}",
                hint="delete it (it is a cache), or set observe.incremental to false",
            ) from error


def _key(ref: WorkloadRef) -> str:
    """Include the uid: a workload that was recreated under the same name is a different one."""
    return f"{ref}/{ref.uid}"
