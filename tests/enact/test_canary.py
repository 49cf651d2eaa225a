"""A resize or a move to spot is made on a share of the pods first, and on the others after its check (I13)."""

from dataclasses import replace

import pytest
from tests.cluster_under_test import NAMESPACE
from tests.enact.conftest import NOW_S
from tests.enact.test_watching import LATENCY, MeasuredLevels, emulator_only, ended

from gpuwise.emulate.objects import deployment, pod_spec, statefulset
from gpuwise.enact import KubernetesEnactor
from gpuwise.model.changes import MoveToSpot, Resize
from gpuwise.model.command import FLEET, Directive, Limit, OutcomeStatus
from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import CANARY
from gpuwise.model.reasons import Reason

CANARY_S, WATCH_S = 300, 600
TWO, ONE = GpuRequest("nvidia.com/gpu", 2), GpuRequest("nvidia.com/gpu", 1)
KINDS = {"Deployment": deployment, "StatefulSet": statefulset}


class Rolled:
    """A workload of 4 pods with 2 GPUs each, and an enactor that gives 1 GPU to a quarter of them first."""

    def __init__(self, stage, kind="Deployment", levels=None, *, replicas=4, **settings):
        self.stage, self.kind, self.levels, self.now_s = stage, kind, levels, NOW_S
        given = {"watch_s": WATCH_S, "canary_share": 0.25, "canary_s": CANARY_S, "settle_timeout_s": 2.0}
        given |= {"levels": (LATENCY,)} if levels else {}
        self.settings = replace(stage.settings, **(given | settings))
        stage.add(KINDS[kind]("llm", replicas=replicas, spec=pod_spec(gpus=2)))
        self.before = self.spec()
        self.command = stage.command(kind, "llm", Resize(TWO, ONE), actor="ada")

    def enactor(self):
        """A new process each time: nothing but ledger and cluster is remembered."""
        return KubernetesEnactor(self.stage.cluster, self.stage.ledger, self.settings, lambda: self.now_s, self.levels)

    def begin(self, **settings):
        self.settings = replace(self.settings, **settings)
        (outcome,) = self.enactor().enact([self.command])
        self.stage.api.settle()
        return outcome

    def follow(self, at_s):
        self.now_s = NOW_S + at_s
        enactor = self.enactor()
        found = [*enactor.recover(), *enactor.follow()]
        self.stage.api.settle()
        return [one for one in found if one.command_id == self.command.id]

    def spec(self):
        return self.stage.get(self.kind, "llm")["spec"]

    def gpus(self):
        """How many GPUs each pod has."""
        limits = (pod["spec"]["containers"][0]["resources"]["limits"] for pod in self.stage.pods("llm"))
        return sorted(int(one["nvidia.com/gpu"]) for one in limits)

    def annotations(self):
        return self.stage.get(self.kind, "llm")["metadata"].get("annotations") or {}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


HELD = [1, 2, 2, 2]
"""The GPUs of the pods while the canary is checked: both kinds replace one, as far as their strategy allows it."""


def test_one_pod_is_changed_first_and_the_others_when_it_is_well(stage, kind):
    rolled = Rolled(stage, kind)
    assert rolled.begin().status is OutcomeStatus.WATCHING
    assert rolled.gpus() == HELD
    assert rolled.annotations()[CANARY].startswith("1 of 4 pods until ")

    assert rolled.follow(at_s=CANARY_S - 1) == []
    assert rolled.gpus() == HELD

    assert rolled.follow(at_s=CANARY_S) == []
    assert rolled.gpus() == [1, 1, 1, 1]
    assert CANARY not in rolled.annotations()
    after = rolled.spec()
    assert {key: value for key, value in after.items() if key != "template"} == {
        key: value for key, value in rolled.before.items() if key != "template"
    }
    assert ended(rolled.follow(at_s=CANARY_S + 1)) == (OutcomeStatus.APPLIED, None)
    assert stage.ledger.unsettled() == []


