"""Checkpoints of usage between runs: one row a workload and UTC day in SQLite. A cache: deleting it costs time only."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hours (
    source TEXT NOT NULL, workload TEXT NOT NULL, day INTEGER NOT NULL, checkpoint BLOB NOT NULL,
    PRIMARY KEY (source, workload, day)
) WITHOUT ROWID
"""

# Longer than any look-back in use: AWS Compute Optimizer's longest is 93 days.
_KEPT_DAYS = 100
_WAIT_S = 10.0


class SqliteCheckpoints:
    """The `Checkpoints` port over one file; safe to open from several processes.

    Args:
        path: the file; made, with its folder, if it is not there.
        source: what the hours were read from and counted with; those of another source are not seen.

    Raises:
        InputError: the file cannot be opened, or is something else.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source
        with self._speaking():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=_WAIT_S)
        with self._speaking():
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def load(
        self, workloads: Iterable[WorkloadRef], *, first_day: int, end_day: int
    ) -> Mapping[WorkloadRef, Sequence[bytes]]:
        """See the port."""
        found: dict[WorkloadRef, list[bytes]] = defaultdict(list)
        with self._speaking():
            for ref in workloads:
                rows = self._file.execute(
                    "SELECT checkpoint FROM hours"
                    " WHERE source = ? AND workload = ? AND day BETWEEN ? AND ? ORDER BY day",
                    (self._source, _key(ref), first_day, end_day - 1),
                )
                found[ref].extend(checkpoint for (checkpoint,) in rows)
        return found

    def save(self, workload: WorkloadRef, days: Mapping[int, bytes]) -> None:
        """See the port."""
        rows = [(self._source, _key(workload), day, checkpoint) for day, checkpoint in days.items()]
        if not rows:
            return
        with self._speaking(), self._file:
            self._file.executemany("INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?)", rows)
            self._file.execute(
                "DELETE FROM hours WHERE source = ? AND workload = ? AND day < ?",
                (self._source, _key(workload), max(days) - _KEPT_DAYS),
            )

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Translate what goes wrong with the file."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{self._path} cannot keep hours: {error}",
                mend="delete it (it is a cache), or set observe.incremental to false",
            ) from error


def _key(ref: WorkloadRef) -> str:
    """A workload made anew under the same name has another uid, and another life."""
    return f"{ref}/{ref.uid}"
