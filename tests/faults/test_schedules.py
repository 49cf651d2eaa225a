"""Schedules of faults: those that must find nothing, and bugs that they must find."""

import os

import pytest
from tests.faults.cluster import InProcessClient
from tests.faults.lives import lived, plans, undone
from tests.faults.points import Fault
from tests.faults.run import many, report, some
from tests.faults.schedule import drawn, run
from tests.faults.targets import SUBJECTS

from gpuwise.enact import enactor, examine
from gpuwise.enact.nodes import NodeActions
from gpuwise.enact.outcomes import outcome_of
from gpuwise.enact.recovering import Recoverer
from gpuwise.enact.watching import Watcher
from gpuwise.lead import Leader
from gpuwise.memory.ledger import SqliteLedger

DRAWN = 100_000
"""A seed above those of the planned schedules."""


def first_violation(*names, among=range(DRAWN, DRAWN + 200), play=drawn, text=""):
    """The first schedule that violates one of these invariants with this text, None if none does."""
    for seed in among:
        for found in play(seed).violations:
            if found.startswith(names) and text in found:
                return found
    return None


def only(*names):
    """Draw schedules with these targets only."""
    chosen = tuple(one for one in SUBJECTS if one.name in names)
    return lambda seed: drawn(seed, chosen)


WATCHED = only("api", "group")
CANARIES = only("tiers", "front")


def meddled(fault, *names, target="web"):
    """The first violation if this happens at one of the failpoints in the life of one target."""
    subject = next(one for one in SUBJECTS if one.name == target)
    numbers = range(1, len(lived(subject, {})[1]) + 1)
    return first_violation(*names, among=numbers, play=lambda number: lived(subject, {number: fault})[0])


def rewrite(monkeypatch, change):
    """Change the body of each patch on its way to the API server."""
    patch = InProcessClient.patch

    def rewritten(self, path, body, **options):
        return patch(self, path, change(body) if isinstance(body, list) else body, **options)

    monkeypatch.setattr(InProcessClient, "patch", rewritten)


@pytest.mark.xdist_group("schedules")  # one worker enumerates the crash points, 8 s
def test_a_handful_of_schedules_violates_nothing():
    found = some(DRAWN, 25)
    assert found.violations == 0, report(found, 0.0)
    assert found.schedules == 25
    assert len(found.tally.crashed) > 20


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.label)
def test_i24_without_faults_each_target_is_changed_and_undone_once(subject):
    result, passed = lived(subject, {})
    assert result.violations == []
    assert len(passed) > 10
    roles = [line.split(": ")[-1].split()[0] for line in result.trace if ": writes " in line]
    steps = {"drained": ["step", "step", "end"], "sliced": ["step"], "tiers": ["promote"], "front": ["promote"]}
    assert roles == ["apply", *steps.get(subject.name, []), "restore"]


@pytest.mark.parts
def test_i8_a_crash_at_each_failpoint_of_one_action():
    ours = [
        (seed, faults)
        for seed, (subject, life, faults) in enumerate(plans())
        if (subject, life) == (SUBJECTS[0], undone)
    ]
    crashes = [seed for seed, faults in ours if len(faults) == 1]
    points = set()
    for seed in crashes:
        result = run(seed)
        assert result.violations == [], "\n".join(result.trace)
        points.update(result.tally.crashed)
    _, passed = lived(SUBJECTS[0], {})
    assert len(points) >= len(set(passed))
    assert {point.write for point in points} == {
        "begin_term", "create leases", "patch leases", "record_intent", "patch deployments", "record_outcome",
        "record_run", "record_directive",
    }  # fmt: skip


@pytest.mark.xdist_group("schedules")
def test_a_schedule_is_the_same_each_time():
    for seed in (7, DRAWN + 3):
        assert run(seed).trace == run(seed).trace


@pytest.mark.parts
def test_two_thousand_schedules_hit_every_crash_point_and_violate_nothing():
    *_, found = many(0, 2_000, os.cpu_count() or 1)
    assert (found.violations, found.tally.missed) == (0, []), report(found, 0.0)


def without_epochs(monkeypatch):
    """A process that was the leader once goes on writing."""
    monkeypatch.setattr(Leader, "epoch", lambda self: self._held.epoch if self._held is not None else 0)
    monkeypatch.setattr(SqliteLedger, "_reject_earlier", lambda self, db, epoch: None)


