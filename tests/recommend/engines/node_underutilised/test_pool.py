"""The arrays of the engine have the free capacity of the inventory, and the places that the scheduler allows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import node, pod, workload
from tests.series import WORKLOAD

from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.scheduling import Openness, Repulsion, Requirement, Scheduling, Taint, Toleration, refusal
from gpuwise.recommend.engines.node_underutilised.pool import pool_of

SLICE = "nvidia.com/mig-1g.10gb"


def asking(name, on, count=1, resource=GPU_RESOURCE, scheduling=None, labels=None):
    one = replace(pod(f"{name}-0", on), scheduling=scheduling or Scheduling(), labels=labels or {})
    ref = replace(WORKLOAD, name=name, uid=f"uid-{name}")
    return replace(workload(ref, pods=(one,)), request=GpuRequest(resource, count))


def pool(members, *workloads, may_move=lambda *_: True):
    tenants = {}
    for one in workloads:
        tenants.setdefault(one.pods[0].node, []).append((one, one.pods[0]))
    return pool_of(members, tenants, may_move)


def test_the_capacity_without_the_pods_is_what_is_free_plus_what_they_request():
    free = Openness(free={"cpu": 1.5, "memory": 2.0**30, "pods": 3.0})
    members = [replace(node("a", mig={"1g.10gb": 3}), whole_gpus=4, openness=free), node("b")]
    wants = Scheduling(requests={"cpu": 0.25, "memory": 2.0**20 + 1})
    found = pool(members, asking("x", "a", 2, scheduling=wants), asking("y", "a", 1, SLICE))
    assert found.empty.cpu.tolist() == [1750, 0]
    assert found.empty.memory.tolist() == [1024 + 2, 0]  # 1 MiB and a byte needs 2
    assert (found.empty.gpu == 1000).sum(axis=1).tolist() == [4, 8]
    assert found.empty.other[0].tolist() == [3, 5]
    assert [shape.gpus for shape in found.shapes] == [2, 0]
    assert [shape.other for shape in found.shapes] == [(0, 1), (1, 1)]


def test_a_pod_that_must_not_move_is_part_of_the_node():
    found = pool([node("a")], asking("x", "a", 3), asking("y", "a", 1), may_move=lambda _, one, __: one.ref.name == "y")
    assert (found.empty.gpu == 1000).sum() == 5
    assert [one.ref.name for one, _ in found.pods] == ["y"]


@pytest.mark.parametrize(
    "tenants",
    [
        [asking("x", "a", 1), replace(asking("y", "a"), request=None)],  # it may use any GPUs
        [asking("x", "a", 1), asking("y", "a", 1, "volcano.sh/vgpu-number")],
        [asking(f"x{number}", "a", 5) for number in range(2)],  # they share GPUs
    ],
)
def test_a_node_whose_free_gpus_are_not_known_keeps_its_pods_and_takes_none(tenants):
    found = pool([node("a"), node("b")], *tenants, asking("z", "b"))
    assert [one.ref.name for one, _ in found.pods] == ["z"]
    assert not found.empty.accepts[:, 0].any()
    assert found.empty.accepts[:, 1].all()


TAINTS = st.lists(st.sampled_from([Taint("a", "1", "NoSchedule"), Taint("b", "", "PreferNoSchedule")]), max_size=2)
LABELS = st.dictionaries(st.sampled_from(["zone", "kubernetes.io/hostname"]), st.sampled_from("xy"))
TERMS = st.lists(
    st.builds(Requirement, st.just("zone"), st.sampled_from(["In", "Exists"]), st.just(("x",))), max_size=1
)
TOLERATIONS = st.lists(st.just(Toleration("a", "Exists", "", "")), max_size=1)


@given(
    st.lists(
        st.builds(lambda bad, taints, labels: Openness(bad, tuple(taints), labels), st.booleans(), TAINTS, LABELS)
    ),
    st.lists(st.builds(lambda terms, ok: Scheduling((tuple(terms),), tuple(ok)), TERMS, TOLERATIONS), max_size=4),
    st.lists(st.sampled_from("pq"), min_size=4, max_size=4),
)
def test_each_node_accepts_the_pods_that_the_scheduler_would_put_there(opens, wanted, apps):
    repels = Repulsion({"matchLabels": {"app": "p"}}, None)
    opens = [*opens, None, Openness(repels=(repels,))]
    members = [replace(node(f"n{number}"), openness=one) for number, one in enumerate(opens)]
    pods = [
        asking(f"w{number}", f"n{len(opens) - 1}", scheduling=one, labels={"app": app})
        for number, (one, app) in enumerate(zip(wanted, apps, strict=False))
    ]
    found = pool(members, *pods)
    accepts = [found.empty.accepts[shape.group].tolist() for shape in found.shapes]
    assert accepts == [
        [
            one is not None
            and refusal(each.pods[0].scheduling, one) is None
            and not (one.repels and each.pods[0].labels == {"app": "p"})
            for one in opens
        ]
        for each in pods
    ]
    assert np.all(found.empty.gpu >= 0)
