"""The ledger's questions, as SQL that both databases understand."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, union

from gpuwise.memory.ledger_tables import events, findings, in_scope, of_cluster, of_kind, one_of, open_intents, value
from gpuwise.model.command import Limit, OutcomeStatus

_OPEN = (OutcomeStatus.UNKNOWN, OutcomeStatus.WATCHING)


def spent(limit: Limit, now_s: int, cluster: str) -> Select[Any]:
    """The number of intents in a budget's window, except those whose last outcome is that nothing was written.

    Args:
        limit: the budget.
        now_s: end of the window, epoch seconds.
        cluster: uid of the cluster, "" for all.
    """
    intent = events.alias("intent")
    in_window = intent.c.at_s > now_s - limit.per_s
    written = func.coalesce(_last_status(intent), "") != OutcomeStatus.NOT_APPLIED.value
    conditions = (in_window, of_cluster(intent.c.body, cluster), in_scope(intent.c.body, limit.scope), written)
    return select(func.count()).select_from(intent).where(of_kind("intent", intent), *conditions)


def attempted(since_s: int, uids: Collection[str], ids: Collection[str]) -> ColumnElement[bool]:
    """The condition that a row is an intent since an instant, or on one of some targets, or one of some others."""
    target = value(events.c.body, "$.command.workload.uid")
    intents = select(events.c.seq).where(of_kind("intent"))
    found = (events.c.at_s >= since_s, one_of(target, uids), one_of(events.c.subject, ids))
    return events.c.seq.in_(union(*(intents.where(one) for one in found)))


def is_open() -> ColumnElement[bool]:
    """The condition that an intent is not settled: without an outcome, or its latest is unknown or being watched."""
    return events.c.subject.in_(select(open_intents.c.subject))


def hidden() -> Select[Any]:
    """An intent that is not settled and that the table of open intents does not have."""
    intent = events.alias("intent")
    status = func.coalesce(_last_status(intent), OutcomeStatus.UNKNOWN.value)
    unsettled = status.in_([one.value for one in _OPEN])
    known = intent.c.subject.in_(select(open_intents.c.subject))
    return select(intent.c.seq).where(of_kind("intent", intent), unsettled, ~known).limit(1)


def latest_run() -> Select[Any]:
    """The latest run: its row, the digest of its findings, and the findings themselves."""
    joined = events.outerjoin(findings, findings.c.run == events.c.seq)
    columns = (events.c.seq, events.c.body.label("digest"), findings.c.body.label("found"))
    return select(*columns).select_from(joined).where(of_kind("run")).order_by(events.c.seq.desc()).limit(1)


def _last_status(intent: Any) -> Any:
    outcome = events.alias("outcome")
    of_intent = (of_kind("outcome", outcome), outcome.c.subject == intent.c.subject)
    latest = select(value(outcome.c.body, "$.status")).where(*of_intent).order_by(outcome.c.seq.desc())
    return latest.limit(1).scalar_subquery()
