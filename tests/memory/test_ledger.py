import multiprocessing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Alert, Command, Directive, Intent, Limit, Outcome, OutcomeStatus, Term, Trigger
from gpuwise.model.delivery import Delivery, DeliveryStatus
from gpuwise.model.errors import LedgerError, NotLeader, Superseded
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, SeenNode, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation, Saving

REF = WorkloadRef("research", "Deployment", "chat", "uid-1")
MANY = (Limit(FLEET, 10**6, 1),)


def intent(number=0, at_s=1_000) -> Intent:
    return Intent(Command(f"a-{number}", "r-1", REF, ScaleTo(0), "policy"), at_s, "7", {"replicas": 2}, {"replicas": 0})


def recommendation(name: str) -> Recommendation:
    return Recommendation(
        name, REF, None, Finding.IDLE, (), ScaleTo(0), Saving(1.0, 1.0, 1.0, 1.0), 0, 1.0, 1.0, (), False, True, "Low",
        0, 1_000, "e",
    )  # fmt: skip


def spend(ledger, number, at_s=1_000, limit=10):
    return ledger.record_intent(intent(number, at_s), limits=[Limit(FLEET, limit, 3_600)]) is None


def test_recorded_events_are_read_back_after_a_restart(place):
    outcome = Outcome("a-0", 1_001, OutcomeStatus.APPLIED, None, "2 to 0")
    directive = Directive("dismiss", "r-1", "ana", 5, "needed")
    blocked = Blocked(REF, "decide", Reason.RECOMMEND_ONLY, "mode recommend")
    trigger = Trigger(900, (Alert("GpuwiseGpuLost", "f1", {"gpu": "1"}, "2026-06-01T10:00:00Z"),), 3)
    with place.open() as first:
        first.record_trigger(trigger)
        spend(first, 0)
        first.record_outcome(outcome)
        first.record_directive(directive)
        first.record_run(2_000, [], [blocked])
    with place.open() as second:
        assert second.intent("a-0") == intent()
        assert second.intents() == [intent()]
        assert second.outcomes() == [outcome]
        assert second.directives() == [directive]
        assert second.triggers() == [trigger]
        assert second.blocked() == [blocked]
        assert second.recommendations() == []


def test_a_delivery_begins_once_and_again_only_if_nobody_got_it_or_a_person_asks(place):
    begun = Delivery("2026-W20", "", "email", "ana@example.com", DeliveryStatus.BEGUN, 5)
    with place.open() as first:
        first.belongs_to("uid-1")
        own = replace(begun, cluster="uid-1")
        assert first.begin_delivery(begun, again=False) is None
        assert first.begin_delivery(begun, again=False) == own
        for status, may in (
            (DeliveryStatus.NOT_SENT, True),
            (DeliveryStatus.UNKNOWN, False),
            (DeliveryStatus.SENT, False),
        ):
            ended = replace(own, status=status, at_s=6, detail="why")
            first.record_delivery(ended)
            assert (first.begin_delivery(begun, again=False) is None) is may
            assert first.deliveries()[-1] == (own if may else ended)
        assert first.begin_delivery(begun, again=True) is None
        assert first.begin_delivery(replace(begun, week="2026-W21"), again=False) is None
        first.belongs_to("uid-2")
        assert first.deliveries() == []
        assert first.begin_delivery(begun, again=False) is None
    with place.open() as second:
        assert len(second.deliveries()) == 8
        assert second.unsettled() == []
        second.verify(whole=True)


def test_an_empty_ledger_has_no_events(ledger):
    assert (ledger.intent("a-0"), ledger.blocked(), ledger.recommendations()) == (None, [], [])


def test_one_command_has_one_intent(ledger):
    assert spend(ledger, 0)
    with pytest.raises(LedgerError, match="rejected a row"):
        spend(ledger, 0)
    assert len(ledger.intents()) == 1


@settings(max_examples=30)  # each opens a database
@given(st.lists(st.integers(0, 400), max_size=15), st.integers(0, 3))
def test_i5_no_window_ever_holds_more_intents_than_the_budget(new_place, gaps, limit):
    with new_place().open() as ledger:
        at_s = 10_000
        for number, gap in enumerate(gaps):
            at_s += gap
            ledger.record_intent(intent(number, at_s), limits=[Limit(FLEET, limit, 1_000)])
        times = [i.at_s for i in ledger.intents()]
        assert all(sum(1 for other in times if t - 1_000 < other <= t) <= limit for t in times)


