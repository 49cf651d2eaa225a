"""The ledger: one append-only table in which each row is chained to the previous one by its hash (I25).

Everything that gpuwise records is an event: a run and the alerts that asked for it, a term of a leader, an intent with
its evidence, an outcome, a person's directive, the delivery of a report. Views are computed by reading; no row is
changed. Triggers reject updates and deletes, and the hash chain reveals changes that bypass the triggers. For a run,
the chain contains only a digest of the findings. The findings themselves are in a second table and are replaced by the
next run, because keeping every hour's findings would fill the disk. A third table lists the intents whose outcome is
not known: triggers keep it, and it is compared with the events when a ledger is verified as a whole.

The database is SQLite for one machine, or PostgreSQL for several: ledger_database.py.
"""

import copy
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Select, select

from gpuwise.memory import ledger_chain as chain
from gpuwise.memory import ledger_queries as queries
from gpuwise.memory.cost_history import SqlCostHistory
from gpuwise.memory.ledger_database import KEEP_HINT, Database, sqlite
from gpuwise.memory.ledger_tables import identity, listed
from gpuwise.model.codec import from_json, to_json
from gpuwise.model.command import Directive, Intent, LedgerHead, Limit, Outcome, Term, Trigger
from gpuwise.model.delivery import Delivery, may_begin
from gpuwise.model.errors import LedgerError, Superseded
from gpuwise.model.inventory import SeenNode
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation

T = TypeVar("T")
R = TypeVar("R", Intent, Directive, Trigger, Term, Delivery)


@dataclass(frozen=True, slots=True)
class _Findings:
    recommendations: tuple[Recommendation, ...]
    blocked: AllBlocked
    alternatives: tuple[Recommendation, ...] = ()
    cluster: str = ""
    nodes: tuple[SeenNode, ...] = ()
    prices: str = ""


