"""One suite for both databases of the ledger."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.postgresql_server import PASSWORD, postgresql_server

from gpuwise.memory.ledger import SqliteLedger, SqlLedger
from gpuwise.memory.ledger_database import Database, postgresql, sqlite

__all__ = ["postgresql_server"]

closing_ledger = closing
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Place:
    """Where one ledger is; every process can open it.

    Attributes:
        path: of the SQLite file, None on PostgreSQL.
        url: of the PostgreSQL schema, None on SQLite.
        admin: connection string of the superuser.
    """

    path: Path | None = None
    url: str | None = None
    admin: str = ""

    @property
    def database(self) -> Database:
        if self.path is not None:
            return sqlite(self.path)
        assert self.url is not None
        return postgresql(self.url, PASSWORD)

    def open(self) -> SqlLedger:
        return SqliteLedger(self.path) if self.path is not None else SqlLedger(self.database)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read as something else than gpuwise does."""
        if self.path is not None:
            with closing(sqlite3.connect(self.path)) as db:
                return db.execute(query).fetchall()
        with psycopg.connect(self.admin, options=self._options, autocommit=True) as db:
            return db.execute(query).fetchall()

    def change(self, *statements: str) -> None:
        """Change rows as somebody does who may remove the triggers."""
        if self.path is not None:
            with closing(sqlite3.connect(self.path)) as db:
                db.executescript(";".join(("DROP TRIGGER no_update", "DROP TRIGGER no_delete", *statements)))
            return
        with psycopg.connect(self.admin, options=self._options, autocommit=True) as db:
            for statement in ("ALTER TABLE events DISABLE TRIGGER USER", *statements):
                db.execute(statement)

    @property
    def _options(self) -> str:
        assert self.url is not None
        return "-csearch_path=" + self.url.rpartition("%3D")[2]


@pytest.fixture(scope="session", params=DATABASES)
def new_place(request, tmp_path_factory) -> Callable[[], Place]:
    """Return a new empty place each time."""
    if request.param == "sqlite":
        return lambda: Place(tmp_path_factory.mktemp("ledger") / "ledger.db")
    server = request.getfixturevalue("postgresql_server")
    return lambda: Place(url=server.new_schema(), admin=server.admin)


@pytest.fixture
def place(new_place) -> Place:
    return new_place()


@pytest.fixture
def ledger(place) -> Iterator[SqlLedger]:
    with place.open() as opened:
        yield opened
