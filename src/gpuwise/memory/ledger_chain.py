"""The ledger's hash chain: each row contains the hash of the one before it (I25).

A row takes 5 to 17 us to verify, so a ledger of a million rows is not verified as a whole each time that it is opened.
The file remembers up to which row it has been verified. Opening it verifies the rows since then, and the next 20,000 of
the earlier ones in turn; `gpuwise doctor` verifies all. To change an old row without being noticed until then, all
later hashes would have to be written again, and with them the head, which is stored in the cluster (ledger_anchor.py).
"""

import hashlib
import json
import sqlite3
from dataclasses import dataclass

GENESIS = "0" * 64
SLICE = 20_000
"""Earlier rows that are verified each time, 0.3 s; a shorter ledger is verified as a whole."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS verified (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), upto INTEGER NOT NULL, hash TEXT NOT NULL, again INTEGER NOT NULL
);
"""


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
    return hashlib.sha256(json.dumps([last, at_s, kind, subject, body]).encode()).hexdigest()


def head(db: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the newest row."""
    row = db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, GENESIS)


def digest_at(db: sqlite3.Connection, seq: int) -> str | None:
    """The hash of a row, None if it does not exist; row 0 is before the first."""
    if seq == 0:
        return GENESIS
    row = db.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else str(row[0])


def verified(db: sqlite3.Connection, *, whole: bool) -> int | None:
    """Verify rows of the chain, and remember how far.

    Args:
        db: the open file.
        whole: verify every row.

    Returns:
        The first row that was changed, removed or inserted; None if there is none among those verified.
    """
    db.execute("BEGIN")  # of one instant: another process may append rows meanwhile
    try:
        wrong, found = _checked(db, whole=whole)
    finally:
        db.execute("COMMIT")
    if wrong is None:
        _remember(db, found)
    return wrong


def _checked(db: sqlite3.Connection, *, whole: bool) -> tuple[int | None, Verified]:
    last, digest = head(db)
    before = _remembered(db)
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


def _first_wrong(db: sqlite3.Connection, after: int, until: int) -> int | None:
    """The first wrong row among those after one row and up to another."""
    last, expected = digest_at(db, after) or "", after
    rows = db.execute("SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq", (after, until))
    for seq, at_s, kind, subject, body, digest in rows:
        expected += 1
        last = link(last, at_s, kind, subject, body)
        if seq != expected or digest != last:
            return expected
    return None if expected == until else expected + 1


def _remembered(db: sqlite3.Connection) -> Verified:
    row = db.execute("SELECT upto, hash, again FROM verified").fetchone()
    return Verified(*row) if row else Verified()


def _remember(db: sqlite3.Connection, found: Verified) -> None:
    if found == _remembered(db):
        return
    db.execute("INSERT OR REPLACE INTO verified VALUES (1, ?, ?, ?)", (found.upto, found.digest, found.again))
