"""The ledger as an audit trail: who did what to which object, when, why, and whether any of it was changed since."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from gpuwise.memory import ledger_chain as chain
from gpuwise.memory import ledger_queries as queries
from gpuwise.memory.ledger_tables import events
from gpuwise.model.labels import ACTION_ID, WAKE, WAKE_AT

# gpuwise's own annotations: the entry has the action's id anyway, and the others repeat the fields.
_MARKS = frozenset("/metadata/annotations/" + name.replace("/", "~1") for name in (ACTION_ID, WAKE, WAKE_AT))
_JSON = frozenset({"intent", "outcome"})  # kinds of rows into whose bodies the database looks
_ROWS = 5_000  # rows of a server that are in memory at once


@dataclass(frozen=True, slots=True)
class Entry:
    """One event.

    Attributes:
        seq: number of its row.
        at_s: when, epoch seconds.
        kind: "intent", "outcome", "directive", "term", "trigger", "delivery" or "run".
        actor: who: "policy", a person, or a process that became the leader; "" if nobody is named.
        workload: the target as namespace/Kind/name, "" for none.
        action: id of the action or recommendation, "" for none.
        what: the change, status, order, term or report.
        detail: fields before and after, or the reason.
        cluster: uid of the cluster, "" if not known.
        hash: of the row; it covers all earlier rows.
        event: the whole event as it was recorded.
    """

    seq: int
    at_s: int
    kind: str
    actor: str
    workload: str
    action: str
    what: str
    detail: str
    cluster: str
    hash: str
    event: Any


def problems(db: Connection) -> Iterator[str]:
    """What is wrong with the ledger, in the order of its rows; nothing if it is intact.

    Args:
        db: connection in a transaction of one instant.
    """
    last, expected, readable = chain.GENESIS, 1, True
    with db.execute(select(events).order_by(events.c.seq), execution_options={"yield_per": _ROWS}) as rows:
        for seq, at_s, kind, subject, body, digest in rows:
            if seq > expected:
                yield (
                    f"rows {expected} to {seq - 1} are missing" if seq - 1 > expected else f"row {expected} is missing"
                )
            elif chain.link(last, at_s, kind, subject, body) != digest:
                yield f"row {seq} ({kind} {subject}): the row, or the one before it, was changed"
            readable = readable and (kind not in _JSON or _is_json(body))
            last, expected = str(digest), seq + 1
    mark = chain.remembered(db)
    if expected <= mark.upto:
        yield f"rows {expected} to {mark.upto} are missing at the end: they had been verified before"
    run = db.execute(queries.LATEST_RUN).first()
    if run is not None and (run.found is None or hashlib.sha256(run.found.encode()).hexdigest() != run.digest):
        yield f"row {run.seq} (run): its findings were changed or removed"
    # The database would refuse to look into a body that is no JSON; its row is listed above.
    hidden = db.execute(queries.HIDDEN).first() if readable else None
    if hidden is not None:
        yield f"row {hidden[0]} (intent): it is open, and the table of open intents does not have it"


def entries(db: Connection) -> Iterator[Entry]:
    """All events, oldest first; an outcome has the target and the actor of its intent.

    Args:
        db: connection in a transaction of one instant.
    """
    targets: dict[str, tuple[str, str]] = {}
    with db.execute(select(events).order_by(events.c.seq), execution_options={"yield_per": _ROWS}) as rows:
        for seq, at_s, kind, subject, body, digest in rows:
            event, fields, cluster = _read(str(kind), str(subject), body)
            if kind == "intent":
                targets[subject] = (fields["actor"], fields["workload"])
            elif kind == "outcome":
                fields["actor"], fields["workload"] = targets.get(subject, ("", ""))
            at = at_s if isinstance(at_s, int) else 0  # SQLite accepts any type from somebody who changes the file
            yield Entry(seq, at, str(kind), cluster=cluster, hash=str(digest), event=event, **fields)


def _read(kind: str, subject: str, body: str) -> tuple[Any, dict[str, str], str]:
    """The event of a row, its fields and its cluster; a row that was changed does not keep the others from view."""
    try:
        event = json.loads(body) if kind != "run" else {"digest_of_findings": body}
        return event, _FIELDS.get(kind, _of_another)(event, subject), str(event.get("cluster") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        what = "this row cannot be read: `gpuwise ledger verify` shows whether it was changed"
        return str(body), _fields(action=subject, what=what), ""


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except (ValueError, TypeError):
        return False
    return True


def _of_intent(event: Any, subject: str) -> dict[str, str]:
    command = event["command"]
    target, before, after = command["workload"], event["pre_image"], event["post_image"]
    changed = (
        at for at in sorted(before.keys() | after.keys()) if before.get(at) != after.get(at) and at not in _MARKS
    )
    shown = "; ".join(f"{at}: {_shown(before, at)} -> {_shown(after, at)}" for at in changed)
    approved = "".join(f"; approved by {name}" for name in command.get("approved_by") or ())
    return {
        "actor": command["actor"],
        "workload": f"{target['namespace']}/{target['kind']}/{target['name']}",
        "action": subject,
        "what": command["change"].get("kind", "change"),
        "detail": f"{shown}{approved}",
    }


def _of_outcome(event: Any, subject: str) -> dict[str, str]:
    reason = f" ({event['reason']})" if event["reason"] else ""
    return _fields(action=subject, what=f"{event['status']}{reason}", detail=event["detail"])


def _of_directive(event: Any, subject: str) -> dict[str, str]:
    action = "" if subject == "*" else subject
    return _fields(actor=event["actor"], action=action, what=event["kind"], detail=event["detail"])


def _of_term(event: Any, _subject: str) -> dict[str, str]:
    return _fields(actor=event["holder"], what=f"term {event['epoch']}")


def _of_trigger(event: Any, _subject: str) -> dict[str, str]:
    return _fields(what="alerts asked for a pass", detail=", ".join(one["name"] for one in event["alerts"]))


def _of_delivery(event: Any, _subject: str) -> dict[str, str]:
    scope = f" of {event['scope']}" if event["scope"] else ""
    what = f"report of {event['week']}{scope} to {event['channel']} {event['recipient']}: {event['status']}"
    return _fields(what=what, detail=event["detail"])


def _of_another(_event: Any, _subject: str) -> dict[str, str]:
    return _fields(what="a pass of the loop")


def _fields(*, actor: str = "", action: str = "", what: str = "", detail: str = "") -> dict[str, str]:
    return {"actor": actor, "workload": "", "action": action, "what": what, "detail": detail}


def _shown(image: Any, at: str) -> str:
    return json.dumps(image[at]) if at in image else "absent"


_FIELDS = {
    "intent": _of_intent,
    "outcome": _of_outcome,
    "directive": _of_directive,
    "term": _of_term,
    "trigger": _of_trigger,
    "delivery": _of_delivery,
}