def test_i13_a_bad_canary_is_restored_and_the_others_never_change(stage, kind):
    rolled = Rolled(stage, kind, MeasuredLevels(0.9))
    rolled.begin()
    assert ended(rolled.follow(at_s=30)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
    assert rolled.gpus() == [2, 2, 2, 2]
    assert rolled.spec() == rolled.before
    assert CANARY not in rolled.annotations()


def test_i13_silence_at_the_end_of_the_canary_restores(stage, kind):
    rolled = Rolled(stage, kind, MeasuredLevels(SourceError("down", hint="start it")))
    rolled.begin()
    assert rolled.follow(at_s=30) == []
    assert ended(rolled.follow(at_s=CANARY_S)) == (OutcomeStatus.REVERTED, Reason.NO_EVIDENCE)
    assert rolled.gpus() == [2, 2, 2, 2]


def test_i13_a_level_that_breaks_when_all_have_the_change_restores_all(stage, kind):
    rolled = Rolled(stage, kind, MeasuredLevels(0.2, 0.9))
    rolled.begin()
    assert rolled.follow(at_s=CANARY_S) == []
    assert rolled.gpus() == [1, 1, 1, 1]
    assert ended(rolled.follow(at_s=CANARY_S + 30)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
    assert rolled.gpus() == [2, 2, 2, 2]
    assert rolled.spec() == rolled.before


def test_i5_both_writes_are_one_disruption(stage, kind):
    rolled = Rolled(stage, kind, limits=(Limit(FLEET, 1, 3_600),))
    assert rolled.begin().status is OutcomeStatus.WATCHING
    rolled.follow(at_s=CANARY_S)
    assert rolled.gpus() == [1, 1, 1, 1]
    action, step = stage.ledger.intents()
    assert (step.step_of, step.scopes, action.scopes) == (action.command.id, (), (FLEET,))


@pytest.mark.parametrize("at_s", [30, CANARY_S, CANARY_S + 30])
def test_i12_undo_restores_at_each_stage(stage, kind, at_s):
    rolled = Rolled(stage, kind, MeasuredLevels(0.2))
    rolled.begin()
    rolled.follow(at_s=at_s)
    assert rolled.enactor().undo(rolled.command.id).status is OutcomeStatus.UNDONE
    assert rolled.gpus() == [2, 2, 2, 2]
    assert rolled.spec() == rolled.before
    assert rolled.follow(at_s=at_s + 30) == []


def test_i12_what_somebody_changed_meanwhile_is_left_to_them(stage):
    rolled = Rolled(stage, "StatefulSet")
    rolled.begin()
    stage.patch("StatefulSet", "llm", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
    assert ended(rolled.follow(at_s=CANARY_S)) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)


def test_i26_the_stop_switch_keeps_the_others_from_following(stage, kind):
    rolled = Rolled(stage, kind, stop_namespace=NAMESPACE)
    rolled.begin()
    stage.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpuwise-stop", "namespace": "default"}})
    assert rolled.follow(at_s=CANARY_S) == []
    assert rolled.gpus() == HELD


def test_i26_a_pause_keeps_the_others_from_following(stage, kind):
    rolled = Rolled(stage, kind)
    rolled.begin()
    stage.ledger.record_directive(Directive("pause", "*", "ada", NOW_S, "incident"))
    assert rolled.follow(at_s=CANARY_S) == []
    assert rolled.gpus() == HELD
    stage.ledger.record_directive(Directive("resume", "*", "ada", NOW_S, ""))
    rolled.follow(at_s=CANARY_S + 60)
    assert rolled.gpus() == [1, 1, 1, 1]


def test_a_deployment_without_a_deadline_keeps_none(stage):
    """2**31 - 1 seconds: a sum with the length of the check would be no int32, and the API server would refuse it."""
    rolled = Rolled(stage)
    stage.patch("Deployment", "llm", {"spec": {"progressDeadlineSeconds": 2**31 - 1}})
    assert rolled.begin().status is OutcomeStatus.WATCHING
    assert rolled.spec()["progressDeadlineSeconds"] == 2**31 - 1


class TestCrashes:
    """The process dies at the second write; the next one goes on from the ledger and the object."""

    @pytest.fixture
    def rolled(self, stage, kind):
        found = Rolled(stage, kind)
        found.begin()
        return found

    def test_i8_before_the_write(self, stage, rolled):
        stage.api.fail(500, verb="patch", times=1)
        assert rolled.follow(at_s=CANARY_S) == []
        assert rolled.gpus() == HELD
        assert rolled.follow(at_s=CANARY_S + 30) == []  # its write may still be in flight
        assert rolled.gpus() == HELD
        rolled.follow(at_s=CANARY_S + 90)
        assert rolled.gpus() == [1, 1, 1, 1]
        assert ended(rolled.follow(at_s=CANARY_S + 91)) == (OutcomeStatus.APPLIED, None)

    def test_i8_after_the_write(self, stage, rolled):
        stage.ledger.loses_outcomes = True
        rolled.follow(at_s=CANARY_S)
        stage.ledger.loses_outcomes = False
        assert rolled.gpus() == [1, 1, 1, 1]
        assert ended(rolled.follow(at_s=CANARY_S + 1)) == (OutcomeStatus.APPLIED, None)
        assert stage.ledger.unsettled() == []
        assert len([one for one in stage.mutations if one.path.endswith("/llm")]) == 2

    def test_i31_after_the_write_without_an_answer(self, stage, rolled):
        stage.api.fail(500, verb="patch", times=1, done=True)
        rolled.follow(at_s=CANARY_S)
        assert rolled.gpus() == [1, 1, 1, 1]
        assert ended(rolled.follow(at_s=CANARY_S + 1)) == (OutcomeStatus.APPLIED, None)
        assert stage.ledger.unsettled() == []

    def test_i24_a_gpuwise_that_comes_back_late_gives_the_others_their_whole_watch(self, rolled):
        assert rolled.follow(at_s=86_400) == []
        assert rolled.gpus() == [1, 1, 1, 1]
        assert ended(rolled.follow(at_s=86_400 + 1)) == (OutcomeStatus.APPLIED, None)


class Killed(BaseException):
    """The process ends."""


class Dying:
    """A cluster and a ledger of a process that is killed before or after one of its writes.

    Args:
        at: number of the write, from 0.
        after: whether the write took place.
    """

    WRITES = frozenset({"patch", "record_intent", "record_outcome"})

    def __init__(self, at, *, after):
        self.at, self.after, self.writes = at, after, 0

    def around(self, target):
        outer = self

        class Wrapped:
            def __getattr__(self, name):
                found = getattr(target, name)
                return outer.counted(found) if name in Dying.WRITES else found

        return Wrapped()

    def counted(self, write):
        def call(*args, **kwargs):
            number, self.writes = self.writes, self.writes + 1
            if number == self.at and not self.after:
                raise Killed
            found = write(*args, **kwargs)
            if number == self.at:
                raise Killed
            return found

        return call


@pytest.mark.emulator_only(reason="a real controller may write between a read and a write, which is then repeated")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(7))
def test_i8_killed_at_any_write_it_ends_as_without_a_crash(stage, kind, at, after):
    """The writes: intent, object, outcome, the same three of the second write, and the outcome of the action."""
    rolled, dying = Rolled(stage, kind), Dying(at, after=after)

    def dying_enactor():
        cluster, ledger = dying.around(stage.cluster), dying.around(stage.ledger)
        return KubernetesEnactor(cluster, ledger, rolled.settings, lambda: rolled.now_s)

    def live():
        dying_enactor().enact([rolled.command])
        for rolled.now_s in (NOW_S + CANARY_S, NOW_S + CANARY_S + 1):
            stage.api.settle()
            dying_enactor().follow()

    with pytest.raises(Killed):
        live()
    stage.api.settle()

    for at_s in (70, 70 + CANARY_S, 140 + CANARY_S, 141 + CANARY_S):
        rolled.follow(at_s=at_s)
    status = stage.ledger.status(rolled.command.id)
    if status is OutcomeStatus.NOT_APPLIED:  # it was killed before its first write
        assert (at, after) in {(0, True), (1, False)}
        assert rolled.spec() == rolled.before
    elif (at, after) == (0, False):
        assert stage.ledger.intents() == []
    else:
        assert status is OutcomeStatus.APPLIED
        assert rolled.gpus() == [1, 1, 1, 1]
        assert CANARY not in rolled.annotations()
        assert len([one for one in stage.mutations if one.path.endswith("/llm")]) == 2
    assert stage.ledger.unsettled() == []


@emulator_only
def test_a_canary_that_runs_out_of_memory_is_restored(stage, kind):
    rolled = Rolled(stage, kind)
    rolled.begin()
    (pod,) = (
        one
        for one in stage.pods("llm")
        if one["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    )
    killed = {"name": "main", "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    stage.cluster.patch(
        f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status",
        {"status": {"containerStatuses": [pod["status"]["containerStatuses"][0] | killed]}},
        content_type="application/merge-patch+json",
    )
    assert ended(rolled.follow(at_s=30)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
    assert rolled.gpus() == [2, 2, 2, 2]


def test_the_outcome_says_that_all_are_changed_at_once(stage):
    outcome = Rolled(stage, levels=MeasuredLevels(0.2), replicas=1).begin()
    assert outcome.status is OutcomeStatus.WATCHING
    assert outcome.detail.endswith("(no canary: its replicas are 1)")


def test_a_deployment_never_has_more_pods_at_once_than_its_owner_allows(stage):
    rolled = Rolled(stage, replicas=4, canary_share=0.5)
    rolled.begin()
    spec = rolled.spec()
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 1}  # 25 % of each before
    assert spec["progressDeadlineSeconds"] > spec["minReadySeconds"] == CANARY_S
    assert rolled.gpus().count(1) == 2


def test_a_move_to_spot_is_on_a_share_first(stage):
    rolled = Rolled(stage)
    rolled.command = stage.command("Deployment", "llm", MoveToSpot(), actor="ada")
    assert rolled.begin().status is OutcomeStatus.WATCHING
    assert rolled.annotations()[CANARY].startswith("1 of 4 pods")


@pytest.mark.parametrize(
    ("change", "settings", "why"),
    [
        ({}, {"replicas": 1}, "its replicas are 1"),
        ({"strategy": {"type": "Recreate", "rollingUpdate": None}}, {}, "its strategy replaces all pods at once"),
        ({}, {"watch_s": 0}, "enact.watch.seconds is 0, so no pod is checked"),
    ],
)
def test_where_no_share_can_be_changed_first_the_outcome_says_so(stage, change, settings, why):
    rolled = Rolled(stage, **settings)
    if change:
        stage.patch("Deployment", "llm", {"spec": change})
    assert rolled.begin(dry_run=True).detail.endswith(f"(no canary: {why})")
    rolled.begin(dry_run=False)
    assert CANARY not in rolled.annotations()
    assert set(rolled.gpus()) == {1}


def test_without_a_share_nothing_but_the_template_is_changed(stage):
    rolled = Rolled(stage, canary_share=0.0)
    assert rolled.begin().status is OutcomeStatus.APPLIED
    after = rolled.spec()
    assert {key for key in after if after[key] != rolled.before.get(key)} == {"template"}
