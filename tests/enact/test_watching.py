"""The check after a write: pods and service levels are watched, and what fails or is silent is restored (I13)."""

import pytest
from tests.enact.conftest import NOW_S

from gpuwise.emulate.objects import budget, deployment, node, pod_spec
from gpuwise.enact import KubernetesEnactor
from gpuwise.model.changes import Resize, ScaleTo
from gpuwise.model.command import OutcomeStatus, ServiceLevel
from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.reasons import Reason
from gpuwise.sources.kubernetes.fit import ClusterFit

WATCH_S = 600
LATENCY = ServiceLevel("latency", 'p99{namespace="$namespace", service="$name"}', at_most=0.5)
FOUR, ONE = GpuRequest("nvidia.com/gpu", 4), GpuRequest("nvidia.com/gpu", 1)
emulator_only = pytest.mark.emulator_only(reason="it writes the status of pods, which a kubelet would overwrite")


def quota_of(hard):
    metadata = {"name": "team", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


class MeasuredLevels:
    """Answers each query with the next of the given values; the last one stays."""

    def __init__(self, *values):
        self.values, self.asked = list(values), []

    def value(self, level):
        self.asked.append(level.query)
        found = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(found, Exception):
            raise found
        return found


class Watched:
    """An enactor that watches, with a clock that the test sets."""

    def __init__(self, stage, levels=None, *, settle_timeout_s=5.0):
        self.stage, self.now_s = stage, NOW_S
        self.settings = {"watch_s": WATCH_S, "settle_timeout_s": settle_timeout_s}
        self.settings |= {"levels": (LATENCY,)} if levels else {}
        self.levels = levels

    def enactor(self):
        from dataclasses import replace

        settings = replace(self.stage.settings, **self.settings)
        return KubernetesEnactor(self.stage.cluster, self.stage.ledger, settings, lambda: self.now_s, self.levels)

    def enact(self, command):
        (outcome,) = self.enactor().enact([command])
        return outcome

    def follow(self, at_s=0):
        """A new process each time: nothing but ledger and cluster is remembered."""
        self.now_s = NOW_S + at_s
        self.enactor().recover()
        return self.enactor().follow()


def ended(outcomes):
    ((outcome),) = outcomes
    return outcome.status, outcome.reason


def test_without_service_levels_a_stop_is_applied_when_its_pods_are_gone(stage):
    stage.add(deployment("llm", replicas=2))
    outcome = Watched(stage).enact(stage.command("Deployment", "llm"))
    assert (outcome.status, outcome.reason) == (OutcomeStatus.APPLIED, None)
    assert stage.pods("llm") == []


@emulator_only
def test_incident_llmkube_192_and_airunway_400_a_stuck_rolling_update_is_failed_and_restored(stage):
    """The case acting/rolling-update-deadlock: the new pod never finds a GPU while the old one stays."""
    stage.api.reset([node("n1")])
    stage.add(deployment("one", spec=pod_spec(gpus=4)), deployment("busy", spec=pod_spec(gpus=4)))
    watched = Watched(stage, settle_timeout_s=0.0)
    command = stage.command("Deployment", "one", Resize(FOUR, ONE), actor="ada")
    before = stage.get("Deployment", "one")["spec"]

    assert watched.enact(command).status is OutcomeStatus.WATCHING
    assert watched.follow(at_s=60) == []
    assert ended(watched.follow(at_s=WATCH_S)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)

    stage.api.settle()
    assert stage.get("Deployment", "one")["spec"] == before
    assert [one["status"]["phase"] for one in stage.pods("one")] == ["Running"]
    assert stage.ledger.unsettled() == []


def test_a_resize_is_applied_when_the_new_pods_are_ready(stage):
    stage.add(deployment("llm", spec=pod_spec(gpus=4)))
    outcome = Watched(stage).enact(stage.command("Deployment", "llm", Resize(FOUR, ONE), actor="ada"))
    assert outcome.status is OutcomeStatus.APPLIED
    (pod,) = stage.pods("llm")
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}


