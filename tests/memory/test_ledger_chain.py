"""Verification of a long ledger in parts, and reading only what a decision needs."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from tests.memory.conftest import Place

from gpuwise.decide.history import History
from gpuwise.memory import ledger_chain as chain
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


def filled(place: Place, rows: int) -> Place:
    with place.open() as ledger:
        for number in range(rows):
            assert ledger.record_intent(intent(number), limits=MANY) is None
    return place


def opened(place: Place, *, times: int = 1) -> None:
    for _ in range(times):
        place.open().close()


def verified_rows(place: Place, monkeypatch: pytest.MonkeyPatch, *, whole: bool = False) -> int:
    """The number of rows whose hash is computed while the file is opened, or verified as a whole."""
    count = 0

    def counted(*row) -> str:
        nonlocal count
        count += 1
        return link(*row)

    link = chain.link
    with monkeypatch.context() as patched:
        if whole:
            with place.open() as ledger:
                patched.setattr(chain, "link", counted)
                ledger.verify(whole=True)
        else:
            patched.setattr(chain, "link", counted)
            opened(place)
    return count


def test_a_short_ledger_is_verified_as_a_whole_each_time(place: Place, monkeypatch: pytest.MonkeyPatch):
    filled(place, SLICE)
    assert [verified_rows(place, monkeypatch) for _ in range(3)] == [SLICE] * 3


def test_of_a_long_ledger_the_new_rows_and_a_slice_of_the_others_are(place: Place, monkeypatch: pytest.MonkeyPatch):
    filled(place, 35)
    assert verified_rows(place, monkeypatch) == 35  # never verified before
    assert [verified_rows(place, monkeypatch) for _ in range(3)] == [SLICE] * 3
    with place.open() as ledger:
        for number in range(35, 42):
            ledger.record_intent(intent(number), limits=MANY)
    assert verified_rows(place, monkeypatch) == SLICE + 7
    assert verified_rows(place, monkeypatch, whole=True) == 42


def test_i25_a_changed_new_row_of_a_long_ledger_is_detected_at_once(place: Place):
    filled(place, 35)
    opened(place)
    filled_more = place.open()
    for number in range(35, 40):
        filled_more.record_intent(intent(number), limits=MANY)
    filled_more.close()
    place.change("UPDATE events SET body = replace(body, 'policy', 'nobody') WHERE seq = 38")
    with pytest.raises(LedgerError, match="tampered with at row 38"):
        place.open()


@pytest.mark.parametrize("row", [1, 10, 11, 34, 35])
@pytest.mark.parametrize("statement", ["UPDATE events SET body = '{}' WHERE seq = ", "DELETE FROM events WHERE seq = "])
def test_i25_a_changed_old_row_is_detected_by_doctor_and_within_one_turn(place: Place, row: int, statement: str):
    filled(place, 35)
    opened(place)
    place.change(f"{statement}{row}")
    with pytest.raises(LedgerError, match=f"tampered with at row {row}"):
        opened(place, times=-(-35 // SLICE) + 1)
    with pytest.raises(LedgerError, match=f"tampered with at row {row}"):
        verified_whole(place)


def verified_whole(place: Place) -> None:
    database = place.database
    with database.of_one_instant() as db:
        found, _ = chain.checked(db, whole=True)
    database.close()
    if found is not None:
        raise LedgerError(f"tampered with at row {found}", hint="")


def test_i25_a_changed_row_between_two_slices_breaks_the_link_of_the_next(place: Place):
    """A forged row with a hash of its own is found through the row after it."""
    filled(place, 35)
    opened(place)
    [(last,)] = place.rows("SELECT hash FROM events WHERE seq = 9")
    [(at_s, kind, subject)] = place.rows("SELECT at_s, kind, subject FROM events WHERE seq = 10")
    place.change(
        f"UPDATE events SET body = '{{}}', hash = '{chain.link(last, at_s, kind, subject, '{}')}' WHERE seq = 10"
    )
    with pytest.raises(LedgerError, match="tampered with at row 11"):
        opened(place, times=5)


def test_i25_removed_newest_rows_that_were_verified_are_detected(place: Place):
    filled(place, 35)
    opened(place)
    place.change("DELETE FROM events WHERE seq > 30")
    with pytest.raises(LedgerError, match="tampered with at row 31"):
        place.open()


def test_i25_a_changed_mark_is_detected(place: Place):
    filled(place, 35)
    opened(place)
    place.change("UPDATE verified SET upto = 20")
    with pytest.raises(LedgerError, match="tampered with at row 20"):
        place.open()


def test_i25_hidden_open_intents_of_a_short_ledger_are_detected_at_once(place: Place):
    filled(place, 3)
    place.change("DELETE FROM open_intents")
    with pytest.raises(LedgerError, match="it hides open intents"):
        place.open()


def test_i25_hidden_open_intents_of_a_long_ledger_are_detected_by_doctor(place: Place):
    filled(place, SLICE + 3)
    place.change("DELETE FROM open_intents")
    with place.open() as ledger, pytest.raises(LedgerError, match="it hides open intents"):
        ledger.verify(whole=True)


def test_rows_that_another_process_appends_meanwhile_are_not_taken_for_tampering(place: Place, monkeypatch):
    filled(place, 3)
    other = place.open()
    head = chain.head

    def interrupted(db: Connection) -> tuple[int, str]:
        monkeypatch.setattr(chain, "head", head)
        found = head(db)
        other.record_intent(intent(7), limits=MANY)
        other.verify()
        return found

    monkeypatch.setattr(chain, "head", interrupted)
    opened(place)
    other.close()


OPEN = (OutcomeStatus.UNKNOWN, OutcomeStatus.WATCHING)
statuses = st.sampled_from([OutcomeStatus.APPLIED, *OPEN, OutcomeStatus.NOT_APPLIED, None])
events = st.lists(st.tuples(st.integers(0, 5), statuses), max_size=20)


@settings(max_examples=30)  # each opens a database
@given(events)
def test_unsettled_are_the_intents_whose_last_outcome_is_not_known_or_being_watched(new_place, happened):
    with new_place().open() as ledger:
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
    place = filled(Place(tmp_path / "l.db"), 3)
    with place.open() as ledger:
        ledger.record_outcome(Outcome("a-1", 1_001, OutcomeStatus.APPLIED, None, ""))
    db = sqlite3.connect(tmp_path / "l.db")
    db.executescript(
        "DROP TABLE open_intents; DROP TRIGGER intent_opens; DROP TRIGGER outcome_closes; DROP TABLE verified;"
        "DROP TABLE migrations;"
        "CREATE TABLE unsettled (subject TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO unsettled VALUES ('a-0');"
    )
    db.close()
    with place.open() as ledger:
        assert [one.command.id for one in ledger.unsettled()] == ["a-0", "a-2"]
        ledger.record_outcome(Outcome("a-0", 1_002, OutcomeStatus.FAILED, None, ""))
        assert [one.command.id for one in ledger.unsettled()] == ["a-2"]


def test_two_processes_may_create_one_ledger_at_once(place: Place):
    with ThreadPoolExecutor(4) as threads:
        ledgers = list(threads.map(lambda _: place.open(), range(4)))
    assert len({ledger.head().ledger for ledger in ledgers}) == 1
    assert place.rows("SELECT number FROM migrations ORDER BY number") == [(1,), (2,), (3,)]
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_of_a_later_version_is_refused(place: Place):
    opened(place)
    place.change("INSERT INTO migrations VALUES (99)")
    with pytest.raises(LedgerError, match="has schema 99, and this version of gpuwise knows 3"):
        place.open()


def test_attempts_are_those_since_an_instant_and_all_on_some_targets_with_all_their_outcomes(place: Place):
    with place.open() as ledger:
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


@settings(max_examples=30)  # each opens a database
@given(attempted, st.integers(0, 600), st.integers(1, 300))
def test_a_decision_on_some_targets_is_that_of_the_whole_history(new_place, happened, now_s, per_s):
    with new_place().open() as ledger:
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


def test_attempts_of_another_cluster_are_left_out(place: Place):
    with place.open() as ledger:
        for number, cluster in enumerate(["here", "there"]):
            ledger.record_intent(replace(intent(number), cluster=cluster), limits=MANY)
        ledger.belongs_to("here")
        assert [one.command.id for one in ledger.attempts(since_s=0, ids=["a-0", "a-1"])[0]] == ["a-0"]
