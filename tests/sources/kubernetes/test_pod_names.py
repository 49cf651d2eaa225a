"""The workload of a deleted pod: found by its name or by kube-state-metrics, else unknown."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import inventory
from tests.fleet import workload as fleet_workload
from tests.sources.workloads import pod

from gpuwise.model.inventory import Workload, WorkloadClass, WorkloadRef
from gpuwise.sources.kubernetes.pod_names import PodOwners, own_names, patterns, series_owner

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
FIVE = st.text(ALPHABET, min_size=5, max_size=5)
HASH = st.text(ALPHABET, min_size=8, max_size=10)


def workload(name: str, kind: str = "Deployment", pods=(), chain=(), space: str = "a") -> Workload:
    ref = WorkloadRef(space, kind, name, f"uid-{kind}-{name}")
    alive = tuple(pod(one) for one in pods)
    return Workload(ref, WorkloadClass.ENDPOINT, 1, None, {}, {}, alive, 0, chain=tuple(chain))


@pytest.mark.parametrize(
    ("kind", "pod_name", "matches"),
    [
        ("Deployment", "chat-7c9d8b5f4-x2z4q", True),
        ("Deployment", "chat-api-7c9d8b5f4-x2z4q", False),
        ("Deployment", "chat-0", False),
        ("Rollout", "chat-7c9d8b5f4-x2z4q", True),
        ("ReplicaSet", "chat-x2z4q", True),
        ("StatefulSet", "chat-12", True),
        ("StatefulSet", "chat-12-x2z4q", False),
        ("Notebook", "chat-0", True),
        ("Job", "chat-x2z4q", True),
        ("Job", "chat-3-x2z4q", True),
        ("PyTorchJob", "chat-worker-3", True),
        ("PyTorchJob", "chat-api-worker-3", False),
        ("LeaderWorkerSet", "chat-0", True),
        ("LeaderWorkerSet", "chat-0-3", True),
        ("InferenceService", "chat-predictor-00001-deployment-7c9d8b5f4-x2z4q", True),
        ("InferenceService", "chat-predictor-7c9d8b5f4-x2z4q", True),
        ("Pod", "chat", True),
        ("Pod", "chat-0", False),
        ("RayCluster", "chat-gpu-worker-x2z4q", False),  # any RayCluster "chat-gpu" has such pods, too
    ],
)
def test_each_kind_matches_its_own_pod_names(kind, pod_name, matches):
    one = workload("chat", kind)
    assert PodOwners([one]).owner("a", pod_name) == (one.ref if matches else None)
    assert PodOwners([one]).owner("b", pod_name) is None


def test_a_current_pod_belongs_to_its_owner_whatever_its_name():
    mine, theirs = workload("chat", "StatefulSet"), workload("odd", pods=("chat-0",))
    assert PodOwners([mine, theirs]).owner("a", "chat-0", ("StatefulSet", "chat")) == theirs.ref


def test_a_name_that_fits_two_workloads_needs_kube_state_metrics():
    stateful, notebook = workload("ada", "StatefulSet"), workload("ada", "Notebook", chain=[("StatefulSet", "ada-x")])
    owners = PodOwners([stateful, notebook])
    assert owners.owner("a", "ada-0") is None
    assert owners.owner("a", "ada-0", ("StatefulSet", "ada")) == stateful.ref
    assert owners.owner("a", "ada-0", ("StatefulSet", "ada-x")) == notebook.ref


def test_kube_state_metrics_overrides_the_name():
    one = workload("chat")
    owners = PodOwners([one])
    assert owners.owner("a", "chat-7c9d8b5f4-x2z4q", ("ReplicaSet", "chat-7c9d8b5f4")) == one.ref
    assert owners.owner("a", "chat-7c9d8b5f4-x2z4q", ("Job", "chat-7c9d8b5f4")) is None


def test_pods_with_free_names_are_found_by_kube_state_metrics():
    one = workload("ray", "RayCluster")
    assert list(patterns(one, free=False)) == []
    (found,) = patterns(one, free=True)
    assert re.fullmatch(found, "ray-gpu-worker-x2z4q")
    assert PodOwners([one]).owner("a", "ray-gpu-worker-x2z4q", ("RayCluster", "ray")) == one.ref
    assert PodOwners([one]).owner("a", "ray-prod-head-x2z4q", ("RayCluster", "ray-prod")) is None


@given(st.integers(40, 63), HASH, FIVE)
def test_a_truncated_name_is_found_by_its_replica_set(length, revision, five):
    """generateName keeps 58 characters."""
    name = "d" * length
    replica_set = f"{name}-{revision}"
    pod_name = f"{replica_set}-"[:58] + five
    one = workload(name, chain=[("ReplicaSet", replica_set)])
    assert PodOwners([one]).owner("a", pod_name) == one.ref
    assert any(re.fullmatch(pattern, pod_name) for pattern in patterns(one, free=False))


names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.lists(names, min_size=1, max_size=4, unique=True), HASH, FIVE)
def test_a_pod_is_never_attributed_to_another_deployment(deployments, revision, five):
    """For any names, a pod is attributed to its own Deployment, or to none if two names fit."""
    owners = PodOwners([workload(name) for name in deployments])
    for name in deployments:
        found = owners.owner("a", f"{name}-{revision}-{five}")
        assert found is None or found.name == name


def test_names_are_not_patterns():
    odd = workload("a.b")
    assert re.fullmatch(own_names(odd.ref), "a.b-7c9d8b5f4-x2z4q")
    assert not re.fullmatch(own_names(odd.ref), "axb-7c9d8b5f4-x2z4q")
    assert next(patterns(replace(odd, pods=(pod("x.y"),)), free=False)) == r"x\.y"


def test_a_pod_without_a_controller_has_no_owner():
    assert series_owner({"owner_kind": "<none>", "owner_name": "<none>"}) is None
    assert series_owner({}) is None
    assert series_owner({"owner_kind": "Job", "owner_name": "train"}) == ("Job", "train")


def test_the_owners_of_an_inventory_are_built_once_and_not_for_another():
    one, other = fleet_workload(), fleet_workload(replace(fleet_workload().ref, name="other", uid="u-other"))
    fleet, changed = inventory(one), inventory(one, other)
    owners = PodOwners.of(fleet)
    assert PodOwners.of(fleet, [one]) is owners
    assert PodOwners.of(fleet, [other]) is not owners
    assert PodOwners.of(changed) is not owners
