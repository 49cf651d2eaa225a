"""Every kind is stopped and started again from its object alone (I17); the stop itself is in one write."""

import json
from dataclasses import replace

import pytest
from tests.cluster_under_test import KUBECONFIG, NAMESPACE
from tests.custom_kinds import CUSTOM, admitted, custom_object, definition
from tests.enact.conftest import NOW_S, Stage

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.objects import deployment, job, pod_spec, statefulset
from gpuwise.enact import KubernetesEnactor
from gpuwise.enact.wake import wake
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.findings import Finding
from gpuwise.model.kinds import KINDS, QUEUED, STOPPABLE
from gpuwise.model.labels import ACTION_ID, CHECKPOINTED, WAKE, WAKE_AT, WOKEN
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import NEXT_USE, Evidence, Recommendation, Saving

MARKED = {"annotations": {CHECKPOINTED: "true"}}
BUILT_IN = {
    "Deployment": deployment("deployment", replicas=2, **MARKED),
    "StatefulSet": statefulset("statefulset", replicas=2, **MARKED),
    "ReplicaSet": deployment("replicaset", **MARKED) | {"kind": "ReplicaSet"},
    "Job": job("job", **MARKED),
}


def add(stage, kind):
    """An object of a kind, named after it; with the schema of its definition on the emulator."""
    row = KINDS[kind]
    if kind in BUILT_IN:
        stage.add(BUILT_IN[kind])
    else:
        if KUBECONFIG is None:
            stage.add(definition(row))
        stage.add(custom_object(row))
    return row


def read(stage, row):
    return stage.cluster.get(row.path(NAMESPACE, row.name.lower(), row.versions[0]))


def order(stage, row, change=None):
    uid = read(stage, row)["metadata"]["uid"]
    return stage.command(row.name, row.name.lower(), change or ScaleTo(0), uid=uid)


def bare(item):
    return item["spec"], {k: v for k, v in item["metadata"].get("annotations", {}).items() if "deployment." not in k}


def unmarked(item, command):
    """An object that was woken, without the one annotation that shows which action had stopped it."""
    spec, annotations = bare(item)
    assert annotations.pop(WOKEN) == command.id
    return spec, annotations


def test_the_table_has_each_kind_that_can_be_stopped():
    assert set(BUILT_IN) | set(CUSTOM) == STOPPABLE
    assert all(row.source.startswith("https://") for row in KINDS.values())
    assert all(row.stop or row.refused for row in KINDS.values())


@pytest.mark.parametrize("kind", sorted(STOPPABLE))
def test_i17_each_kind_is_stopped_by_one_write_and_woken_from_its_object_alone(stage, kind):
    row = add(stage, kind)
    before = bare(read(stage, row))
    seen = len(stage.mutations)

    command = order(stage, row)
    outcome = stage.enact(command)

    assert outcome.status is OutcomeStatus.APPLIED, outcome
    assert len(stage.mutations) == seen + 1
    assert bare(read(stage, row)) != before
    assert wake(stage.cluster, NAMESPACE, kind.lower(), row.name.lower()).changed
    assert unmarked(read(stage, row), command) == before
    writes = len(stage.mutations)
    again = wake(stage.cluster, NAMESPACE, kind, row.name.lower())
    assert (again.changed, len(stage.mutations)) == (False, writes)


@pytest.mark.parametrize("kind", sorted(STOPPABLE))
def test_undo_restores_each_kind_exactly(stage, kind):
    row = add(stage, kind)
    before = bare(read(stage, row))
    command = order(stage, row)
    stage.enact(command)
    assert stage.undo(command).status is OutcomeStatus.UNDONE
    assert bare(read(stage, row)) == before


@pytest.mark.parametrize("kind", ["Deployment", "PyTorchJob", "Notebook", "InferenceService"])
def test_i17_the_annotation_is_a_merge_patch_for_kubectl(stage, kind):
    """`kubectl patch --type merge -p` with the value of the annotation is the whole manual procedure."""
    row = add(stage, kind)
    before = bare(read(stage, row))
    command = order(stage, row)
    stage.enact(command)
    patch = json.loads(read(stage, row)["metadata"]["annotations"][WAKE])
    path = row.path(NAMESPACE, row.name.lower(), row.versions[0])
    stage.cluster.patch(path, patch, content_type="application/merge-patch+json")
    assert unmarked(read(stage, row), command) == before


def test_pods_run_again_after_a_wake(stage):
    stage.add(deployment("llm", replicas=3))
    stage.enact(stage.command("Deployment", "llm"))
    assert stage.pods("llm") == []
    wake(stage.cluster, NAMESPACE, "Deployment", "llm")
    assert len(stage.pods("llm")) == 3


