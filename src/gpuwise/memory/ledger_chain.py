"""The ledger's hash chain: each row contains the hash of the one before it (I25).

A row takes 5 to 17 us to verify, so a ledger of a million rows is not verified as a whole each time that it is opened.
The file remembers up to which row it has been verified. Opening it verifies the rows since then, and the next 20,000 of
the earlier ones in turn; `gpuwise doctor` verifies all. To change an old row without being noticed until then, all
later hashes would have to be written again, and with them the head, which is stored in the cluster (ledger_anchor.py).
"""

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from gpuwise.memory import ledger_queries as queries
from gpuwise.memory.ledger_tables import events
from gpuwise.memory.ledger_tables import verified as marks

GENESIS = "0" * 64
_ROWS = 5_000  # rows of a server that are in memory at once
SLICE = 20_000
"""Earlier rows that are verified each time, 0.3 s; a shorter ledger is verified as a whole."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How much of a file has been verified.

    Attributes:
        upto: all rows up to this one have been verified once.
        digest: the hash of that row.
        again: of these, the rows up to this one have been verified again in the present turn.
    """

    upto: int = 0
    digest: str = GENESIS
    again: int = 0


def link(last: str, at_s: int, kind: str, subject: str, body: str) -> str:
    """The hash of a row.

    Args:
        last: hash of the row before it.
        at_s: the row's time, epoch seconds.
        kind: of the event.
        subject: of the event.
        body: the event as JSON.
    """
    # A value of another type, which SQLite accepts from somebody who changes the file, gives another hash.
    return hashlib.sha256(json.dumps([last, at_s, kind, subject, body], default=repr).encode()).hexdigest()


def head(db: Connection) -> tuple[int, str]:
    """Number and hash of the newest row."""
    row = db.execute(queries.HEAD).first()
    return (int(row.seq), str(row.hash)) if row else (0, GENESIS)


def digest_at(db: Connection, seq: int) -> str | None:
    """The hash of a row, None if it does not exist; row 0 is before the first."""
    if seq == 0:
        return GENESIS
    found = db.execute(queries.DIGEST, {"seq": seq}).scalar()
    return None if found is None else str(found)


def checked(db: Connection, *, whole: bool) -> tuple[int | None, Verified]:
    """Verify rows of the chain.

    Args:
        db: connection in a transaction of one instant: another process may append rows meanwhile.
        whole: verify every row.

    Returns:
        The first row that was changed, removed or inserted, None if there is none among those verified; and how much
        has been verified if there is none.
    """
    last, digest = head(db)
    before = remembered(db)
    if last < before.upto:  # rows that had been verified were removed from the end
        return last + 1, before
    if digest_at(db, before.upto) != before.digest:
        return before.upto, before
    if whole or last <= SLICE:
        spans, again = [(0, last)], 0
    else:
        start = 0 if before.again >= before.upto else before.again
        again = min(start + SLICE, before.upto)
        spans = [(start, again), (before.upto, last)]
    wrong = next((one for span in spans if (one := _first_wrong(db, *span)) is not None), None)
    return wrong, Verified(last, digest, again)


def remembered(db: Connection) -> Verified:
    """How much has been verified."""
    row = db.execute(select(marks.c.upto, marks.c.hash, marks.c.again)).first()
    return Verified(*row) if row else Verified()


def remember(db: Connection, found: Verified) -> None:
    """Note how much has been verified.

    Args:
        db: connection in a transaction that no other writer shares.
        found: how much.
    """
    db.execute(delete(marks))
    db.execute(insert(marks).values(only_row=1, upto=found.upto, hash=found.digest, again=found.again))


def _first_wrong(db: Connection, after: int, until: int) -> int | None:
    """The first wrong row among those after one row and up to another."""
    last, expected = digest_at(db, after) or "", after
    chosen = select(events).where(events.c.seq > after, events.c.seq <= until).order_by(events.c.seq)
    with db.execute(chosen, execution_options={"yield_per": _ROWS}) as rows:
        for seq, at_s, kind, subject, body, digest in rows:
            expected += 1
            last = link(last, at_s, kind, subject, body)
            if seq != expected or digest != last:
                return expected
    return None if expected == until else expected + 1