@pytest.mark.parts  # two minutes on two cores
class TestBugsThatAreFound:
    """Each test removes one safeguard of the product; the schedules must show what it is for."""

    def test_i9_without_the_resource_version(self, monkeypatch):
        rewrite(monkeypatch, lambda body: [one for one in body if one["path"] != "/metadata/resourceVersion"])
        assert "had not seen" in (meddled(Fault.EDIT, "I9") or "")

    def test_i9_without_the_uid(self, monkeypatch):
        """The resourceVersion of a recreated object differs, too: without both, another object is written."""
        both = ("/metadata/resourceVersion", "/metadata/uid")
        rewrite(monkeypatch, lambda body: [one for one in body if one["path"] not in both])
        assert "another uid" in (meddled(Fault.RECREATE, "I9") or "")

    # A person's command between a decision and its effect: about one schedule in 200.
    def test_i5_without_the_budgets_compare_and_swap(self, monkeypatch):
        def unlimited(self, intent, *, limits):
            return record_intent(self, intent, limits=())

        record_intent = SqliteLedger.record_intent
        monkeypatch.setattr(SqliteLedger, "record_intent", unlimited)
        assert first_violation("I5") is not None

    def test_i6_without_the_check_of_the_epoch_and_the_fence(self, monkeypatch):
        without_epochs(monkeypatch)
        monkeypatch.setattr(Recoverer, "_fenced", lambda self, intent, now_s: None)
        monkeypatch.setattr(
            "tests.faults.failing._STOPPED_S", (20,)
        )  # the intent is then still open for the next leader
        assert meddled(Fault.STALL, "I6") is not None

    def test_i6_without_the_check_of_the_epoch_for_the_steps_of_a_node(self, monkeypatch):
        """An eviction cannot be fenced: only the epoch keeps an earlier leader from it."""
        without_epochs(monkeypatch)
        assert "/eviction" in (meddled(Fault.STALL, "I6", target="drained") or "")

    def test_i8_without_recover(self, monkeypatch):
        monkeypatch.setattr(enactor.KubernetesEnactor, "recover", lambda self: [])
        assert first_violation("I8", "I24") is not None

    def test_i10_without_the_check_just_before_the_effect(self, monkeypatch):
        monkeypatch.setattr(examine, "blocker", lambda *args: None)
        assert first_violation("I10") is not None

    def test_i12_an_undo_that_restores_a_part(self, monkeypatch):
        def without_the_fields(body):
            undo = any(one["op"] == "remove" and one["path"].endswith("action-id") for one in body)
            return [one for one in body if not undo or one["path"].startswith("/metadata")]

        rewrite(monkeypatch, without_the_fields)
        assert first_violation("I12") is not None

    def test_i15_without_the_breaker(self, monkeypatch):
        monkeypatch.setattr("gpuwise.decide.history.History.failures", lambda self, uid: None)
        assert first_violation("I15") is not None

    def test_i31_an_outcome_that_is_taken_for_granted(self, monkeypatch):
        """Every error of a write counts as "not applied", although only the response may be lost."""

        def granted(self, intent, error):
            now_s, status = self._clock(), enactor.OutcomeStatus.NOT_APPLIED
            return outcome_of(intent.command, now_s, status, enactor.Reason.REFUSED_BY_CLUSTER, str(error))

        monkeypatch.setattr(enactor.KubernetesEnactor, "_after_error", granted)
        assert first_violation("I31") is not None

    def test_i31_a_step_of_a_node_that_is_taken_for_granted(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.node_steps.answered", lambda error: enactor.Reason.REFUSED_BY_CLUSTER)
        assert meddled(Fault.TIMEOUT, "I31", target="sliced") is not None

    def test_i13_a_breach_that_is_ignored(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.watching.within", lambda level, value: True)
        assert first_violation("I13", play=WATCHED, text="counts as applied") is not None

    def test_i13_silence_that_is_good_news(self, monkeypatch):
        value = Watcher._value
        monkeypatch.setattr(Watcher, "_value", lambda self, level: value(self, level) or 0.0)
        assert first_violation("I13", play=WATCHED, text="counts as applied") is not None

    def test_i13_a_revert_that_is_recorded_and_not_written(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.following.patch_target", lambda *args: None)
        assert first_violation("I13", play=WATCHED, text="counts as restored") is not None

    def test_i31_pods_that_follow_a_canary_in_the_ledger_alone(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.promoting.patch_target", lambda *args: None)
        assert first_violation("I31", play=CANARIES, text="was never written") is not None

    def test_i17_a_stop_whose_annotation_cannot_be_read(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.effects.instructions", lambda *args: "")
        assert first_violation("I17") is not None

    def test_i10_pods_that_are_deleted_and_not_evicted(self, monkeypatch):
        """A PodDisruptionBudget limits evictions only."""

        def create(self, path, body):
            return self.delete(path.removesuffix("/eviction")) if path.endswith("/eviction") else made(self, path, body)

        made = InProcessClient.create
        monkeypatch.setattr(InProcessClient, "create", create)
        assert "PodDisruptionBudget" in (meddled(Fault.DISRUPTION_BUDGET, "I10", target="drained") or "")

    def test_i9_an_eviction_without_preconditions(self, monkeypatch):
        def create(self, path, body):
            return made(self, path, {key: value for key, value in body.items() if key != "deleteOptions"})

        made = InProcessClient.create
        monkeypatch.setattr(InProcessClient, "create", create)
        assert meddled(Fault.PROTECT, "I9", target="drained") is not None

    def test_i21_a_layout_that_is_changed_under_a_process(self, monkeypatch):
        measured = NodeActions._memory_used
        monkeypatch.setattr(NodeActions, "_memory_used", lambda self, node: measured(self, node) and 0.0)
        assert meddled(Fault.BREACH, "I21", target="sliced") is not None

    def test_i26_a_pause_that_the_steps_of_a_node_ignore(self, monkeypatch):
        monkeypatch.setattr("gpuwise.enact.nodes.pause_in_force", lambda directives: None)
        assert meddled(Fault.PAUSE, "I26", target="drained") is not None