def test_i5_two_processes_spend_one_budget(place):
    with place.open() as one, place.open() as two:
        spent = [spend(ledger, n, limit=3) for n, ledger in enumerate([one, two, one, two, one])]
    assert spent == [True, True, True, False, False]


def test_i5_a_scope_has_a_budget_of_its_own_and_a_limit_of_zero_allows_nothing(ledger):
    search, chat = Limit("namespace/search", 1, 3_600), Limit("namespace/chat", 1, 3_600)
    fleet = Limit(FLEET, 10, 3_600)
    of_search = replace(intent(0), scopes=(FLEET, "namespace/search"))
    assert ledger.record_intent(of_search, limits=[fleet, search]) is None
    assert ledger.record_intent(replace(of_search, command=intent(1).command), limits=[fleet, search]) == search
    of_chat = replace(intent(2), scopes=(FLEET, "namespace/chat"))
    assert ledger.record_intent(of_chat, limits=[fleet, chat]) is None
    nothing = Limit("owner/ana", 0, 3_600)
    assert ledger.record_intent(replace(of_chat, command=intent(3).command), limits=[nothing]) == nothing


def test_i5_an_intent_of_an_earlier_version_counts_in_every_scope(ledger):
    spend(ledger, 0)
    search = Limit("namespace/search", 1, 3_600)
    assert ledger.record_intent(replace(intent(1), scopes=("namespace/search",)), limits=[search]) == search


def test_i6_a_later_term_makes_the_ledger_refuse_intents_of_earlier_ones(ledger):
    ledger.begin_term(Term(1, "pod-a", 900))
    assert ledger.record_intent(replace(intent(0), epoch=1), limits=MANY) is None
    ledger.begin_term(Term(2, "pod-b", 950))
    for late in (replace(intent(1), epoch=1), intent(1)):
        ledger.led_by(lambda: 1)
        with pytest.raises(Superseded, match="term 2 of pod-b"):
            ledger.record_intent(late, limits=MANY)
    with pytest.raises(Superseded):
        ledger.begin_term(Term(2, "pod-c", 960))
    assert ledger.term() == Term(2, "pod-b", 950)
    assert [one.command.id for one in ledger.intents()] == ["a-0"]


def test_i6_a_persons_intent_is_of_the_term_of_the_leader(ledger):
    ledger.begin_term(Term(3, "pod-a", 900))
    assert ledger.record_intent(intent(0), limits=MANY) is None
    assert ledger.intent("a-0").epoch == 3


def test_i6_an_intent_of_a_process_that_is_not_the_leader_is_not_written(ledger):
    def epoch():
        raise NotLeader("not the leader", hint="wait")

    ledger.led_by(epoch)
    with pytest.raises(NotLeader):
        ledger.record_intent(intent(0), limits=MANY)
    assert ledger.intents() == []


def test_an_intent_that_is_watched_is_not_settled(ledger):
    spend(ledger, 0)
    ledger.record_outcome(Outcome("a-0", 1_001, OutcomeStatus.WATCHING, None, "2 to 0"))
    assert [one.command.id for one in ledger.unsettled()] == ["a-0"]
    ledger.record_outcome(Outcome("a-0", 1_900, OutcomeStatus.REVERTED, None, "back to 2"))
    assert ledger.unsettled() == []


def spend_five(place, first, barrier):
    """In a process of its own: five intents as fast as possible; how many were granted."""
    with place.open() as ledger:
        barrier.wait()
        return sum(spend(ledger, number, limit=3) for number in range(first, first + 5))


def test_i5_processes_at_the_same_time_spend_one_budget(place):
    """Also across a restart: a process that starts later finds the budget spent."""
    with place.open():
        pass
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        barrier = manager.Barrier(4)
        granted = pool.starmap(spend_five, [(place, 10 * process, barrier) for process in range(4)], chunksize=1)
    assert sum(granted) == 3
    with place.open() as later:
        assert len(later.intents()) == 3
        assert not spend(later, 99, limit=3)
        assert spend(later, 99, at_s=1_000 + 3_600, limit=3)
        later.check()


@pytest.mark.parametrize("crash", range(4))
def test_i5_a_crash_after_an_intent_does_not_return_its_budget(place, crash):
    """Killed between intent and outcome: the change may have taken place."""
    for number in range(4):
        with place.open() as ledger:
            granted = spend(ledger, number, limit=3)
            assert granted is (number < 3)
            if granted and number != crash:
                ledger.record_outcome(Outcome(f"a-{number}", 1_001, OutcomeStatus.APPLIED, None, ""))


