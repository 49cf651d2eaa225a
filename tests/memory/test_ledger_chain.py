"""Verification of a long ledger in parts, and reading only what a decision needs."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.decide.history import History
from gpuwise.memory import ledger_chain as chain
from gpuwise.memory.ledger import _KEEP_UNSETTLED, SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Command, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.errors import LedgerError
from gpuwise.model.inventory import WorkloadRef

SLICE = 10

MANY = (Limit(FLEET, 10**6, 1),)


@pytest.fixture(autouse=True)
def _short_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "SLICE", SLICE)


def intent(number: int, *, at_s: int = 1_000, uid: str = "uid-1") -> Intent:
    ref = WorkloadRef("research", "Deployment", "chat", uid)
    return Intent(Command(f"a-{number}", "r-1", ref, ScaleTo(0), "policy"), at_s, "7", {"replicas": 2}, {"replicas": 0})


def filled(path: Path, rows: int) -> Path:
    with SqliteLedger(path) as ledger:
        for number in range(rows):
            assert ledger.record_intent(intent(number), limits=MANY) is None
    return path


def changed(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(f"DROP TRIGGER no_update; DROP TRIGGER no_delete; {statement}")
    db.close()


def opened(path: Path, *, times: int = 1) -> None:
    for _ in range(times):
        SqliteLedger(path).close()


def verified_rows(path: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool = False) -> int:
    """The number of rows whose hash is computed while the file is opened, or verified as a whole."""
    count = 0

    def counted(*row) -> str:
        nonlocal count
        count += 1
        return link(*row)

    link = chain.link
    with monkeypatch.context() as patched:
        if whole:
            with SqliteLedger(path) as ledger:
                patched.setattr(chain, "link", counted)
                ledger.verify(whole=True)
        else:
            patched.setattr(chain, "link", counted)
            opened(path)
    return count


def test_a_short_ledger_is_verified_as_a_whole_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = filled(tmp_path / "l.db", SLICE)
    assert [verified_rows(path, monkeypatch) for _ in range(3)] == [SLICE] * 3


def test_of_a_long_ledger_the_new_rows_and_a_slice_of_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = filled(tmp_path / "l.db", 35)
    assert verified_rows(path, monkeypatch) == 35  # never verified before
    assert [verified_rows(path, monkeypatch) for _ in range(3)] == [SLICE] * 3
    with SqliteLedger(path) as ledger:
        for number in range(35, 42):
            ledger.record_intent(intent(number), limits=MANY)
    assert verified_rows(path, monkeypatch) == SLICE + 7
    assert verified_rows(path, monkeypatch, whole=True) == 42


def test_i25_a_changed_new_row_of_a_long_ledger_is_detected_at_once(tmp_path: Path):
    path = filled(tmp_path / "l.db", 35)
    opened(path)
    filled_more = SqliteLedger(path)
    for number in range(35, 40):
        filled_more.record_intent(intent(number), limits=MANY)
    filled_more.close()
    changed(path, "UPDATE events SET body = replace(body, 'policy', 'nobody') WHERE seq = 38")
    with pytest.raises(LedgerError, match="tampered with at row 38"):
        SqliteLedger(path)


@pytest.mark.parametrize("row", [1, 10, 11, 34, 35])
@pytest.mark.parametrize("statement", ["UPDATE events SET body = '{}' WHERE seq = ", "DELETE FROM events WHERE seq = "])
def test_i25_a_changed_old_row_is_detected_by_doctor_and_within_one_turn(tmp_path: Path, row: int, statement: str):
    path = filled(tmp_path / "l.db", 35)
    opened(path)
    changed(path, f"{statement}{row}")
    with pytest.raises(LedgerError, match=f"tampered with at row {row}"):
        opened(path, times=-(-35 // SLICE) + 1)
    with pytest.raises(LedgerError, match=f"tampered with at row {row}"):
        verified_whole(path)


def verified_whole(path: Path) -> None:
    db = sqlite3.connect(path)
    found = chain.verified(db, whole=True)
    db.close()
    if found is not None:
        raise LedgerError(f"tampered with at row {found}", hint="")


def test_i25_a_changed_row_between_two_slices_breaks_the_link_of_the_next(tmp_path: Path):
    """A forged row with a hash of its own is found through the row after it."""
    path = filled(tmp_path / "l.db", 35)
    opened(path)
    db = sqlite3.connect(path)
    last = db.execute("SELECT hash FROM events WHERE seq = 9").fetchone()[0]
    at_s, kind, subject = db.execute("SELECT at_s, kind, subject FROM events WHERE seq = 10").fetchone()
    db.close()
    changed(
        path, f"UPDATE events SET body = '{{}}', hash = '{chain.link(last, at_s, kind, subject, '{}')}' WHERE seq = 10"
    )
    with pytest.raises(LedgerError, match="tampered with at row 11"):
        opened(path, times=5)


def test_i25_removed_newest_rows_that_were_verified_are_detected(tmp_path: Path):
    path = filled(tmp_path / "l.db", 35)
    opened(path)
    changed(path, "DELETE FROM events WHERE seq > 30")
    with pytest.raises(LedgerError, match="tampered with at row 31"):
        SqliteLedger(path)


def test_i25_a_changed_mark_is_detected(tmp_path: Path):
    path = filled(tmp_path / "l.db", 35)
    opened(path)
    changed(path, "UPDATE verified SET upto = 20")
    with pytest.raises(LedgerError, match="tampered with at row 20"):
        SqliteLedger(path)


def test_i25_hidden_open_intents_of_a_short_ledger_are_detected_at_once(tmp_path: Path):
    path = filled(tmp_path / "l.db", 3)
    changed(path, "DELETE FROM open_intents")
    with pytest.raises(LedgerError, match="it hides open intents"):
        SqliteLedger(path)


def test_i25_hidden_open_intents_of_a_long_ledger_are_detected_by_doctor(tmp_path: Path):
    path = filled(tmp_path / "l.db", SLICE + 3)
    changed(path, "DELETE FROM open_intents")
    with SqliteLedger(path) as ledger, pytest.raises(LedgerError, match="it hides open intents"):
        ledger.verify(whole=True)


def test_rows_that_another_process_appends_meanwhile_are_not_taken_for_tampering(tmp_path: Path, monkeypatch):
    path = filled(tmp_path / "l.db", 3)
    other = SqliteLedger(path)
    head = chain.head

    def interrupted(db: sqlite3.Connection) -> tuple[int, str]:
        monkeypatch.setattr(chain, "head", head)
        found = head(db)
        other.record_intent(intent(7), limits=MANY)
        other.verify()
        return found

    monkeypatch.setattr(chain, "head", interrupted)
    opened(path)
    other.close()


OPEN = (OutcomeStatus.UNKNOWN, OutcomeStatus.WATCHING)
statuses = st.sampled_from([OutcomeStatus.APPLIED, *OPEN, OutcomeStatus.NOT_APPLIED, None])
events = st.lists(st.tuples(st.integers(0, 5), statuses), max_size=20)


@given(events)
def test_unsettled_are_the_intents_whose_last_outcome_is_not_known_or_being_watched(tmp_path_factory, happened):
    with SqliteLedger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        for number, status in happened:
            if ledger.intent(f"a-{number}") is None:
                ledger.record_intent(intent(number), limits=MANY)
            if status is not None:
                ledger.record_outcome(Outcome(f"a-{number}", 1_001, status, None, ""))
        last = {outcome.command_id: outcome.status for outcome in ledger.outcomes()}
        expected = [one for one in ledger.intents() if last.get(one.command.id, OutcomeStatus.UNKNOWN) in OPEN]
        assert ledger.unsettled() == expected
        ledger.verify(whole=True)


def test_the_open_intents_of_an_earlier_version_are_found(tmp_path: Path):
    path = filled(tmp_path / "l.db", 3)
    with SqliteLedger(path) as ledger:
        ledger.record_outcome(Outcome("a-1", 1_001, OutcomeStatus.APPLIED, None, ""))
    db = sqlite3.connect(path)
    db.executescript(
        "DROP TABLE open_intents; DROP TRIGGER intent_opens; DROP TRIGGER outcome_closes; DROP TABLE verified;"
        "CREATE TABLE unsettled (subject TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO unsettled VALUES ('a-0');"
    )
    db.close()
    with SqliteLedger(path) as ledger:
        assert [one.command.id for one in ledger.unsettled()] == ["a-0", "a-2"]
        ledger.record_outcome(Outcome("a-0", 1_002, OutcomeStatus.FAILED, None, ""))
        assert [one.command.id for one in ledger.unsettled()] == ["a-2"]


def test_two_processes_may_add_the_table_at_once(tmp_path: Path):
    path = filled(tmp_path / "l.db", 1)
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        db.executescript(_KEEP_UNSETTLED)
    db.close()
    with SqliteLedger(path) as ledger:
        ledger._keep_unsettled()
        assert [one.command.id for one in ledger.unsettled()] == ["a-0"]


def test_attempts_are_those_since_an_instant_and_all_on_some_targets_with_all_their_outcomes(tmp_path: Path):
    with SqliteLedger(tmp_path / "l.db") as ledger:
        for number, (at_s, uid) in enumerate([(10, "old"), (20, "mine"), (30, "new"), (40, "mine")]):
            ledger.record_intent(intent(number, at_s=at_s, uid=uid), limits=MANY)
            ledger.record_outcome(Outcome(f"a-{number}", at_s + 1, OutcomeStatus.APPLIED, None, ""))
        ledger.record_outcome(Outcome("a-1", 99, OutcomeStatus.UNDONE, None, ""))
        intents, outcomes = ledger.attempts(since_s=30, uids={"mine"})
        assert [one.command.id for one in intents] == ["a-1", "a-2", "a-3"]
        assert [(one.command_id, one.at_s) for one in outcomes] == [("a-1", 21), ("a-2", 31), ("a-3", 41), ("a-1", 99)]
        assert ledger.attempts(since_s=30)[0] == intents[1:]
        assert [one.command.id for one in ledger.attempts(since_s=99, ids=["a-0", "a-9"])[0]] == ["a-0"]
        assert ledger.outcome("a-1").status is OutcomeStatus.UNDONE
        assert ledger.outcome("a-9") is None


attempted = st.lists(
    st.tuples(
        st.integers(0, 500), st.sampled_from(["one", "two", "three"]), statuses, st.sampled_from(["policy", "ana"])
    ),
    max_size=15,
)


@given(attempted, st.integers(0, 600), st.integers(1, 300))
def test_a_decision_on_some_targets_is_that_of_the_whole_history(tmp_path_factory, happened, now_s, per_s):
    with SqliteLedger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        for number, (at_s, uid, status, actor) in enumerate(sorted(happened, key=lambda one: one[0])):
            one = intent(number, at_s=at_s, uid=uid)
            ledger.record_intent(replace(one, command=replace(one.command, actor=actor)), limits=MANY)
            if status is not None:
                ledger.record_outcome(Outcome(f"a-{number}", at_s + 1, status, None, ""))
        whole = History(ledger.intents(), ledger.outcomes())
        read = History(*ledger.attempts(since_s=now_s - per_s, uids={"one", "two"}))
    limit = Limit(FLEET, 1, per_s)
    assert read.spent(limit, now_s=now_s) == whole.spent(limit, now_s=now_s)
    for uid in ("one", "two"):
        assert read.last_effect(uid) == whole.last_effect(uid)
        assert read.failures(uid) == whole.failures(uid)
        last = whole.last_effect(uid)
        assert last is None or read.status(last.command.id) == whole.status(last.command.id)


def test_attempts_of_another_cluster_are_left_out(tmp_path: Path):
    with SqliteLedger(tmp_path / "l.db") as ledger:
        for number, cluster in enumerate(["here", "there"]):
            ledger.record_intent(replace(intent(number), cluster=cluster), limits=MANY)
        ledger.belongs_to("here")
        assert [one.command.id for one in ledger.attempts(since_s=0, ids=["a-0", "a-1"])[0]] == ["a-0"]