def test_incident_gokubedownscaler_456_a_second_stop_keeps_the_first_replicas(stage):
    stage.add(deployment("llm", replicas=3))
    stage.enact(stage.command("Deployment", "llm"))
    assert stage.enact(stage.command("Deployment", "llm")).reason is Reason.ALREADY_STOPPED
    wake(stage.cluster, NAMESPACE, "Deployment", "llm")
    assert stage.get("Deployment", "llm")["spec"]["replicas"] == 3


@pytest.mark.parametrize("value", ["{", "[]", '{"spec":{"template":{"spec":{"hostNetwork":true}}}}', '{"spec":null}'])
def test_an_annotation_that_somebody_wrote_does_not_make_gpuwise_write_other_fields(stage, value):
    stage.add(deployment("llm", replicas=0, annotations={WAKE: value}))
    with pytest.raises(InputError, match=WAKE):
        wake(stage.cluster, NAMESPACE, "Deployment", "llm")
    assert stage.mutations == []


def test_what_somebody_else_stopped_is_left_with_the_field_to_set(stage):
    stage.add(deployment("llm", replicas=0))
    with pytest.raises(InputError, match=r"spec\.replicas"):
        wake(stage.cluster, NAMESPACE, "Deployment", "llm")


def test_a_kind_that_cannot_be_woken_is_named_with_those_that_can():
    with pytest.raises(InputError, match="Deployment, StatefulSet"):
        wake(None, NAMESPACE, "Pod", "x")


class TestAheadOfTheNextUse:
    def stopped(self, stage, hours):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        because = Recommendation(
            id=command.recommendation_id,
            etag="e",
            workload=command.workload,
            finding=Finding.IDLE,
            reasons=(Reason.NO_ACTIVITY,),
            change=ScaleTo(0),
            saving=Saving(1, 1, 1, 1),
            confidence=1.0,
            coverage=1.0,
            risk=0,
            owner=None,
            effort="Low",
            restart_needed=True,
            rollback_possible=True,
            evidence=(Evidence(NEXT_USE, None, "forecast", hours, None, "h"),),
            created_s=NOW_S,
            expires_s=NOW_S + 86_400,
        )
        stage.enact(replace(command, because=because), wake_ahead_s=1_800)
        return command

    def follow(self, stage, at_s):
        settings = replace(stage.settings, wake_ahead_s=1_800)
        return KubernetesEnactor(stage.cluster, stage.ledger, settings, lambda: NOW_S + at_s).follow()

    def test_it_is_started_before_the_hour_that_was_forecast(self, stage):
        command = self.stopped(stage, hours=10.0)
        assert self.follow(stage, at_s=9 * 3_600) == []
        (outcome,) = self.follow(stage, at_s=int(9.5 * 3_600))
        assert (outcome.command_id, outcome.status) == (command.id, OutcomeStatus.UNDONE)
        assert len(stage.pods("llm")) == 2
        assert self.follow(stage, at_s=10 * 3_600) == []

    def test_what_a_person_started_and_stopped_again_is_left_alone(self, stage):
        self.stopped(stage, hours=10.0)
        wake(stage.cluster, NAMESPACE, "Deployment", "llm")
        stage.patch("Deployment", "llm", {"spec": {"replicas": 0}})
        self.follow(stage, at_s=10 * 3_600)
        assert stage.pods("llm") == []

    def test_without_a_forecast_nothing_is_started(self, stage):
        self.stopped(stage, hours=None)
        assert WAKE_AT not in stage.get("Deployment", "llm")["metadata"]["annotations"]
        assert self.follow(stage, at_s=14 * 86_400) == []


class TestAfterAWake:
    """kubeflow#6648 and kserve#1247: what was started a short time ago is not idle yet."""

    def stop(self, stage, *, age_s):
        from datetime import datetime

        (pod,) = stage.pods("llm")
        ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")
        since_s = int(datetime.fromisoformat(ready["lastTransitionTime"]).timestamp())
        return stage.enact(stage.command("Deployment", "llm"), now_s=since_s + age_s, min_alive_s=3_600)

    def test_incident_kubeflow_6648_a_workload_is_not_stopped_again_before_its_grace_is_over(self, stage):
        stage.add(deployment("llm", spec=pod_spec()))
        assert self.stop(stage, age_s=3_599).reason is Reason.TOO_YOUNG
        assert self.stop(stage, age_s=3_600).status is OutcomeStatus.APPLIED

    def test_incident_kserve_1247_a_pod_that_waits_for_its_node_is_not_idle(self, stage):
        stage.add(deployment("llm", spec=pod_spec(gpus=64)))
        (pod,) = stage.pods("llm")
        assert pod["status"]["phase"] == "Pending"
        from datetime import datetime

        at_s = int(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()) + 120
        outcome = stage.enact(stage.command("Deployment", "llm"), now_s=at_s, min_alive_s=3_600)
        assert outcome.reason is Reason.TOO_YOUNG

    def test_a_person_may_stop_it(self, stage):
        stage.add(deployment("llm"))
        command = stage.command("Deployment", "llm", actor="ada")
        assert stage.enact(command, min_alive_s=10**9).status is OutcomeStatus.APPLIED
        assert ACTION_ID in stage.get("Deployment", "llm")["metadata"]["annotations"]