class TestServiceLevels:
    @pytest.fixture
    def scaled(self, stage):
        stage.add(deployment("llm", replicas=3))
        return stage

    def run(self, stage, levels):
        watched = Watched(stage, levels)
        outcome = watched.enact(stage.command("Deployment", "llm", ScaleTo(1)))
        assert outcome.status is OutcomeStatus.WATCHING
        return watched

    def test_i13_a_level_out_of_its_bounds_restores_at_once(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.9))
        assert ended(watched.follow(at_s=30)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
        assert len(scaled.pods("llm")) == 3
        assert watched.levels.asked[0].endswith('service="llm"}')

    def test_i13_silence_at_the_end_restores(self, scaled):
        """Prometheus went down during the check: hold, then revert."""
        watched = self.run(scaled, MeasuredLevels(SourceError("down", hint="start it")))
        assert watched.follow(at_s=30) == []
        assert ended(watched.follow(at_s=WATCH_S)) == (OutcomeStatus.REVERTED, Reason.NO_EVIDENCE)
        assert len(scaled.pods("llm")) == 3

    @pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
    def test_i13_no_number_is_no_evidence(self, scaled, value):
        watched = self.run(scaled, MeasuredLevels(value))
        assert ended(watched.follow(at_s=WATCH_S))[0] is OutcomeStatus.REVERTED

    def test_levels_within_their_bounds_until_the_end_apply(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.2))
        assert watched.follow(at_s=WATCH_S - 1) == []
        assert ended(watched.follow(at_s=WATCH_S)) == (OutcomeStatus.APPLIED, None)
        assert len(scaled.pods("llm")) == 1

    def test_i12_what_somebody_changed_meanwhile_is_left_to_them(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.9))
        scaled.patch("Deployment", "llm", {"spec": {"replicas": 2}})
        assert ended(watched.follow(at_s=30)) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)
        assert len(scaled.pods("llm")) == 2

    def test_i24_an_api_that_fails_meanwhile_only_delays_the_end(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.9))
        scaled.api.fail(500, verb="patch", times=1)
        assert watched.follow(at_s=30) == []
        assert ended(watched.follow(at_s=31)) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
        assert watched.follow(at_s=32) == []

    def test_i8_a_crash_after_the_restore_is_resolved_from_the_object(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.9))
        scaled.ledger.loses_outcomes = True
        watched.follow(at_s=30)
        scaled.ledger.loses_outcomes = False
        assert ended(watched.follow(at_s=31))[0] is OutcomeStatus.REVERTED
        assert len(scaled.pods("llm")) == 3

    def test_a_person_can_undo_what_is_being_watched(self, scaled):
        watched = self.run(scaled, MeasuredLevels(0.2))
        (intent,) = scaled.ledger.unsettled()
        assert watched.enactor().undo(intent.command.id).status is OutcomeStatus.UNDONE
        assert watched.follow(at_s=30) == []


@emulator_only
def test_incident_autoscaler_6705_and_krr_110_a_resized_container_that_is_killed_is_restored(stage):
    stage.add(deployment("llm", spec=pod_spec(gpus=4)))
    watched = Watched(stage, MeasuredLevels(0.2))
    assert watched.enact(stage.command("Deployment", "llm", Resize(FOUR, ONE), actor="ada")).status.value == "watching"
    stage.api.settle()
    (pod,) = stage.pods("llm")
    killed = {"name": "main", "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    stage.cluster.patch(
        f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status",
        {"status": {"containerStatuses": [pod["status"]["containerStatuses"][0] | killed]}},
        content_type="application/merge-patch+json",
    )
    (outcome,) = watched.follow(at_s=30)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
    assert "OOMKilled" in outcome.detail


def test_a_budget_does_not_keep_an_effect_from_being_restored(stage):
    stage.add(deployment("llm", replicas=3), budget("pdb", app="llm", maxUnavailable=2))
    watched = Watched(stage, MeasuredLevels(0.9))
    watched.enact(stage.command("Deployment", "llm", ScaleTo(2)))
    assert ended(watched.follow(at_s=30))[0] is OutcomeStatus.REVERTED


def test_i32_an_object_that_cannot_be_read_does_not_end_the_checks_of_the_others(stage, monkeypatch):
    stage.add(deployment("llm", replicas=3), deployment("odd", replicas=3))
    watched = Watched(stage, MeasuredLevels(0.2))
    odd, good = (stage.command("Deployment", name, ScaleTo(2)) for name in ("odd", "llm"))
    watched.enact(odd), watched.enact(good)
    read = stage.cluster.list

    def with_an_odd_pod(path, **selectors):
        found = list(read(path, **selectors))
        unreadable = {"status": {"conditions": [{}]}}
        return [one | unreadable if one["metadata"]["name"].startswith("odd") else one for one in found]

    monkeypatch.setattr(stage.cluster, "list", with_an_odd_pod)
    outcomes = {one.command_id: one for one in watched.follow(at_s=WATCH_S)}
    assert outcomes[good.id].status is OutcomeStatus.APPLIED
    assert (outcomes[odd.id].status, outcomes[odd.id].reason) == (OutcomeStatus.FAILED, Reason.UNREADABLE_OBJECT)


