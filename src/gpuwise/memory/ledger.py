"""The ledger: one append-only SQLite table in which each row is chained to the previous one by its hash (I25).

Everything that gpuwise records is an event: a run and the alerts that asked for it, an intent with its evidence, an
outcome, a person's directive. Views are computed by reading; no row is changed. SQLite triggers reject updates and
deletes, and the hash chain reveals changes that bypass the triggers. For a run, the chain contains only a digest of
the findings. The findings themselves are in a second table and are replaced by the next run, because keeping every
hour's findings would fill the disk. A third table lists the intents whose outcome is not known: triggers keep it, and
it is compared with the events when a ledger is verified as a whole.
"""

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import ValidationError

from gpuwise.memory import ledger_chain as chain
from gpuwise.model.codec import from_json, to_json
from gpuwise.model.command import Directive, Intent, LedgerHead, Limit, Outcome, OutcomeStatus, Term, Trigger
from gpuwise.model.errors import LedgerError, Superseded
from gpuwise.model.inventory import SeenNode
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation

T = TypeVar("T")
R = TypeVar("R", Intent, Directive, Trigger, Term)

_SCHEMA = f"""{chain.SCHEMA}
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS findings (run INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL);
INSERT INTO identity SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM identity);
CREATE UNIQUE INDEX IF NOT EXISTS one_intent ON events (subject) WHERE kind = 'intent';
CREATE INDEX IF NOT EXISTS by_kind ON events (kind, at_s);
CREATE INDEX IF NOT EXISTS by_subject ON events (subject, kind);
CREATE INDEX IF NOT EXISTS by_target ON events (json_extract(body, '$.command.workload.uid')) WHERE kind = 'intent';
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""  # noqa: S608 - constants
# Intents of the window in one scope, except those whose last outcome is that nothing was written.
_SPENT = """
SELECT count(*) FROM events AS intent WHERE kind = 'intent' AND at_s > ?
AND (? = '' OR coalesce(json_extract(intent.body, '$.cluster'), '') IN ('', ?))
AND (json_extract(intent.body, '$.scopes') IS NULL
    OR EXISTS (SELECT 1 FROM json_each(intent.body, '$.scopes') AS scope WHERE scope.value = ?))
