"""The database of a ledger: SQLite for one writer, PostgreSQL for several; its connections, transactions and errors."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from gpuwise.memory import ledger_schema as schema
from gpuwise.model.errors import InputError, LedgerError

KEEP_HINT = "nothing was changed: keep this file under another name, or use another ledger with --ledger"
_MEMORY = Path(":memory:")
# Every writer of a PostgreSQL ledger takes this lock, so that rows are appended one after the other: no role needs the
# rights to lock the table, and a reader never waits. The number is the text "gpuwise" in ASCII.
_LOCK = int.from_bytes(b"gpuwise")
# A writer that was stopped within a transaction keeps the lock until the server ends its session, so that must be soon.
_SESSION = (
    "SET application_name = 'gpuwise'",
    "SET statement_timeout = '60s'",
    "SET lock_timeout = '15s'",
    "SET idle_in_transaction_session_timeout = '5s'",
)
_CONNECT_S = 5


@dataclass(frozen=True, slots=True)
class Database:
    """One database.

    Attributes:
        engine: its connections; each is in autocommit mode, so a transaction begins with a statement of its own.
        place: where it is, for messages; without a password.
        begin: statements that begin a transaction that no other writer shares.
        snapshot: statement that begins a transaction that sees one instant.
        corrupt_hint: what to do about an error that is neither a rejected row nor a lock.
        check: raises LedgerError if it is no longer the database that was opened.
        path: of the file; None for a server.
    """

    engine: Engine
    place: str
    begin: tuple[str, ...]
    snapshot: str
    corrupt_hint: str
    check: Callable[[], None]
    path: Path | None = None

    def open(self) -> None:
        """Connect, and bring the schema up to date."""
        with self.reading() as db:
            current = schema.version(db) == len(schema.MIGRATIONS[self.engine.dialect.name])
        if not current:
            with self.writing() as db:
                schema.upgrade(db, self.place)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection without a transaction."""
        with self._guarded(), self.engine.connect() as db:
            yield db

    @contextmanager
    def of_one_instant(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one instant; it may write to `verified`."""
        with self._transaction((self.snapshot,)) as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that no other writer shares."""
        self.check()
        with self._transaction(self.begin) as db:
            yield db

    @contextmanager
    def _transaction(self, begin: tuple[str, ...]) -> Iterator[Connection]:
        with self.reading() as db:
            try:
                for statement in begin:
                    db.exec_driver_sql(statement)
                yield db
            except BaseException:
                _roll_back(db)
                raise
            db.exec_driver_sql("COMMIT")

    def _hint(self, cause: str) -> str:
        """What to do about an error of operation."""
        if self.path is None:
            return "check the server, ledger.url and ledger.password_file, and try again"
        if "malformed" in cause or "decode" in cause:
            return self.corrupt_hint
        return "another process has locked it; try again" if "locked" in cause else "check its disk and permissions"

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            problem = f"ledger {self.place} rejected a row: {_cause(error)}"
            raise LedgerError(problem, hint="this command was already recorded") from error
        except OperationalError as error:
            raise LedgerError(f"ledger {self.place}: {_cause(error)}", hint=self._hint(_cause(error))) from error
        except SQLAlchemyError as error:
            what = "is corrupt" if self.path else "reported an error"
            raise LedgerError(f"ledger {self.place} {what}: {_cause(error)}", hint=self.corrupt_hint) from error


def sqlite(path: Path) -> Database:
    """The database in a file; it is created with its folder if it does not exist.

    Raises:
        LedgerError: the file cannot be opened.
    """

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)

    try:
        if path != _MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        connect().close()
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"cannot open ledger {path}: {error}", hint="check the path and its permissions") from error
    # A file that is in memory belongs to its connection.
    pool: dict[str, Any] = {"poolclass": StaticPool if path == _MEMORY else QueuePool, "pool_reset_on_return": None}
    engine = create_engine("sqlite://", creator=connect, isolation_level="AUTOCOMMIT", **pool)
    event.listen(engine, "connect", _durable)
    opened = _file(path)

    def check() -> None:
        """SQLite keeps using a file that was deleted or replaced, so what it writes would be lost."""
        if _file(path) != opened:
            problem = f"ledger {path} was deleted or replaced while this process had it open"
            raise LedgerError(problem, hint="restore it if it is lost, and run this command again")

    return Database(engine, str(path), ("BEGIN IMMEDIATE",), "BEGIN", KEEP_HINT, check, path)


def postgresql(url: str, password: str | None) -> Database:
    """The database of a PostgreSQL server.

    Args:
        url: such as postgresql+psycopg://gpuwise@db.example:5432/gpuwise?sslmode=verify-full, without a password.
        password: the password; None uses what libpq finds, such as ~/.pgpass.

    Raises:
        InputError: the URL is not valid.
    """
    parsed = _parsed(url)
    shown = parsed.render_as_string(hide_password=True)
    given = parsed.set(drivername="postgresql+psycopg", password=password)
    engine = create_engine(
        given,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        pool_size=1,
        pool_reset_on_return=None,
        connect_args={"connect_timeout": _CONNECT_S, "tcp_user_timeout": 10_000},
    )
    event.listen(engine, "connect", _limited)
    begin = ("BEGIN ISOLATION LEVEL READ COMMITTED", f"SELECT pg_advisory_xact_lock({_LOCK})")
    hint = "check the role and its rights: docs/ledger.md"
    return Database(engine, shown, begin, "BEGIN ISOLATION LEVEL REPEATABLE READ", hint, lambda: None)


def _parsed(url: str) -> URL:
    example = "write postgresql+psycopg://USER@HOST:5432/DATABASE, and its password in the file ledger.password_file"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError("ledger.url is not a URL of PostgreSQL", hint=example) from error
    if parsed.drivername not in ("postgresql", "postgresql+psycopg", "postgres"):
        raise InputError(f"ledger.url is for {parsed.drivername}, which gpuwise does not use", hint=example)
    if parsed.password is not None or any("password" in key for key in parsed.query):  # also sslpassword
        raise InputError("ledger.url contains a password, which `gpuwise config print` would show", hint=example)
    return parsed


def _durable(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _limited(connection: Any, _record: object) -> None:
    for statement in _SESSION:
        connection.execute(statement)


def _roll_back(db: Connection) -> None:
    if db.invalidated:  # the connection was lost, and with it the transaction
        return
    try:
        db.exec_driver_sql("ROLLBACK")
    except DBAPIError:  # the transaction has ended already; a connection in doubt is not used again
        db.invalidate()


def _cause(error: SQLAlchemyError) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(original).split())


def _file(path: Path) -> tuple[int, int] | None:
    """Identify the file at a path, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
