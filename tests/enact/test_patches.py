"""Patches ready to commit: what they change is exactly what the enactor would, without gpuwise's own marks."""

import pytest

from gpuwise.emulate.objects import autoscaler, deployment, pod_spec
from gpuwise.enact.patches import Arrived, Patch, helm_values, patch_for
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.target import Target
from gpuwise.model.changes import Resize, ScaleTo, StopAtHours, StopWhenIdle
from gpuwise.model.command import Command
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.kinds import KINDS
from gpuwise.model.labels import HELM_VALUES
from gpuwise.model.reasons import Reason

HPA = autoscaler("hpa", kind="Deployment", target="llm")
SCALED = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "so", "namespace": "default"},
    "spec": {"scaleTargetRef": {"name": "llm"}},
}


def least(number, name):
    """A patch of an autoscaler never raises its minimum."""
    return {"spec": {f"min{name}": number, f"max{name}": 2}}


def made(change, *scalers, kind="Deployment", **item):
    found = deployment("llm", replicas=3, spec=pod_spec(gpus=4), uid="u", resourceVersion="1") | {"kind": kind}
    found["metadata"] |= item.pop("metadata", {})
    found |= item
    target = Target(KINDS[kind], "", found, found)
    ref = WorkloadRef("default", kind, "llm", "u")
    return patch_for(target, Command("a-0", "r-0", ref, change, "patch"), scalers, 0)


def test_replicas_of_a_workload_that_gitops_owns():
    assert made(ScaleTo(0)).document == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llm", "namespace": "default"},
        "spec": {"replicas": 0},
    }


def test_a_resize_names_the_container():
    change = Resize(GpuRequest("nvidia.com/gpu", 4), GpuRequest("nvidia.com/mig-1g.10gb", 1))
    containers = made(change).body["spec"]["template"]["spec"]["containers"]
    limits = {"nvidia.com/gpu": None, "nvidia.com/mig-1g.10gb": "1"}
    assert containers == [{"name": "main", "resources": {"limits": limits}}]


@pytest.mark.parametrize(
    ("scaler", "replicas", "kind", "body"),
    [
        (HPA, 2, "HorizontalPodAutoscaler", {"spec": {"minReplicas": 1, "maxReplicas": 2}}),
        (HPA, 0, "Deployment", {"spec": {"replicas": 0}}),
        (HPA | {"spec": HPA["spec"] | {"minReplicas": 0}}, 2, "HorizontalPodAutoscaler", least(0, "Replicas")),
        (SCALED, 2, "ScaledObject", least(0, "ReplicaCount")),
        (SCALED | {"spec": SCALED["spec"] | {"minReplicaCount": 3}}, 2, "ScaledObject", least(2, "ReplicaCount")),
        (SCALED, 0, "ScaledObject", {"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "0"}}}),
    ],
)
def test_i23_the_autoscaler_is_patched_where_it_sets_the_replicas(scaler, replicas, kind, body):
    found = made(ScaleTo(replicas), scaler)
    assert (found.target["kind"], found.body) == (kind, body)


class TestStopWhenIdle:
    CHANGE = StopWhenIdle(600)

    def test_a_scaled_object_waits_shorter(self):
        assert made(self.CHANGE, SCALED).body == {"spec": {"minReplicaCount": 0, "cooldownPeriod": 600}}

    def test_its_arrival_is_recognised(self):
        there = SCALED | {"spec": SCALED["spec"] | {"minReplicaCount": 0, "cooldownPeriod": 600}}
        assert isinstance(made(self.CHANGE, there), Arrived)

    def test_an_inference_service_gets_knatives_annotation(self):
        found = made(self.CHANGE, kind="InferenceService")
        key = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
        assert found.body["metadata"]["annotations"] == {key: "600s"}

    def test_without_an_autoscaler_it_is_an_object_of_the_http_add_on(self):
        found = made(self.CHANGE)
        assert (found.creates, found.target["kind"]) == (True, "HTTPScaledObject")
        assert found.body["spec"]["scaledownPeriod"] == 600
        assert found.body["spec"]["replicas"] == {"min": 0, "max": 3}


def test_what_is_in_place_has_arrived():
    assert isinstance(made(ScaleTo(0), spec={"replicas": 0}), Arrived)


def test_a_request_that_is_neither_the_old_nor_the_new_one_has_not_arrived():
    was, new = GpuRequest("nvidia.com/gpu", 8), GpuRequest("nvidia.com/gpu", 2)
    found = made(Resize(was, new))  # it requests 4
    assert isinstance(found, Refusal)
    assert found.reason is Reason.CHANGED_SINCE_PLANNED
    assert isinstance(made(Resize(was, GpuRequest("nvidia.com/gpu", 4))), Arrived)


def test_a_change_without_a_field_is_refused():
    assert isinstance(made(StopAtHours(((0, 8),))), Refusal)


class TestHelm:
    def test_values_are_at_the_paths_that_the_chart_names(self):
        item = deployment("llm", annotations={HELM_VALUES: '{"spec.replicas": "server.replicaCount"}'})
        patch = Patch({}, {"spec": {"replicas": 0}})
        assert helm_values(item, patch) == {"server": {"replicaCount": 0}}

    @pytest.mark.parametrize("value", [None, "{", "[]", "{}"])
    def test_an_unknown_path_is_named(self, value):
        item = deployment("llm", annotations={HELM_VALUES: value} if value else {})
        found = helm_values(item, Patch({}, {"spec": {"replicas": 0}}))
        assert isinstance(found, Refusal)
        assert "spec.replicas" in found.detail
