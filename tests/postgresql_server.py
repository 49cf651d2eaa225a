"""A real PostgreSQL for tests: Debian's package, on a random port with its own directory, a schema for each ledger.

A conftest imports the fixture with `from tests.postgresql_server import postgresql_server`.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.prometheus_server import free_port

PASSWORD = "tests-only"
_TOOLS = ("initdb", "pg_ctl", "postgres")
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=60"


def tool(name: str) -> str | None:
    """Path of a program of the server: Debian keeps them outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def missing() -> str | None:
    """Why there is no server, None if it can be started."""
    absent = [name for name in _TOOLS if tool(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: apt-get install postgresql"
    if os.geteuid() == 0 and "postgres" not in {one.pw_name for one in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server.

    Attributes:
        port: on loopback.
        folder: with its data and its log.
    """

    port: int
    folder: Path
    _numbers: Iterator[int]

    @property
    def admin(self) -> str:
        """Connection string of its superuser."""
        return f"host=127.0.0.1 port={self.port} user=postgres password={PASSWORD} dbname=postgres"

    def new_schema(self) -> str:
        """URL of an empty schema of its own, without a password."""
        name = f"ledger{next(self._numbers)}"
        with psycopg.connect(self.admin, autocommit=True) as db:
            db.execute(f"CREATE SCHEMA {name}")
        return self.url(name)

    def url(self, schema: str, *, user: str = "postgres") -> str:
        """URL of a schema, without a password."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{schema}"

    def control(self, *arguments: str) -> None:
        """Run pg_ctl."""
        _run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), *arguments)


def _run(name: str, *arguments: str) -> None:
    program = tool(name)
    assert program is not None
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [program, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        check=False,
        **user,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A server for all tests of a process; a reason to skip if it is not installed."""
    if (why := missing()) is not None:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="gpuwise-postgresql-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
    try:
        own = ("-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C")
        _run("initdb", "-D", str(folder / "data"), *own)
        server = PostgresqlServer(free_port(), folder, count(1))
        server.control("-o", f"-p {server.port} -h 127.0.0.1 -k {folder} {_FAST}", "start")
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