@pytest.mark.parametrize("statement", ["UPDATE events SET body = '{}'", "DELETE FROM events"])
def test_i25_rows_are_never_changed(ledger, statement):
    spend(ledger, 0)
    with pytest.raises(LedgerError, match="append-only"), ledger._database.writing() as db:
        db.exec_driver_sql(statement)
    assert len(ledger.intents()) == 1


TAMPERING = {
    "a row changed": ["UPDATE events SET body = replace(body, 'policy', 'nobody') WHERE seq = 2"],
    "a row removed": ["DELETE FROM events WHERE seq = 2"],
    "two rows swapped": [
        "UPDATE events SET seq = 30 WHERE seq = 2",
        "UPDATE events SET seq = 2 WHERE seq = 3",
        "UPDATE events SET seq = 3 WHERE seq = 30",
    ],
    "a row added": ["INSERT INTO events VALUES (5, 1, 'outcome', 'a-9', '{}', 'f00d')"],
}


@pytest.mark.parametrize("name", TAMPERING)
def test_i25_tampering_with_the_file_is_detected(place, name):
    with place.open() as ledger:
        for number in range(4):
            spend(ledger, number)
    place.change(*TAMPERING[name])
    with pytest.raises(LedgerError, match="tampered with at row"):
        place.open()


@pytest.mark.parametrize("statement", ["UPDATE findings SET body = '{}'", "DELETE FROM findings"])
def test_i25_changed_findings_are_detected(place, statement):
    with place.open() as ledger:
        ledger.record_run(1, [], [Blocked(REF, "decide", Reason.PAUSED, "")])
        spend(ledger, 0)
    place.change(statement)
    with pytest.raises(LedgerError, match="tampered with at the findings of row 1"):
        place.open()


def test_a_run_replaces_the_findings_of_the_previous_run(ledger, place):
    for reason in (Reason.PAUSED, Reason.BUSY):
        ledger.record_run(1, [], [Blocked(REF, "decide", reason, "")])
    assert [item.reason for item in ledger.blocked()] == [Reason.BUSY]
    assert place.rows("SELECT count(*) FROM findings") == [(1,)]
    ledger.verify()


def test_a_corrupt_file_is_named_and_not_changed(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"ledger\.db is corrupt.*keep this file"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_a_folder_instead_of_the_file_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(LedgerError, match="check the path"):
        SqliteLedger(tmp_path)


def test_a_ledger_is_read_by_cluster(place):
    """Two clusters, one file: neither sees the other's actions, findings, pauses and nodes, nor spends its budget."""
    node = SeenNode("a1", "A100-80GB", 8, CapacityType.SPOT, 5, 1_000)
    blocked = Blocked(REF, "decide", Reason.RECOMMEND_ONLY, "mode recommend")
    pause = Directive("pause", "*", "ana", 5, "incident")
    with place.open() as alpha:
        alpha.belongs_to("alpha")
        assert spend(alpha, 0, limit=1)
        alpha.record_directive(pause)
        alpha.record_run(1_000, [], [blocked], (), [node])
    with place.open() as beta:
        beta.belongs_to("beta")
        assert (beta.intents(), beta.directives(), beta.blocked(), beta.nodes()) == ([], [], [], [])
        assert spend(beta, 1, limit=1)
        beta.record_run(2_000, [], [])
    with place.open() as again:
        again.belongs_to("alpha")
        assert [one.command.id for one in again.intents()] == ["a-0"]
        assert not spend(again, 2, limit=1)
        assert (again.directives(), again.blocked(), again.nodes()) == (
            [replace(pause, cluster="alpha")],
            [blocked],
            [node],
        )


def test_without_a_cluster_the_findings_of_each_are_read(place):
    """`gpuwise dismiss` without a connection finds what the latest run of any cluster recommended."""
    with place.open() as ledger:
        for cluster, name in (("alpha", "r-1"), ("beta", "r-2"), ("beta", "r-3")):
            ledger.belongs_to(cluster)
            ledger.record_run(1_000, [recommendation(name)], [])
        assert [one.id for one in ledger.recommendations()] == ["r-3"]
        ledger.belongs_to("")
        assert [one.id for one in ledger.recommendations()] == ["r-3", "r-1"]


def test_rows_of_no_known_cluster_belong_to_every_cluster(place):
    """A pause that was ordered without a connection, and the rows of earlier versions, count everywhere."""
    with place.open() as ledger:
        spend(ledger, 0)
        ledger.record_directive(Directive("pause", "*", "ana", 5, "incident"))
        ledger.belongs_to("beta")
        assert len(ledger.intents()) == len(ledger.directives()) == 1
        assert not spend(ledger, 1, limit=1)
