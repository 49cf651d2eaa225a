"""The ledger's schema: one list of migrations for each database, applied when the ledger is opened.

There are few migrations, no column ever changes, and half of each is triggers, which a migration tool does not write
either. So a table with the number of the last one takes the place of Alembic.
"""

import secrets

from sqlalchemy import Connection

from gpuwise.model.errors import LedgerError

# Intents that are not settled: without an outcome, or whose last outcome is unknown or being watched.
_OPEN = "('unknown', 'watching')"
_SQLITE_UNSETTLED = f"""
SELECT subject FROM events AS intent WHERE kind = 'intent' AND coalesce((
    SELECT json_extract(body, '$.status') FROM events AS outcome
    WHERE outcome.kind = 'outcome' AND outcome.subject = intent.subject ORDER BY seq DESC LIMIT 1
), 'unknown') IN {_OPEN}"""  # noqa: S608 - constants


def _costs(number: str, truth: str) -> tuple[str, ...]:
    """The tables of the cost history, which is no part of the hash chain: its days are replaced until they are closed.

    Args:
        number: type of 64-bit floating-point numbers.
        truth: type of true and false.
    """
    keys = ("namespace", "workload", "organisation", "team", "project", "model", "user", "endpoint", "phase", "creator",
            "gpu_type", "capacity_type", "region", "zone")  # fmt: skip
    named = ", ".join(f"key_{name} text" for name in keys)
    classes = ("used", "idle", "outside", "unallocated", "unknown", "stranded")
    times = ", ".join(f"{name}_s {number} NOT NULL" for name in classes)
    # NULL is what was not measured.
    measures = ("powered_s", "energy_j", "sm_known_s", "sm_s", "shared_s", "by_use_s", "shift_s", "requests", "work")
    measured = ", ".join(f"{name} {number}" for name in (*measures, "unit_usd"))
    return (
        f"""CREATE TABLE IF NOT EXISTS cost_days (
    cluster text NOT NULL, day_s bigint NOT NULL, from_s bigint NOT NULL, until_s bigint NOT NULL,
    closed {truth} NOT NULL, PRIMARY KEY (cluster, day_s)
)""",
        f"""CREATE TABLE IF NOT EXISTS costs (
    cluster text NOT NULL, day_s bigint NOT NULL, nobody {truth} NOT NULL, {named}, usd_per_gpu_h {number}, {times},
    {measured}, work_unit text
)""",
        "CREATE INDEX IF NOT EXISTS costs_by_day ON costs (cluster, day_s)",
    )