AND coalesce((
    SELECT json_extract(body, '$.status') FROM events AS outcome
    WHERE outcome.kind = 'outcome' AND outcome.subject = intent.subject ORDER BY seq DESC LIMIT 1
), '') != ?
"""
# Rows of this cluster, and of no known one; every row if the ledger is open for no cluster.
_OWN = "(? = '' OR coalesce(json_extract(body, '$.cluster'), '') IN ('', ?))"
_FORGET = f"DELETE FROM findings WHERE {_OWN}"  # noqa: S608 - a constant
# Intents that are not settled: without an outcome, or whose last outcome is unknown or being watched. A table keeps
# them, so that no loop looks for them.
_OPEN = "('unknown', 'watching')"
_UNSETTLED = f"""
SELECT subject FROM events AS intent WHERE kind = 'intent' AND coalesce((
    SELECT json_extract(body, '$.status') FROM events AS outcome
    WHERE outcome.kind = 'outcome' AND outcome.subject = intent.subject ORDER BY seq DESC LIMIT 1
), 'unknown') IN {_OPEN}
"""  # noqa: S608 - constants
_HIDDEN = f"{_UNSETTLED} EXCEPT SELECT subject FROM open_intents"  # noqa: S608 - a constant
# Ledgers of earlier versions have the table `unsettled`, without the intents that are being watched.
_KEEP_UNSETTLED = f"""
BEGIN IMMEDIATE;
DROP TRIGGER IF EXISTS intent_is_unsettled;
DROP TRIGGER IF EXISTS outcome_settles;
DROP TABLE IF EXISTS unsettled;
CREATE TABLE open_intents (subject TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO open_intents {_UNSETTLED};
CREATE TRIGGER intent_opens AFTER INSERT ON events WHEN NEW.kind = 'intent'
BEGIN INSERT OR IGNORE INTO open_intents VALUES (NEW.subject); END;
CREATE TRIGGER outcome_closes AFTER INSERT ON events WHEN NEW.kind = 'outcome'
BEGIN
    DELETE FROM open_intents WHERE subject = NEW.subject AND json_extract(NEW.body, '$.status') NOT IN {_OPEN};
    INSERT OR IGNORE INTO open_intents SELECT NEW.subject WHERE json_extract(NEW.body, '$.status') IN {_OPEN};
END;
COMMIT;
"""  # noqa: S608 - constants
# The intents since an instant, and all on some targets.
_ATTEMPTS = """kind = 'intent' AND (
    at_s >= ? OR json_extract(body, '$.command.workload.uid') IN (SELECT value FROM json_each(?))
    OR subject IN (SELECT value FROM json_each(?))
)"""
_HINT = "nothing was changed: keep this file under another name, or use another ledger with --ledger"


@dataclass(frozen=True, slots=True)
class _Findings:
    recommendations: tuple[Recommendation, ...]
    blocked: AllBlocked
    alternatives: tuple[Recommendation, ...] = ()
    cluster: str = ""
    nodes: tuple[SeenNode, ...] = ()
    prices: str = ""


class SqliteLedger:
    """The `Ledger` port on one SQLite file, which several processes may open.

    Args:
        path: the file; it is created with its folder if it does not exist.

    Raises:
        LedgerError: the file is not a ledger, is corrupt, or its hash chain is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cluster = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"cannot open ledger {path}: {error}", hint="check the path and its permissions"
            ) from error
        try:
            with self._guarded():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(_SCHEMA)
                self._keep_unsettled()
            self._opened = _file(self.path)
            self.verify()
        except LedgerError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def belongs_to(self, cluster: str) -> None:
        """See the port."""
        self._cluster = cluster

    def verify(self, *, whole: bool = False) -> None:
        """Recompute the hash chain and compare it with the file.

        Args:
            whole: verify every row; without it, of a ledger with more than 20,000 rows, those since the last time and
                the next 20,000 earlier ones.

        Raises:
            LedgerError: a row was changed, removed or inserted by something else than gpuwise.
        """
        with self._guarded():
            wrong = chain.verified(self._db, whole=whole)
            short = chain.head(self._db)[0] <= chain.SLICE
            latest = "SELECT e.seq, e.body, f.body FROM events e LEFT JOIN findings f ON f.run = e.seq"
            run = self._db.execute(f"{latest} WHERE e.kind = 'run' ORDER BY e.seq DESC LIMIT 1").fetchone()
        if wrong is not None:
            raise LedgerError(f"ledger {self.path} was tampered with at row {wrong}", hint=_HINT)
        if run is not None and (run[2] is None or _digest(run[2]) != run[1]):
            raise LedgerError(f"ledger {self.path} was tampered with at the findings of row {run[0]}", hint=_HINT)
        if whole or short:
            self._verify_unsettled()

    def _verify_unsettled(self) -> None:
        with self._guarded():
            hidden = self._db.execute(_HIDDEN).fetchone()
        if hidden is not None:
            raise LedgerError(f"ledger {self.path} was tampered with: it hides open intents", hint=_HINT)

    def _keep_unsettled(self) -> None:
        """Add the table of unsettled intents to a ledger of an earlier version, or to a new one."""
        found = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'open_intents'").fetchone()
        if found is None:
            try:
                self._db.executescript(_KEEP_UNSETTLED)
            except sqlite3.OperationalError:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                # Another process has just added it.
                if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'open_intents'").fetchone() is None:
                    raise

    def head(self) -> LedgerHead:
        """See the port."""
        with self._guarded():
            (identity,) = self._db.execute("SELECT id FROM identity").fetchone()
            return LedgerHead(identity, *chain.head(self._db))

    def check(self) -> None:
        """See the port: there is no copy of the head, but the file may have been replaced under this process."""
        if _file(self.path) != self._opened:
            problem = f"ledger {self.path} was deleted or replaced while this process had it open"
            raise LedgerError(problem, hint="restore it if it is lost, and run this command again")

    def digest_at(self, seq: int) -> str | None:
        """Return the hash of a row, None if it does not exist; row 0 is before the first."""
        with self._guarded():
            return chain.digest_at(self._db, seq)

    def record_run(
        self,
        now_s: int,
        recommendations: Iterable[Recommendation],
        blocked: Iterable[Blocked],
        alternatives: Iterable[Recommendation] = (),
        nodes: Iterable[SeenNode] = (),
        prices: str = "",
    ) -> None:
        """See the port."""
        found = _Findings(
            tuple(recommendations), tuple(blocked), tuple(alternatives), self._cluster, tuple(nodes), prices
        )
        body = to_json(found)
        with self._transaction():
            run = self._append(now_s, "run", str(now_s), _digest(body))
            self._db.execute(_FORGET, (self._cluster, self._cluster))
            self._db.execute("INSERT INTO findings VALUES (?, ?)", (run, body))

    def record_intent(self, intent: Intent, *, limits: Sequence[Limit]) -> Limit | None:
        """See the port."""
        with self._transaction():
            self._reject_earlier(intent.epoch)
            used_up = next((limit for limit in limits if self._spent(limit, intent.at_s) >= limit.disruptions), None)
            if used_up is None:
                own = replace(intent, cluster=intent.cluster or self._cluster)
                self._append(intent.at_s, "intent", intent.command.id, to_json(own))
            return used_up

    def _spent(self, limit: Limit, now_s: int) -> int:
        values = (now_s - limit.per_s, self._cluster, self._cluster, limit.scope, OutcomeStatus.NOT_APPLIED)
        (spent,) = self._db.execute(_SPENT, values).fetchone()
        return int(spent)

    def begin_term(self, term: Term) -> None:
        """See the port."""
        with self._transaction():
            self._reject_earlier(term.epoch - 1)
            self._append(term.at_s, "term", term.holder, to_json(replace(term, cluster=term.cluster or self._cluster)))

    def term(self) -> Term | None:
        """See the port."""
        terms = self._of_cluster(self._read(Term, "kind = 'term'"))
        return terms[-1] if terms else None

    def _reject_earlier(self, epoch: int) -> None:
        latest = self.term()
        if latest is not None and latest.epoch > epoch:
            problem = f"ledger {self.path} has term {latest.epoch} of {latest.holder}: this process, of an earlier term"
            raise Superseded(f"{problem}, writes nothing", hint="only the leader acts: run one instance, or wait")

    def record_outcome(self, outcome: Outcome) -> None:
        """See the port."""
        with self._transaction():
            self._append(outcome.at_s, "outcome", outcome.command_id, to_json(outcome))

    def record_directive(self, directive: Directive) -> None:
        """See the port."""
        with self._transaction():
            own = replace(directive, cluster=directive.cluster or self._cluster)
            self._append(directive.at_s, "directive", directive.subject, to_json(own))

    def record_trigger(self, trigger: Trigger) -> None:
        """See the port."""
        with self._transaction():
            own = replace(trigger, cluster=trigger.cluster or self._cluster)
            self._append(trigger.at_s, "trigger", str(trigger.at_s), to_json(own))

    def intent(self, command_id: str) -> Intent | None:
        """See the port."""
        found = list(self._read(Intent, "kind = 'intent' AND subject = ?", command_id))
        return found[0] if found else None

    def intents(self, *, since_s: int = 0) -> list[Intent]:
        """See the port."""
        return self._of_cluster(self._read(Intent, "kind = 'intent' AND at_s >= ?", since_s))

    def outcomes(self, *, since_s: int = 0) -> list[Outcome]:
        """See the port."""
        return list(self._read(Outcome, "kind = 'outcome' AND at_s >= ?", since_s))

    def attempts(
        self, *, since_s: int, uids: Collection[str] = (), ids: Collection[str] = ()
    ) -> tuple[list[Intent], list[Outcome]]:
        """See the port."""
        chosen = (since_s, json.dumps(sorted(uids)), json.dumps(sorted(ids)))
        intents = self._of_cluster(self._read(Intent, _ATTEMPTS, *chosen))
        ours = "SELECT value FROM json_each(?)"
        names = json.dumps([one.command.id for one in intents])
        return intents, list(self._read(Outcome, f"kind = 'outcome' AND subject IN ({ours})", names))

    def unsettled(self) -> list[Intent]:
        """See the port."""
        open_now = "kind = 'intent' AND subject IN (SELECT subject FROM open_intents)"
        return self._of_cluster(self._read(Intent, open_now))

    def outcome(self, command_id: str) -> Outcome | None:
        """See the port."""
        found = list(self._read(Outcome, "kind = 'outcome' AND subject = ?", command_id))
        return found[-1] if found else None

    def directives(self) -> list[Directive]:
        """See the port."""
        return self._of_cluster(self._read(Directive, "kind = 'directive'"))

    def triggers(self) -> list[Trigger]:
        """See the port."""
        return self._of_cluster(self._read(Trigger, "kind = 'trigger'"))

    def _of_cluster(self, rows: Iterable[R]) -> list[R]:
        return [row for row in rows if not self._cluster or row.cluster in ("", self._cluster)]

    def nodes(self) -> list[SeenNode]:
        """See the port."""
        return list(self._findings().nodes)

    def prices(self) -> str:
        """See the port."""
        return self._findings().prices

    def recommendations(self) -> list[Recommendation]:
        """See the port."""
        return [one for found in self._of_clusters() for one in found.recommendations]

    def alternatives(self) -> list[Recommendation]:
        """See the port."""
        return [one for found in self._of_clusters() for one in found.alternatives]

    def blocked(self) -> list[Blocked]:
        """See the port."""
        return list(self._findings().blocked)

    def _findings(self) -> _Findings:
        """The findings of the latest run."""
        return next(iter(self._of_clusters()), _Findings((), ()))

    def _of_clusters(self) -> Iterator[_Findings]:
        """The findings of the latest run of this cluster; if it is not known, of each cluster, the newest first."""
        with self._guarded():
            query = f"SELECT run, body FROM findings WHERE {_OWN} ORDER BY run DESC"  # noqa: S608 - a constant
            rows = self._db.execute(query, (self._cluster, self._cluster)).fetchall()
        for row in rows[:1] if self._cluster else rows:
            yield self._parsed(_Findings, *row)

    def _read(self, kind: type[T], where: str, *values: str | int) -> Iterator[T]:
        with self._guarded():
            rows = self._db.execute(f"SELECT seq, body FROM events WHERE {where} ORDER BY seq", values).fetchall()  # noqa: S608 - `where` is one of the constants above
        for seq, body in rows:
            yield self._parsed(kind, seq, body)

    def _parsed(self, kind: type[T], seq: int, body: str) -> T:
        try:
            return from_json(kind, body)
        except ValidationError as error:
            expected = kind.__name__.strip("_").lower()
            problem = f"ledger {self.path}: this version cannot read row {seq} as {expected}"
            raise LedgerError(problem, hint=_HINT) from error

    def _append(self, at_s: int, kind: str, subject: str, body: str) -> int:
        """Add a row to the chain and return its number."""
        seq, last = chain.head(self._db)
        digest = chain.link(last, at_s, kind, subject, body)
        values = (seq + 1, at_s, kind, subject, body, digest)
        self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
        return int(seq + 1)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.check()
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise LedgerError(
                f"ledger {self.path} rejected a row: {error}", hint="this command was already recorded"
            ) from error
        except sqlite3.OperationalError as error:
            raise LedgerError(
                f"ledger {self.path}: {error}", hint="another process may have locked it; try again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"ledger {self.path} is corrupt: {error}", hint=_HINT) from error


def _file(path: Path) -> tuple[int, int] | None:
    """Identify the file at a path, None if there is none: SQLite keeps using a file that was deleted or replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
