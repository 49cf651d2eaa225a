"""The ledger's questions, as SQL that both databases understand.

Each is made once, with parameters: to build a statement takes SQLAlchemy longer than SQLite takes to answer it.
"""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, String, delete, func, insert, select, union
from sqlalchemy import bindparam as parameter

from gpuwise.memory.ledger_tables import (
    events,
    findings,
    in_scope,
    mostly,
    of_cluster,
    of_kind,
    one_of,
    open_intents,
    value,
)
from gpuwise.model.command import OutcomeStatus

_OPEN = (OutcomeStatus.UNKNOWN, OutcomeStatus.WATCHING)
_SINCE: ColumnElement[bool] = events.c.at_s >= parameter("since_s")
_SUBJECT: ColumnElement[bool] = events.c.subject == parameter("subject")


@cache
def spent(*, of_one_cluster: bool) -> Select[Any]:
    """The number of intents in a budget's window, except those whose last outcome is that nothing was written.

    Its parameters are `after_s`, the start of the window, and `scope`.

    Args:
        of_one_cluster: whether only those of `cluster`, a further parameter, and of no known cluster count.
    """
    intent = events.alias("intent")
    in_window = intent.c.at_s > parameter("after_s")
    written = func.coalesce(_last_status(intent), "") != OutcomeStatus.NOT_APPLIED.value
    ours = [of_cluster(intent.c.body)] if of_one_cluster else []
    conditions = (in_window, *ours, in_scope(intent.c.body), written)
    return select(func.count()).select_from(intent).where(of_kind("intent", intent), *conditions)


@cache
def findings_of(*, of_one_cluster: bool) -> Select[Any]:
    """The findings of the latest run of `cluster`, its parameter, or of each cluster, and its time; newest first."""
    ours = [of_cluster(findings.c.body)] if of_one_cluster else []
    joined = findings.join(events, findings.c.run == events.c.seq)
    columns = (findings.c.run, findings.c.body, events.c.at_s)
    return select(*columns).select_from(joined).where(*ours).order_by(findings.c.run.desc())


@cache
def earlier_findings(*, of_one_cluster: bool) -> Any:
    """Delete the findings of earlier runs, with the parameter of `findings_of`."""
    return delete(findings).where(*([of_cluster(findings.c.body)] if of_one_cluster else []))


def _rows(kind: str, *where: ColumnElement[bool]) -> Select[Any]:
    return select(events.c.seq, events.c.body).where(of_kind(kind), *where).order_by(events.c.seq)


def _attempted() -> ColumnElement[bool]:
    """The condition that a row is an intent since an instant, or on one of some targets, or one of some others."""
    is_intent = of_kind("intent")
    target = value(events.c.body, "$.command.workload.uid")
    found = (
        is_intent & _SINCE,
        # Without statistics SQLite would read every intent, 100 ms with 50,000 of them, and not use their index.
        mostly(is_intent) & one_of(target, parameter("uids", type_=String)),
        is_intent & one_of(events.c.subject, parameter("ids", type_=String)),
    )
    return events.c.seq.in_(union(*(select(events.c.seq).where(one) for one in found)))


def _last_status(intent: Any) -> Any:
    outcome = events.alias("outcome")
    of_intent = (of_kind("outcome", outcome), outcome.c.subject == intent.c.subject)
    latest = select(value(outcome.c.body, "$.status")).where(*of_intent).order_by(outcome.c.seq.desc())
    return latest.limit(1).scalar_subquery()


def _hidden() -> Select[Any]:
    intent = events.alias("intent")
    status = func.coalesce(_last_status(intent), OutcomeStatus.UNKNOWN.value)
    unsettled = status.in_([one.value for one in _OPEN])
    known = intent.c.subject.in_(select(open_intents.c.subject))
    return select(intent.c.seq).where(of_kind("intent", intent), unsettled, ~known).limit(1)


def _latest_run() -> Select[Any]:
    joined = events.outerjoin(findings, findings.c.run == events.c.seq)
    columns = (events.c.seq, events.c.body.label("digest"), findings.c.body.label("found"))
    return select(*columns).select_from(joined).where(of_kind("run")).order_by(events.c.seq.desc()).limit(1)


HEAD = select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)
"""Number and hash of the newest row."""

DIGEST = select(events.c.hash).where(events.c.seq == parameter("seq"))

APPEND = insert(events)
KEEP_FINDINGS = insert(findings)

INTENTS = _rows("intent", _SINCE)
INTENT = _rows("intent", _SUBJECT)
ATTEMPTED = select(events.c.seq, events.c.body).where(_attempted()).order_by(events.c.seq)
"""Intents since `since_s`, and whenever they were those on the targets `uids` and those with the `ids` (`listed`)."""

UNSETTLED = _rows("intent", events.c.subject.in_(select(open_intents.c.subject)))
"""Intents without an outcome, or whose latest is unknown or being watched."""

OUTCOMES = _rows("outcome", _SINCE)
OUTCOMES_OF = _rows("outcome", _SUBJECT)
OUTCOMES_OF_MANY = _rows("outcome", one_of(events.c.subject, parameter("subjects", type_=String)))
DIRECTIVES = _rows("directive")
TRIGGERS = _rows("trigger")
TERMS = _rows("term")
DELIVERIES = _rows("delivery")
DELIVERIES_OF = _rows("delivery", _SUBJECT)

HIDDEN = _hidden()
"""An intent that is not settled and that the table of open intents does not have."""

LATEST_RUN = _latest_run()
"""The latest run: its row, the digest of its findings, and the findings themselves."""