class SqlLedger:
    """The `Ledger` port on a database, which several processes may open.

    Args:
        database: where the tables are; they are created if they do not exist.

    Raises:
        LedgerError: the database is not a ledger, is corrupt, or its hash chain is broken.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cluster = ""
        self._epoch: Callable[[], int] | None = None
        try:
            database.open()
            self.verify()
        except LedgerError:
            database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    @property
    def place(self) -> str:
        """Path or URL, for messages."""
        return self._database.place

    def belongs_to(self, cluster: str) -> None:
        """See the port."""
        self._cluster = cluster

    def costs(self) -> SqlCostHistory:
        """See the port."""
        return SqlCostHistory(self._database, self._cluster)

    def of_every_cluster(self) -> "SqlLedger":
        """See the port."""
        whole = copy.copy(self)
        whole.belongs_to("")
        return whole

    def led_by(self, epoch: Callable[[], int]) -> None:
        """Ask for the term of this process before each intent; without this, an intent is of the latest term.

        Args:
            epoch: returns the term, or raises NotLeader.
        """
        self._epoch = epoch

    def verify(self, *, whole: bool = False) -> None:
        """Recompute the hash chain and compare it with the rows.

        Args:
            whole: verify every row; without it, of a ledger with more than 20,000 rows, those since the last time and
                the next 20,000 earlier ones.

        Raises:
            LedgerError: a row was changed, removed or inserted by something else than gpuwise.
        """
        with self._database.of_one_instant() as db:
            wrong, found = chain.checked(db, whole=whole)
            known = chain.remembered(db) == found
            run = db.execute(queries.LATEST_RUN).first()
            looked = wrong is None and (whole or found.upto <= chain.SLICE)  # a changed row may be no JSON
            hidden = db.execute(queries.HIDDEN).first() if looked else None
        if wrong is not None:
            raise LedgerError(f"ledger {self.place} was tampered with at row {wrong}", hint=KEEP_HINT)
        if not known:
            # A role that may only read verifies as well, each time from the same row on.
            with suppress(LedgerError), self._database.writing() as db:
                chain.remember(db, found)
        if run is not None and (run.found is None or _digest(run.found) != run.digest):
            problem = f"ledger {self.place} was tampered with at the findings of row {run.seq}"
            raise LedgerError(problem, hint=KEEP_HINT)
        if hidden is not None:
            raise LedgerError(f"ledger {self.place} was tampered with: it hides open intents", hint=KEEP_HINT)

    def head(self) -> LedgerHead:
        """See the port."""
        with self._database.of_one_instant() as db:
            return LedgerHead(str(db.execute(select(identity.c.id)).scalar_one()), *chain.head(db))

    def check(self) -> None:
        """See the port: there is no copy of the head, but a file may have been replaced under this process."""
        self._database.check()

    def digest_at(self, seq: int) -> str | None:
        """Return the hash of a row, None if it does not exist; row 0 is before the first."""
        with self._database.reading() as db:
            return chain.digest_at(db, seq)

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
        with self._appending() as db:
            run = _append(db, now_s, "run", str(now_s), _digest(body))
            db.execute(queries.earlier_findings(of_one_cluster=bool(self._cluster)), self._own)
            db.execute(queries.KEEP_FINDINGS, {"run": run, "body": body})

    def record_intent(self, intent: Intent, *, limits: Sequence[Limit]) -> Limit | None:
        """See the port."""
        with self._appending() as db:
            epoch = intent.epoch or self._current_epoch(db)
            self._reject_earlier(db, epoch)
            for limit in limits:
                window = {"after_s": intent.at_s - limit.per_s, "scope": limit.scope, **self._own}
                spent = db.execute(queries.spent(of_one_cluster=bool(self._cluster)), window).scalar_one()
                if spent >= limit.disruptions:
                    return limit
            own = replace(intent, cluster=intent.cluster or self._cluster, epoch=epoch)
            _append(db, intent.at_s, "intent", intent.command.id, to_json(own))
            return None

    def begin_term(self, term: Term) -> None:
        """See the port."""
        with self._appending() as db:
            self._reject_earlier(db, term.epoch - 1)
            own = replace(term, cluster=term.cluster or self._cluster)
            _append(db, term.at_s, "term", term.holder, to_json(own))

    def term(self) -> Term | None:
        """See the port."""
        with self._database.reading() as db:
            return self._term(db)

    def _term(self, db: Connection) -> Term | None:
        terms = self._of_cluster(self._parsed(Term, *row) for row in db.execute(queries.TERMS))
        return terms[-1] if terms else None

    def _current_epoch(self, db: Connection) -> int:
        """The term of this process; that of the leader for a person's command, 0 if there was no election."""
        if self._epoch is not None:
            return self._epoch()
        latest = self._term(db)
        return 0 if latest is None else latest.epoch

    def _reject_earlier(self, db: Connection, epoch: int) -> None:
        latest = self._term(db)
        if latest is not None and latest.epoch > epoch:
            problem = (
                f"ledger {self.place} has term {latest.epoch} of {latest.holder}, and this process is of term {epoch}"
            )
            raise Superseded(f"{problem}: nothing was written", hint="only the leader acts: run one instance, or wait")

    def record_outcome(self, outcome: Outcome) -> None:
        """See the port."""
        with self._appending() as db:
            _append(db, outcome.at_s, "outcome", outcome.command_id, to_json(outcome))

    def record_directive(self, directive: Directive) -> None:
        """See the port."""
        with self._appending() as db:
            own = replace(directive, cluster=directive.cluster or self._cluster)
            _append(db, directive.at_s, "directive", directive.subject, to_json(own))

    def record_trigger(self, trigger: Trigger) -> None:
        """See the port."""
        with self._appending() as db:
            own = replace(trigger, cluster=trigger.cluster or self._cluster)
            _append(db, trigger.at_s, "trigger", str(trigger.at_s), to_json(own))

    def begin_delivery(self, delivery: Delivery, *, again: bool) -> Delivery | None:
        """See the port."""
        with self._appending() as db:
            rows = db.execute(queries.DELIVERIES_OF, {"subject": delivery.key})
            earlier = self._of_cluster(self._parsed(Delivery, *row) for row in rows)
            latest = earlier[-1] if earlier else None
            if not may_begin(latest, again=again):
                return latest
            self._append_delivery(db, delivery)
            return None

    def record_delivery(self, delivery: Delivery) -> None:
        """See the port."""
        with self._appending() as db:
            self._append_delivery(db, delivery)

    def _append_delivery(self, db: Connection, delivery: Delivery) -> None:
        own = replace(delivery, cluster=delivery.cluster or self._cluster)
        _append(db, delivery.at_s, "delivery", delivery.key, to_json(own))

    def deliveries(self) -> list[Delivery]:
        """See the port."""
        return self._of_cluster(self._read(Delivery, queries.DELIVERIES))

    def intent(self, command_id: str) -> Intent | None:
        """See the port."""
        found = self._read(Intent, queries.INTENT, subject=command_id)
        return found[0] if found else None

    def intents(self, *, since_s: int = 0) -> list[Intent]:
        """See the port."""
        return self._of_cluster(self._read(Intent, queries.INTENTS, since_s=since_s))

    def outcomes(self, *, since_s: int = 0) -> list[Outcome]:
        """See the port."""
        return self._read(Outcome, queries.OUTCOMES, since_s=since_s)

    def attempts(
        self, *, since_s: int, uids: Collection[str] = (), ids: Collection[str] = ()
    ) -> tuple[list[Intent], list[Outcome]]:
        """See the port."""
        asked = {"since_s": since_s, "uids": listed(uids), "ids": listed(ids)}
        intents = self._of_cluster(self._read(Intent, queries.ATTEMPTED, **asked))
        names = listed([one.command.id for one in intents])
        return intents, self._read(Outcome, queries.OUTCOMES_OF_MANY, subjects=names)

    def unsettled(self) -> list[Intent]:
        """See the port."""
        return self._of_cluster(self._read(Intent, queries.UNSETTLED))

    def outcome(self, command_id: str) -> Outcome | None:
        """See the port."""
        found = self._read(Outcome, queries.OUTCOMES_OF, subject=command_id)
        return found[-1] if found else None

    def directives(self) -> list[Directive]:
        """See the port."""
        return self._of_cluster(self._read(Directive, queries.DIRECTIVES))

    def triggers(self) -> list[Trigger]:
        """See the port."""
        return self._of_cluster(self._read(Trigger, queries.TRIGGERS))

    def _of_cluster(self, rows: Iterable[R]) -> list[R]:
        return [row for row in rows if not self._cluster or row.cluster in ("", self._cluster)]

    def nodes(self) -> list[SeenNode]:
        """See the port."""
        return list(self._findings().nodes)

    def found_s(self) -> int | None:
        """See the port."""
        with self._database.reading() as db:
            found = db.execute(queries.findings_of(of_one_cluster=bool(self._cluster)), self._own).first()
        return None if found is None else int(found.at_s)

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
        with self._database.reading() as db:
            rows = db.execute(queries.findings_of(of_one_cluster=bool(self._cluster)), self._own).all()
        for row in rows[:1] if self._cluster else rows:
            yield self._parsed(_Findings, row.run, row.body)

    @property
    def _own(self) -> dict[str, str]:
        """The parameter of a question about one cluster."""
        return {"cluster": self._cluster} if self._cluster else {}

    def _read(self, kind: type[T], question: Select[Any], **asked: object) -> list[T]:
        with self._database.reading() as db:
            rows = db.execute(question, asked).all()
        return [self._parsed(kind, *row) for row in rows]

    def _parsed(self, kind: type[T], number: int, body: str) -> T:
        try:
            return from_json(kind, body)
        except ValidationError as error:
            expected = kind.__name__.strip("_").lower()
            problem = f"ledger {self.place}: this version cannot read row {number} as {expected}"
            raise LedgerError(problem, hint=KEEP_HINT) from error

    @contextmanager
    def _appending(self) -> Iterator[Connection]:
        self.check()
        with self._database.writing() as db:
            yield db


class SqliteLedger(SqlLedger):
    """A ledger in one SQLite file.

    Args:
        path: the file; it is created with its folder if it does not exist.

    Raises:
        LedgerError: as `SqlLedger`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite(path))
        self.path = path


def _append(db: Connection, at_s: int, kind: str, subject: str, body: str) -> int:
    """Add a row to the chain and return its number; the transaction is one that no other writer shares."""
    seq, last = chain.head(db)
    digest = chain.link(last, at_s, kind, subject, body)
    row = {"seq": seq + 1, "at_s": at_s, "kind": kind, "subject": subject, "body": body, "hash": digest}
    db.execute(queries.APPEND, row)
    return seq + 1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