class TestFit:
    """A rolling update whose new pod finds no node does not begin."""

    def resized(self, stage, **spec):
        stage.api.reset([node("n1")])
        one, busy = deployment("one", spec=pod_spec(gpus=4)), deployment("busy", spec=pod_spec(gpus=4))
        one["spec"] |= spec
        stage.add(one, busy)
        command = stage.command("Deployment", "one", Resize(FOUR, ONE), actor="ada")
        enactor = KubernetesEnactor(
            stage.cluster, stage.ledger, stage.settings, lambda: NOW_S, fit=ClusterFit(stage.cluster)
        )
        (outcome,) = enactor.enact([command])
        return outcome

    def test_incident_llmkube_192_on_a_full_node_it_is_refused_with_the_reason(self, stage):
        outcome = self.resized(stage)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, Reason.NO_SPACE)
        assert "0 of nvidia.com/gpu free" in outcome.detail
        assert stage.mutations == []

    def test_a_deployment_that_ends_its_pod_first_has_the_space(self, stage):
        assert self.resized(stage, strategy={"type": "Recreate"}).status is OutcomeStatus.APPLIED

    def test_a_slice_that_no_node_offers_is_refused(self, stage):
        stage.api.reset([node("n1")])
        stage.add(deployment("one", spec=pod_spec(gpus=4)))
        slice_ = GpuRequest("nvidia.com/mig-1g.10gb", 1)
        command = stage.command("Deployment", "one", Resize(FOUR, slice_), actor="ada")
        enactor = KubernetesEnactor(
            stage.cluster, stage.ledger, stage.settings, lambda: NOW_S, fit=ClusterFit(stage.cluster)
        )
        assert enactor.enact([command])[0].reason is Reason.NO_SPACE

    @pytest.mark.parametrize("spec", [{"taints": [{"key": "a", "effect": "NoSchedule"}]}, {"unschedulable": True}])
    def test_a_node_that_takes_no_pods_is_no_space(self, stage, spec):
        one = node("n1")
        stage.api.reset([one])
        stage.add(deployment("one", spec=pod_spec(gpus=4)))
        stage.cluster.patch("/api/v1/nodes/n1", {"spec": spec}, content_type="application/merge-patch+json")
        assert ClusterFit(stage.cluster).refusal(pod_spec(), set()) is not None
        assert ClusterFit(stage.cluster).refusal(pod_spec(schedulerName="volcano"), set()) is None


class TestQuota:
    """A resize that a quota would refuse does not begin: its rollout would stand still between two templates."""

    def resized(self, stage, hard, *, gpus=1, **spec):
        one = deployment("one", spec=pod_spec(gpus=4))
        one["spec"] |= spec
        stage.add(quota_of(hard), one)
        stage.api.settle()
        command = stage.command("Deployment", "one", Resize(FOUR, GpuRequest("nvidia.com/gpu", gpus)), actor="ada")
        enactor = KubernetesEnactor(
            stage.cluster, stage.ledger, stage.settings, lambda: NOW_S, fit=ClusterFit(stage.cluster)
        )
        (outcome,) = enactor.enact([command])
        return outcome

    def test_a_full_quota_refuses_with_its_name(self, stage):
        outcome = self.resized(stage, {"requests.nvidia.com/gpu": "4"})
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, Reason.OVER_QUOTA)
        assert "the quota team allows 4 of requests.nvidia.com/gpu" in outcome.detail
        assert stage.mutations == []

    def test_a_deployment_that_ends_its_pod_first_is_within_the_quota(self, stage):
        found = self.resized(stage, {"requests.nvidia.com/gpu": "4"}, strategy={"type": "Recreate"})
        assert found.status is OutcomeStatus.APPLIED

    def test_a_quota_with_space_for_one_more_pod(self, stage):
        assert self.resized(stage, {"requests.nvidia.com/gpu": "5", "pods": "2"}).status is OutcomeStatus.APPLIED

    @pytest.mark.parametrize(("code", "reason"), [(403, Reason.NO_RIGHT), (500, Reason.REFUSED_BY_CLUSTER)])
    def test_a_quota_that_cannot_be_read_refuses(self, stage, code, reason):
        stage.add(quota_of({"pods": "9"}))
        stage.api.fail(code, path="resourcequotas", times=9)
        outcome = self.resized(stage, {"pods": "9"})
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, reason)
        assert "quotas" in outcome.detail
        assert stage.mutations == []
