"""`run` does what `plan` shows; what the enactor would refuse is blocked in the plan.

GPUs in two containers were planned as "4 GPUs to 1 GPU", and the enactor refused this in each run (HAMi#1225).
"""

import pytest
from tests.api_requests import effects
from tests.e2e.fleets import options_of, recorded, reviewing

from gpuwise.emulate.objects import autoscaler, deployment, pod_spec

DAYS = 15
RISKY = {"GPUWISE_POLICY_MAX_RISK": "4"}


def two_containers(name):
    """A Deployment that requests 4 GPUs, two in each of two containers."""
    made = deployment(name, namespace="prod", labels={"team": "search"})
    limits = {"limits": {"nvidia.com/gpu": "2"}}
    made["spec"]["template"]["spec"]["containers"] = [
        {"name": name, "image": "x:1", "resources": limits} for name in ("main", "side")
    ]
    return made


def scaled_object(target):
    spec = {"scaleTargetRef": {"name": target}, "minReplicaCount": 0, "triggers": []}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "so", "namespace": "prod"},
        "spec": spec,
    }


def disruption_budget(owner):
    spec = {"minAvailable": 2, "selector": owner["spec"]["selector"]}
    metadata = {"name": "p", "namespace": "prod"}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


@pytest.fixture
def fleet(start_cluster, tmp_path):
    guarded = deployment("pdb-full", namespace="prod", replicas=2)
    objects = [
        deployment("by-keda", namespace="prod"),
        scaled_object("by-keda"),
        deployment("by-hpa", namespace="prod"),
        autoscaler("by-hpa", kind="Deployment", target="by-hpa", namespace="prod"),
        guarded,
        disruption_budget(guarded),
        two_containers("one-two-containers"),
        deployment("one-of-four", namespace="prod", spec=pod_spec(gpus=4)),
        deployment("forgotten", namespace="prod"),
    ]
    with recorded(start_cluster, objects, tmp_path, days=DAYS) as (cluster, recording):
        yield cluster, options_of(recording, cluster.write_kubeconfig(tmp_path / "kubeconfig"), DAYS)


def names(commands):
    return {one["workload"]["name"]: one["change"]["kind"] for one in commands}


def test_gpus_of_several_containers_are_not_resized(fleet, gpuwise):
    _, options = fleet
    found = gpuwise("scan", *options, "-o", "json").data
    assert "one-two-containers" not in {item["workload"]["name"] for item in found["recommendations"]}
    assert {item["workload"]["name"] for item in found["recommendations"] if item["change"]["kind"] == "Resize"} == {
        "one-of-four"
    }
    (item,) = [
        item
        for item in found["holds"]
        if (item["workload"]["name"], item["stage"]) == ("one-two-containers", "right-size")
    ]
    assert item["reason"] == "SeveralContainersAsk"
    assert item["detail"] == "2 containers of a pod request 4 GPUs in total: size each of them"


def test_run_does_what_plan_shows(fleet, gpuwise, tmp_path):
    cluster, options = fleet
    planned = gpuwise("plan", "--mode", "enforce", *options, "-o", "json", env=RISKY).data
    assert names(planned["commands"]) == {"forgotten": "ScaleTo", "one-of-four": "Resize"}
    blocked = {item["workload"]["name"]: item["reason"] for item in planned["holds"]}
    assert blocked["by-keda"] == blocked["by-hpa"] == "ManagedByOther"
    assert blocked["pdb-full"] == "BlockedByPDB"
    assert [request for request in cluster.requests if effects(request)] == []
    done = gpuwise("run", "--once", "--mode", "enforce", *options, env=RISKY)
    assert done.code == 0, done.err
    assert done.out.count("applied") == 2
    assert "not-applied" not in done.out
    patched = {request.path.rpartition("/")[2] for request in cluster.requests if effects(request)}
    assert patched == set(names(planned["commands"]))


def test_a_missing_right_is_shown_in_the_plan(fleet, gpuwise, tmp_path):
    cluster, options = fleet
    kubeconfig = tmp_path / "kubeconfig"
    with reviewing(cluster, lambda right: right["verb"] != "patch") as url:
        kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, url))
        planned = gpuwise("plan", "--mode", "enforce", *options, "-o", "json", env=RISKY).data
        ran = gpuwise("run", "--once", "--mode", "enforce", *options, env=RISKY)
    assert planned["commands"] == []
    refused = {item["workload"]["name"]: item for item in planned["holds"] if item["reason"] == "NoRight"}
    assert set(refused) == {"forgotten", "one-of-four"}
    assert "may not patch deployments.apps in namespace prod: add the namespace" in refused["forgotten"]["detail"]
    assert ran.code == 0, ran.err
    assert "not-applied" not in ran.out
    assert [request for request in cluster.requests if effects(request)] == []