class TestQueued:
    """kueue#1726: the job of a queue is stopped and started by Kueue's own object; Kueue reverts other writes."""

    QUEUE = "kueue.x-k8s.io/queue-name"

    def queued(self, stage):
        if KUBECONFIG is None:
            stage.add(definition(QUEUED))
        stage.add(job("train", labels={self.QUEUE: "gpus"}, **MARKED))
        return stage.command("Job", "train")

    def workload(self, stage):
        return stage.cluster.get(QUEUED.path(NAMESPACE, "job-train", QUEUED.versions[0]))

    def test_incident_kueue_1726_its_workload_is_made_inactive_and_active_again(self, stage):
        command = self.queued(stage)
        stage.add(admitted(stage.get("Job", "train") | {"apiVersion": "batch/v1", "kind": "Job"}))
        before = self.workload(stage)

        assert stage.enact(command).status is OutcomeStatus.APPLIED

        assert self.workload(stage)["spec"]["active"] is False
        assert "suspend" not in stage.get("Job", "train")["spec"] or not stage.get("Job", "train")["spec"]["suspend"]
        assert wake(stage.cluster, NAMESPACE, "Job", "train").changed
        assert self.workload(stage)["spec"] == before["spec"]
        assert stage.mutations[-1].path.endswith("/workloads/job-train")

    def test_without_its_workload_it_is_left_to_kueue(self, stage):
        assert stage.enact(self.queued(stage)).reason is Reason.MANAGED_BY_OTHER
        assert stage.mutations == []


@pytest.mark.emulator_only(reason="the cluster has the definitions of the tests")
def test_a_version_that_gpuwise_does_not_know_is_refused(start_cluster, tmp_path):
    row = KINDS["JobSet"]
    newer = definition(row)
    newer["spec"]["versions"][0]["name"] = "v2"
    with (
        start_cluster([newer]) as api,
        KubernetesCluster.connect(kubeconfig=api.write_kubeconfig(tmp_path / "config"), context=None) as cluster,
    ):
        stage = Stage(api, cluster)
        outcome = stage.enact(stage.command("JobSet", "jobset", uid="any"))
        assert stage.mutations == []
    assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, Reason.KIND_NOT_SUPPORTED)
    assert "v2; gpuwise knows the fields of v1alpha2" in outcome.detail


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("Rollout", {"status": {"phase": "Progressing"}}, Reason.ROLLOUT_PAUSED),
        ("Rollout", {"spec": {"paused": True}}, Reason.ROLLOUT_PAUSED),
        ("RayJob", {"spec": {"shutdownAfterJobFinishes": False}}, Reason.KIND_NOT_SUPPORTED),
        ("JobSet", {"status": {"conditions": [{"type": "Completed", "status": "True"}]}}, Reason.ALREADY_STOPPED),
        ("JobSet", {"metadata": {"annotations": {CHECKPOINTED: None}}}, Reason.NOT_REVERSIBLE),
    ],
)
@pytest.mark.emulator_only(reason="it writes fields that the operators own")
def test_what_cannot_be_undone_is_not_automated(stage, kind, change, reason):
    row = add(stage, kind)
    path = row.path(NAMESPACE, row.name.lower(), row.versions[0])
    part = "/status" if "status" in change else ""
    stage.cluster.patch(path + part, change, content_type="application/merge-patch+json")
    seen = len(stage.mutations)
    outcome = stage.enact(order(stage, row))
    assert (outcome.status, outcome.reason, len(stage.mutations)) == (OutcomeStatus.NOT_APPLIED, reason, seen)


@pytest.mark.parametrize("kind", ["RayService", "Job.batch.volcano.sh"])
def test_a_kind_without_a_field_that_stops_it_is_refused_with_what_to_do(stage, kind):
    outcome = stage.enact(stage.command(kind, "x", uid="u"))
    assert (outcome.reason, outcome.detail) == (Reason.KIND_NOT_SUPPORTED, KINDS[kind].refused)
