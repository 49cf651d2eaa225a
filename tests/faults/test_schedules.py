"""Schedules of faults: those that must find nothing, and bugs that they must find."""

import os

import pytest
from tests.faults.cluster import InProcessClient
from tests.faults.points import Fault
from tests.faults.run import many, report, some
from tests.faults.schedule import drawn, lived, plans, run
from tests.faults.targets import SUBJECTS

from gpuwise.enact import enactor, examine
from gpuwise.memory.ledger import SqliteLedger

DRAWN = 100_000
"""A seed above those of the planned schedules."""


def first_violation(*names, among=range(DRAWN, DRAWN + 400), play=drawn):
    """The first schedule that violates one of these invariants, None if none does."""
    for seed in among:
        for text in play(seed).violations:
            if text.startswith(names):
                return text
    return None


def meddled(fault, *names):
    """The first violation if this happens at one of the failpoints in the life of one target."""
    _, passed = lived(SUBJECTS[0], {})
    numbers = range(1, len(passed) + 1)
    return first_violation(*names, among=numbers, play=lambda number: lived(SUBJECTS[0], {number: fault})[0])


def rewrite(monkeypatch, change):
    """Change the body of each patch on its way to the API server."""
    patch = InProcessClient.patch

    def rewritten(self, path, body, **options):
        return patch(self, path, change(body), **options)

    monkeypatch.setattr(InProcessClient, "patch", rewritten)


def test_a_handful_of_schedules_violates_nothing():
    found = some(DRAWN, 40)
    assert found.violations == 0, report(found, 0.0)
    assert found.schedules == 40
    assert len(found.tally.crashed) > 20


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.label)
def test_i24_without_faults_each_target_is_changed_and_undone_once(subject):
    result, passed = lived(subject, {})
    assert result.violations == []
    assert len(passed) > 10
    roles = [line.split(": ")[-1].split()[0] for line in result.trace if ": writes " in line]
    assert roles == ["apply", "restore"]


def test_i8_a_crash_at_each_failpoint_of_one_action():
    crashes = [seed for seed, (subject, faults) in enumerate(plans()) if subject == SUBJECTS[0] and len(faults) == 1]
    points = set()
    for seed in crashes:
        result = run(seed)
        assert result.violations == [], "\n".join(result.trace)
        points.update(result.tally.crashed)
    _, passed = lived(SUBJECTS[0], {})
    assert len(points) >= len(set(passed))
    assert {point.write for point in points} == {
        "begin_term", "record_intent", "patch deployments", "record_outcome", "record_run", "record_directive",
    }  # fmt: skip


def test_a_schedule_is_the_same_each_time():
    for seed in (7, DRAWN + 3):
        assert run(seed).trace == run(seed).trace


@pytest.mark.parts
def test_two_thousand_schedules_hit_every_crash_point_and_violate_nothing():
    *_, found = many(2_000, os.cpu_count() or 1)
    assert (found.violations, found.tally.missed) == (0, []), report(found, 0.0)


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

    @pytest.mark.parts  # a person's command between a decision and its effect: about one schedule in 200
    def test_i5_without_the_budgets_compare_and_swap(self, monkeypatch):
        def unlimited(self, intent, *, limits):
            return record_intent(self, intent, limits=())

        record_intent = SqliteLedger.record_intent
        monkeypatch.setattr(SqliteLedger, "record_intent", unlimited)
        assert first_violation("I5") is not None

    def test_i6_without_the_check_of_the_epoch(self, monkeypatch):
        monkeypatch.setattr("tests.faults.world.Lease.epoch_of", lambda self, holder, now_s: self.epoch)
        monkeypatch.setattr(SqliteLedger, "_reject_earlier", lambda self, epoch: None)
        assert first_violation("I6") is not None

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
            return enactor._outcome(intent.command, now_s, status, enactor.Reason.REFUSED_BY_CLUSTER, str(error))

        monkeypatch.setattr(enactor.KubernetesEnactor, "_after_error", granted)
        assert first_violation("I31") is not None