_SQLITE = (
    (
        """CREATE TABLE IF NOT EXISTS verified (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), upto INTEGER NOT NULL, hash TEXT NOT NULL, again INTEGER NOT NULL
)""",
        """CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
)""",
        "CREATE TABLE IF NOT EXISTS findings (run INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)",
        "CREATE UNIQUE INDEX IF NOT EXISTS one_intent ON events (subject) WHERE kind = 'intent'",
        "CREATE INDEX IF NOT EXISTS by_kind ON events (kind, at_s)",
        "CREATE INDEX IF NOT EXISTS by_subject ON events (subject, kind)",
        """CREATE INDEX IF NOT EXISTS by_target ON events (json_extract(body, '$.command.workload.uid'))
WHERE kind = 'intent'""",
        """CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    ),
    # A table keeps the open intents, so that no pass looks for them. Ledgers of earlier versions have the table
    # `unsettled`, without the intents that are being watched.
    (
        "DROP TRIGGER IF EXISTS intent_is_unsettled",
        "DROP TRIGGER IF EXISTS outcome_settles",
        "DROP TABLE IF EXISTS unsettled",
        "CREATE TABLE IF NOT EXISTS open_intents (subject TEXT PRIMARY KEY) WITHOUT ROWID",
        f"INSERT OR IGNORE INTO open_intents {_SQLITE_UNSETTLED}",
        """CREATE TRIGGER IF NOT EXISTS intent_opens AFTER INSERT ON events WHEN NEW.kind = 'intent'
BEGIN INSERT OR IGNORE INTO open_intents VALUES (NEW.subject); END""",
        f"""CREATE TRIGGER IF NOT EXISTS outcome_closes AFTER INSERT ON events WHEN NEW.kind = 'outcome'
BEGIN
    DELETE FROM open_intents WHERE subject = NEW.subject AND json_extract(NEW.body, '$.status') NOT IN {_OPEN};
    INSERT OR IGNORE INTO open_intents SELECT NEW.subject WHERE json_extract(NEW.body, '$.status') IN {_OPEN};
END""",  # noqa: S608 - constants
    ),
    _costs("REAL", "INTEGER"),
)

_POSTGRESQL = (
    (
        """CREATE TABLE verified (
    only_row bigint PRIMARY KEY CHECK (only_row = 1), upto bigint NOT NULL, hash text NOT NULL, again bigint NOT NULL
)""",
        """CREATE TABLE events (
    seq bigint PRIMARY KEY,
    at_s bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    hash text NOT NULL
)""",
        "CREATE TABLE findings (run bigint PRIMARY KEY, body text NOT NULL)",
        "CREATE TABLE identity (id text NOT NULL)",
        "CREATE UNIQUE INDEX one_intent ON events (subject) WHERE kind = 'intent'",
        "CREATE INDEX by_kind ON events (kind, at_s)",
        "CREATE INDEX by_subject ON events (subject, kind)",
        "CREATE INDEX by_target ON events ((body::jsonb #>> '{command,workload,uid}')) WHERE kind = 'intent'",
        """CREATE FUNCTION reject_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
        """CREATE TRIGGER no_update BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION reject_change()""",
        "CREATE TRIGGER no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION reject_change()",
    ),
    (
        "CREATE TABLE open_intents (subject text PRIMARY KEY)",
        f"""CREATE FUNCTION keep_open_intents() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.kind = 'intent' OR (NEW.body::jsonb ->> 'status') IN {_OPEN} THEN
        INSERT INTO open_intents VALUES (NEW.subject) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM open_intents WHERE subject = NEW.subject;
    END IF;
    RETURN NULL;
END $$""",  # noqa: S608 - constants
        """CREATE TRIGGER open_intents AFTER INSERT ON events FOR EACH ROW
WHEN (NEW.kind IN ('intent', 'outcome')) EXECUTE FUNCTION keep_open_intents()""",
    ),
    _costs("double precision", "boolean"),
)
MIGRATIONS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
"""The statements of each migration, by database; its number is its place, from 1."""


def version(db: Connection) -> int:
    """Number of the last migration of a ledger; 0 for a new one, and for one of an earlier version of gpuwise."""
    if not db.dialect.has_table(db, "migrations"):
        return 0
    return int(db.exec_driver_sql("SELECT coalesce(max(number), 0) FROM migrations").scalar_one())


def upgrade(db: Connection, place: str) -> None:
    """Apply the migrations that a ledger does not have.

    Args:
        db: connection within a transaction that no other writer shares.
        place: of the ledger, for the message.

    Raises:
        LedgerError: a later version of gpuwise has written the ledger.
    """
    steps, done = MIGRATIONS[db.dialect.name], version(db)
    if done > len(steps):
        problem = f"ledger {place} has schema {done}, and this version of gpuwise knows {len(steps)}"
        raise LedgerError(problem, hint="use the version of gpuwise that wrote it, or a later one")
    if done == 0:
        db.exec_driver_sql("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)")
    for number, statements in enumerate(steps[done:], start=done + 1):
        for statement in statements:
            db.exec_driver_sql(statement)
        db.exec_driver_sql(f"INSERT INTO migrations VALUES ({number})")  # noqa: S608 - an integer
    if db.exec_driver_sql("SELECT 1 FROM identity").first() is None:
        db.exec_driver_sql(f"INSERT INTO identity VALUES ('{secrets.token_hex(8)}')")  # noqa: S608 - hex digits
