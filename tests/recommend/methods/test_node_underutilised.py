"""Nodes to drain and remove: what forbids it, what it saves, and that more pods or less data never free more."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.scored import profile
from tests.series import DAY_STEPS, IDLE_VALUES, WORKLOAD, device, usage

from gpuwise.model.changes import FreeNode
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, GpuRequest, Namespace, WorkloadClass, node_ref
from gpuwise.model.labels import CHECKPOINTED, DO_NOT_DISRUPT
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.scheduling import Openness, Repulsion, Requirement, Scheduling, Taint, Toleration
from gpuwise.model.signal import Signal
from gpuwise.recommend.engines.node_underutilised.free_capacity import free_capacity
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.node_underutilised import free_nodes
from gpuwise.recommend.selection import best_plan
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings
from gpuwise.sources.kubernetes.scheduling import scheduling_of
from gpuwise.sources.kubernetes.volumes import Volumes


def here(name, **changes):
    return replace(node(name), **({"zone": "eu-west-1a"} | changes))


def kept(name, **changes):
    """A node that is not freed, so that it only takes pods."""
    return here(name, marks={DO_NOT_DISRUPT: "true"}, **changes)


def serving(name, *on, gpus=1, **changes):
    """An endpoint with one pod on each of some nodes, and a ready pod on a node outside the test."""
    pods = tuple(pod(f"{name}-{index}", on=one) for index, one in enumerate((*on, "elsewhere")))
    return workload(replace(WORKLOAD, name=name, uid=f"uid-{name}"), gpus, pods=pods, **changes)


def judged(*workloads, nodes=None, **more):
    found = inventory(*workloads, nodes=nodes or [here("node-0"), kept("node-1")], **more)
    return in_fleet(found, {node_ref(one): unallocated(one) for one in found.nodes.values()})


def in_fleet(found, profiles):
    fleet = Fleet(found, profiles, PRICES, RecommendSettings(), NOW_S)
    return {item.workload.name: item for item in free_nodes(fleet)}


def recommended(found):
    """The changes of the nodes that are freed, after plan selection."""
    chosen = best_plan([one for one in found.values() if isinstance(one, Recommendation)])
    assert len(chosen) == sum(isinstance(one, Recommendation) for one in found.values())  # none excludes another
    return {one.workload.name: one.change for one in chosen}


@cache
def scored(busy=(), devices=40, signals=tuple(IDLE_VALUES)):
    cards = [device(DAY_STEPS, pod="", uuid=f"GPU-{n}", busy=busy, signals=signals) for n in range(devices)]
    return profile(usage(*cards), ScoreSettings())


def unallocated(one, **usage_of):
    """The profile of a node's unallocated GPUs: idle, unless told otherwise."""
    return replace(scored(**usage_of), workload=node_ref(one))


def test_a_node_whose_pods_fit_elsewhere_is_freed():
    found = judged(serving("a", "node-0"), serving("b", "node-1", gpus=4))
    item = found["node-0"]
    assert item.change == FreeNode((("research/Deployment/a", "a-0", "node-1"),))
    assert (item.claims, item.shared_claims) == (("node-0",), ("node-1", "uid-a"))
    assert item.saving.usd_month == 8 * 730 * 3.0
    assert item.saving.low_usd_month == 0.0


@pytest.mark.parametrize(
    ("profiled", "reason"),
    [
        (None, Reason.INSUFFICIENT_DATA),
        ({"busy": range(DAY_STEPS)}, Reason.BUSY),
        ({"busy": (3,)}, Reason.BUSY),
        ({"devices": 7}, Reason.INSUFFICIENT_DATA),
        ({"signals": (Signal.GPU_UTIL,)}, Reason.NEEDS_SECOND_SIGNAL),
    ],
)
def test_i30_a_node_without_known_pods_needs_idle_sensors(profiled, reason):
    one = here("node-0")
    profiles = {} if profiled is None else {node_ref(one): unallocated(one, **profiled)}
    found = in_fleet(inventory(nodes=[one, here("node-1")]), profiles)["node-0"]
    assert isinstance(found, Blocked)
    assert found.reason is reason


@pytest.mark.parametrize(
    "changes",
    [
        {"whole_gpus": 0},  # renamed or shared resources alone, or all GPUs are unhealthy
        {"whole_gpus": 6, "mig": {"1g.10gb": 2}},
        {"whole_gpus": 8, "pods_per_gpu": 4},
    ],
)
def test_i30_every_card_needs_a_sample_whatever_the_device_plugin_offers(changes):
    one = here("node-0", **changes)
    found = inventory(nodes=[one])
    reasons = [in_fleet(found, {node_ref(one): unallocated(one, devices=devices)})["node-0"] for devices in (7, 8)]
    assert getattr(reasons[0], "reason", None) is Reason.INSUFFICIENT_DATA
    assert isinstance(reasons[1], Recommendation)


def test_i30_pods_that_share_cards_leave_the_others_without_evidence():
    one = here("node-0", whole_gpus=8, pods_per_gpu=4)
    found = inventory(serving("a", *["node-0"] * 8), nodes=[one, here("node-1")])
    few = in_fleet(found, {node_ref(one): unallocated(one, devices=5)})["node-0"]
    assert (few.reason, "6 unallocated" in few.detail) == (Reason.INSUFFICIENT_DATA, True)


@pytest.mark.parametrize(
    ("resource", "waits"),
    [("volcano.sh/vgpu-number", True), ("nvidia.com/mig-1g.10gb", False), ("nvidia.com/gpu", True)],
)
def test_a_pod_that_waits_for_another_plugins_resource_may_need_the_node(resource, waits):
    """Which nodes offer it is not known; a MIG profile that the node does not offer cannot run on it."""
    waiting = replace(serving("a"), request=GpuRequest(resource, 1), pods=(pod("a-0", on=None),))
    assert isinstance(judged(waiting)["node-0"], Blocked) is waits


@pytest.mark.parametrize(("free", "fits"), [({}, True), ({"pods": 2.0}, True), ({"pods": 1.0}, False)])
def test_a_node_takes_only_so_many_pods(free, fits):
    nodes = [here("node-0"), kept("node-1", openness=Openness(free=free))]
    found = judged(serving("a", "node-0"), serving("b", "node-0"), serving("c", "node-1", gpus=2), nodes=nodes)
    assert isinstance(found["node-0"], Recommendation) is fits


@pytest.mark.parametrize(("selected", "fits"), [("b", True), ("a", False)])
def test_the_anti_affinity_of_the_other_pods_is_respected(selected, fits):
    repels = (Repulsion({"matchLabels": {"app": selected}}, frozenset({"research"})),)
    subject = serving("a", "node-0")
    subject = replace(subject, pods=tuple(replace(one, labels={"app": "a"}) for one in subject.pods))
    found = judged(subject, nodes=[here("node-0"), kept("node-1", openness=Openness(repels=repels))])
    assert isinstance(found["node-0"], Recommendation) is fits


def test_a_pod_of_several_resources_is_not_moved_and_uses_all_of_them():
    one = here("node-0", whole_gpus=6, mig={"1g.10gb": 2})
    sidecar = serving("a", "node-0", more_requests=(GpuRequest("nvidia.com/mig-1g.10gb", 1),))
    assert judged(sidecar, nodes=[one, here("node-1")])["node-0"].reason is Reason.NOT_MOVABLE
    assert free_capacity(one, [(sidecar, sidecar.pods[0])]) == {"nvidia.com/gpu": 5, "nvidia.com/mig-1g.10gb": 1}


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ({"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}, Reason.PROTECTED),
        ({"karpenter.sh/do-not-disrupt": "true"}, Reason.PROTECTED),
        ({"autoscaling.cast.ai/removal-disabled": "true"}, Reason.PROTECTED),
        ({DO_NOT_DISRUPT: "yes"}, Reason.UNREADABLE_POLICY),
        ({"cluster-autoscaler.kubernetes.io/scale-down-disabled": "false"}, None),
    ],
)
def test_a_protected_node_is_not_freed(mark, reason):
    assert getattr(judged(nodes=[here("node-0", marks=mark)])["node-0"], "reason", None) is reason


GOLD = Taint("dedicated", "gold", "NoSchedule")
ON_GOLD = Scheduling(tolerations=(Toleration("dedicated", "Equal", "gold", "NoSchedule"),))


@pytest.mark.parametrize(
    ("openness", "scheduling", "fits"),
    [
        (Openness(), Scheduling(), True),
        (Openness(unschedulable=True), Scheduling(), False),
        (Openness(taints=(GOLD,)), Scheduling(), False),
        (Openness(taints=(GOLD,)), ON_GOLD, True),
        (Openness(taints=(replace(GOLD, effect="PreferNoSchedule"),)), Scheduling(), True),
        (Openness(labels={"pool": "a"}), Scheduling(((Requirement("pool", "In", ("a",)),),)), True),
        (Openness(labels={"pool": "b"}), Scheduling(((Requirement("pool", "In", ("a",)),),)), False),
        (Openness(free={"cpu": 4.0}), Scheduling(requests={"cpu": 4.0}), True),
        (Openness(free={"cpu": 4.0}), Scheduling(requests={"cpu": 4.1}), False),
        (Openness(), Scheduling(requests={"memory": 1.0}), False),  # its free memory is not known
        (None, Scheduling(), False),
    ],
)
def test_pods_move_only_where_they_can_be_scheduled(openness, scheduling, fits):
    one = serving("a", "node-0")
    one = replace(one, pods=tuple(replace(each, scheduling=scheduling) for each in one.pods))
    found = judged(one, serving("b", "node-1", gpus=4), nodes=[here("node-0"), kept("node-1", openness=openness)])
    assert isinstance(found["node-0"], Recommendation if fits else Blocked)


@pytest.mark.parametrize(
    ("scheduling", "reason"),
    [(None, Reason.INSUFFICIENT_DATA), (Scheduling(tied="the pod has required anti-affinity"), Reason.NOT_MOVABLE)],
)
def test_a_pod_with_unknown_or_special_rules_is_not_moved(scheduling, reason):
    one = serving("a", "node-0")
    one = replace(one, pods=tuple(replace(each, scheduling=scheduling) for each in one.pods))
    found = judged(one)["node-0"]
    assert isinstance(found, Blocked)
    assert found.reason is reason


EBS_ZONE = "topology.ebs.csi.aws.com/zone"


def with_volume(one, *, affinity):
    """An endpoint whose first pod uses a claim, as the inventory reads it."""
    claim = {"metadata": {"name": "data"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]} for key, value in affinity]
    spec = {"accessModes": ["ReadWriteOnce"], "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    user = {
        "metadata": {"name": one.pods[0].name},
        "spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
    }
    volume = {"metadata": {"name": "pv"}, "spec": spec}
    cluster = {"PersistentVolumeClaim": [claim], "PersistentVolume": [volume], "Pod": [user]}
    scheduling = scheduling_of(user["spec"], Volumes(cluster).reach(user))
    return replace(one, pods=(replace(one.pods[0], scheduling=scheduling), *one.pods[1:]))


@pytest.mark.parametrize(
    ("affinity", "to"),
    [
        ([(EBS_ZONE, "eu-west-1a")], "node-2"),  # the driver of the volume does not run on node-1
        ([(EBS_ZONE, "eu-west-1b")], None),  # node-3 is in that zone, but not of the same kind as node-0
        ([("kubernetes.io/hostname", "node-0")], None),
    ],
)
def test_a_pod_with_a_volume_moves_only_to_nodes_that_can_attach_it(affinity, to):
    def at(name, **labels):
        return kept(name, openness=Openness(labels={"kubernetes.io/hostname": name} | labels))

    near, far = {EBS_ZONE: "eu-west-1a"}, {EBS_ZONE: "eu-west-1b"}
    nodes = [replace(at("node-0", **near), marks={}), at("node-1"), at("node-2", **near)]
    nodes.append(replace(at("node-3", **far), zone="eu-west-1b"))
    busy = [serving(f"full-{index}", f"node-{index}", gpus=4) for index in (1, 2, 3)]
    found = judged(with_volume(serving("a", "node-0"), affinity=affinity), *busy, nodes=nodes)["node-0"]
    moves = found.change.moves if isinstance(found, Recommendation) else None
    assert moves == (None if to is None else (("research/Deployment/a", "a-0", to),))


def test_of_two_nodes_that_would_move_pods_to_each_other_a_plan_frees_one():
    found = judged(serving("a", "node-0"), serving("b", "node-1"), nodes=[here("node-0"), here("node-1")])
    assert len(found) == 2
    assert len(recommended(found)) == 1


def test_of_many_half_used_nodes_a_plan_frees_about_half():
    names = [f"node-{number}" for number in range(10)]
    found = judged(*(serving(name, name, gpus=4) for name in names), nodes=[here(name) for name in names])
    assert len(recommended(found)) == 5


def test_an_empty_node_is_freed_without_moves_and_before_pods_are_moved_to_it():
    found = judged(serving("a", "node-0"), nodes=[here("node-0"), here("node-1")])
    assert recommended(found) == {"node-1": FreeNode(())}


def test_slices_move_to_slices_of_the_same_profile():
    sliced = [here("node-0", mig={"1g.10gb": 7}), kept("node-1", mig={"1g.10gb": 7})]
    one = serving("a", "node-0")
    one = replace(one, request=replace(one.request, resource="nvidia.com/mig-1g.10gb"))
    other = serving("b", "node-1")
    other = replace(other, request=replace(other.request, resource="nvidia.com/mig-1g.10gb"))
    assert isinstance(judged(one, other, nodes=sliced)["node-0"], Recommendation)
    other_profile = [sliced[0], kept("node-1", mig={"2g.20gb": 3})]
    assert judged(one, other, nodes=other_profile)["node-0"].reason is Reason.WELL_PACKED


def test_more_than_two_pods_per_gpu_are_not_moved():
    sliced = [here("node-0", mig={"1g.10gb": 56}), here("node-1", mig={"1g.10gb": 56})]
    one = serving("a", *["node-0"] * 17)
    one = replace(one, request=replace(one.request, resource="nvidia.com/mig-1g.10gb"))
    assert judged(one, serving("b", "node-1"), nodes=sliced)["node-0"].reason is Reason.WELL_PACKED


TRAINING = {"workload_class": WorkloadClass.TRAINING}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": {DO_NOT_DISRUPT: "true"}}, Reason.PROTECTED),
        ({"annotations": {DO_NOT_DISRUPT: "yes"}}, Reason.UNREADABLE_POLICY),
        ({"disruptions_allowed": 0}, Reason.BLOCKED_BY_PDB),
        ({"ref": replace(WORKLOAD, kind="DaemonSet")}, Reason.NOT_MOVABLE),
        ({"ref": replace(WORKLOAD, kind="Pod")}, Reason.NOT_MOVABLE),
        ({"ref": replace(WORKLOAD, namespace="kube-system")}, Reason.PROTECTED_NAMESPACE),
        ({"ref": replace(WORKLOAD, namespace="unknown")}, Reason.UNREADABLE_POLICY),
        ({"request": None}, Reason.INSUFFICIENT_DATA),
        (TRAINING, Reason.NOT_INTERRUPTIBLE),
        (TRAINING | {"annotations": {CHECKPOINTED: "yes"}}, Reason.NOT_INTERRUPTIBLE),
        ({"pods": (pod("a-0"),)}, Reason.SINGLE_REPLICA),
        ({"pods": (pod("a-0", annotations={DO_NOT_DISRUPT: "true"}), pod("a-1", "x"))}, Reason.PROTECTED),
    ],
)
def test_a_pod_that_must_not_move_keeps_its_node(changes, reason):
    found = judged(replace(serving("a", "node-0"), **changes), serving("b", "node-1"))
    assert found["node-0"].reason is reason


def test_checkpointed_training_may_move():
    one = serving("a", "node-0", annotations={CHECKPOINTED: "true"}, **TRAINING)
    assert isinstance(judged(one, serving("b", "node-1"))["node-0"], Recommendation)


def test_a_protected_namespace_keeps_its_nodes():
    namespaces = [Namespace("research", {}, {DO_NOT_DISRUPT: "true"})]
    assert judged(serving("a", "node-0"), namespaces=namespaces)["node-0"].reason is Reason.PROTECTED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu_type": None}, Reason.UNKNOWN_GPU_TYPE),
        ({"region": None}, Reason.INSUFFICIENT_DATA),
        ({"zone": None}, Reason.INSUFFICIENT_DATA),
        ({"zone": "eu-west-1b"}, Reason.WELL_PACKED),
        ({"capacity_type": CapacityType.SPOT}, Reason.WELL_PACKED),
        ({"capacity_type": CapacityType.RESERVED}, Reason.PAID_IN_ADVANCE),
        ({"gpu_type": named("L40S"), "gpu_product": "NVIDIA-L40S"}, Reason.NO_PRICE),
    ],
)
def test_a_node_of_another_kind_or_with_unknown_data_stays(changes, reason):
    found = judged(serving("a", "node-0"), serving("b", "node-1"), nodes=[here("node-0", **changes), here("node-1")])
    assert found["node-0"].reason is reason


def test_no_node_that_a_pending_pod_could_use_is_freed():
    queued = workload(replace(WORKLOAD, name="queued", uid="queued"), pods=(pod("queued-0", on=None),))
    found = judged(serving("a", "node-0"), serving("b", "node-1"), queued, nodes=[here("node-0"), here("node-1")])
    assert {item.reason for item in found.values()} == {Reason.WELL_PACKED}


@pytest.mark.parametrize(
    ("scheduling", "openness", "waits"),
    [
        (Scheduling(((Requirement("pool", "In", ("a",)),),)), Openness(labels={"pool": "a"}), True),
        (Scheduling(((Requirement("pool", "In", ("b",)),),)), Openness(labels={"pool": "a"}), False),
        (Scheduling(((Requirement("pool", "In", ("b",)),),), tied="it has affinity"), Openness(), True),
        (Scheduling(((Requirement("pool", "In", ("b",)),),)), None, True),
        (None, Openness(), True),
        (Scheduling(requests={"cpu": 1e9}), Openness(unschedulable=True), True),
        (Scheduling(), Openness(taints=(GOLD,)), False),
    ],
)
def test_a_pending_pod_keeps_the_nodes_that_its_rules_do_not_exclude(scheduling, openness, waits):
    queued = workload(replace(WORKLOAD, name="queued", uid="queued"), pods=(pod("queued-0", on=None),))
    queued = replace(queued, pods=(replace(queued.pods[0], scheduling=scheduling),))
    assert isinstance(judged(queued, nodes=[here("node-0", openness=openness)])["node-0"], Blocked) is waits


NAMES = ("node-0", "node-1", "node-2", "node-3")
placements = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([1, 1, 2, 4])), max_size=9)


def placed(placements, nodes):
    """Workloads with a pod each; pods that do not fit on their node are left out."""
    free, workloads = {one.name: one.gpu_count for one in nodes}, []
    for number, (name, gpus) in enumerate(placements):
        if free[name] >= gpus:
            free[name] -= gpus
            workloads.append(serving(f"w{number}", name, gpus=gpus))
    return workloads


def possible(changes, workloads, nodes):
    """Whether the moves of some nodes fit one after the other, and empty each node; pods that do not exist are skipped.

    Args:
        changes: change by node, in the order in which the nodes are freed.
        workloads: the pods.
        nodes: the nodes.
    """
    free = {one.name: one.gpu_count for one in nodes}
    at = {(str(one.ref), one.pods[0].name): (one.pods[0].node, one.request.count) for one in workloads}
    for name, gpus in at.values():
        free[name] -= gpus
    done = set()
    for name, change in changes.items():
        for ref, pod_name, to in change.moves:
            if (ref, pod_name) not in at or (ref, pod_name) in done:
                continue
            begin, gpus = at[ref, pod_name]
            if free[to] < gpus or to in changes:
                return False
            free[to] -= gpus
            free[begin] += gpus
            done.add((ref, pod_name))
        if free[name] != next(one.gpu_count for one in nodes if one.name == name):
            return False
    return True


@settings(max_examples=40)
@given(
    placements, st.lists(st.sampled_from([4, 8]), min_size=4), st.permutations(NAMES), st.sets(st.sampled_from(NAMES))
)
def test_any_nodes_of_a_plan_can_be_freed_in_any_order(before, sizes, order, some):
    nodes = [here(one, gpu_count=size) for one, size in zip(NAMES, sizes, strict=False)]
    workloads = placed(before, nodes)
    changes = recommended(judged(*workloads, nodes=nodes))
    assert possible({name: changes[name] for name in order if name in changes and name in some}, workloads, nodes)


@settings(max_examples=40)
@given(placements, st.sampled_from(NAMES), st.sampled_from([1, 2, 4]), st.lists(st.sampled_from([4, 8]), min_size=4))
def test_i3_what_is_freed_with_more_pods_is_possible_with_fewer(before, name, gpus, sizes):
    """A node needs no new permission. A search does not always find the most nodes, so their number is no law."""
    nodes = [here(one, gpu_count=size) for one, size in zip(NAMES, sizes, strict=False)]
    fewer, more = placed(before, nodes), placed([*before, (name, gpus)], nodes)
    assert possible(recommended(judged(*more, nodes=nodes)), fewer, nodes)


@settings(max_examples=30)
@given(
    placements,
    st.integers(0, 3),
    st.sampled_from([{"gpu_type": None}, {"region": None}, {"zone": None}, {"capacity_type": None}]),
)
def test_i3_what_is_freed_with_less_data_about_a_node_is_possible_and_permitted_with_all(before, which, lost):
    nodes = [here(one) for one in NAMES]
    blind = [replace(one, **lost) if number == which else one for number, one in enumerate(nodes)]
    workloads = placed(before, nodes)
    changes, known = recommended(judged(*workloads, nodes=blind)), judged(*workloads, nodes=nodes)
    assert possible(changes, workloads, nodes)
    assert all(isinstance(known[name], Recommendation) or "the plan keeps it" in known[name].detail for name in changes)


def run(nodes, workloads, earlier=(), now_s=NOW_S):
    found = inventory(*workloads, nodes=nodes)
    profiles = {node_ref(one): unallocated(one) for one in nodes}
    items = free_nodes(Fleet(found, profiles, PRICES, RecommendSettings(), now_s, tuple(earlier)))
    return [one for one in items if isinstance(one, Recommendation)]


@settings(max_examples=15)
@given(placements, st.lists(st.sampled_from([4, 8]), min_size=4), st.integers(1, 3))
def test_a_later_run_continues_and_keeps_the_plan_unless_it_frees_more(before, sizes, hours):
    nodes = [here(one, gpu_count=size) for one, size in zip(NAMES, sizes, strict=False)]
    workloads = placed(before, nodes)
    first = run(nodes, workloads)
    later = run(nodes, workloads, first, NOW_S + 3_600 * hours)
    saved = [sum(one.saving.usd_month for one in plan) for plan in (first, later)]
    assert saved[0] <= saved[1]
    assert [one.id for one in later] == [one.id for one in first] or saved[0] < saved[1]


def test_an_earlier_plan_that_is_no_longer_possible_is_not_followed():
    nodes = [here("node-0"), here("node-1"), here("node-2")]
    plan = run(nodes, [serving("a", "node-0"), serving("b", "node-1", gpus=7), serving("c", "node-2", gpus=8)])
    assert recommended({one.workload.name: one for one in plan}) == {
        "node-0": FreeNode((("research/Deployment/a", "a-0", "node-1"),))
    }
    full = [serving("a", "node-0"), serving("b", "node-1", gpus=8), serving("c", "node-2", gpus=8)]
    assert run(nodes, full, plan) == []


def test_pods_of_other_nodes_make_space_and_the_plan_lists_their_moves_first():
    """Only a node of pool x takes the pod of node-0; the pod that fills it goes to node-2, in whose pool it fits."""
    here_only = Scheduling(((Requirement("pool", "In", ("x",)),),))
    nodes = [
        here("node-0", gpu_count=4, openness=Openness(labels={"pool": "x"}, unschedulable=True)),
        kept("node-1", gpu_count=4, openness=Openness(labels={"pool": "x"})),
        kept("node-2", gpu_count=4, openness=Openness(labels={"pool": "y"})),
    ]
    nodes[1] = replace(nodes[1], marks={})
    first = serving("a", "node-0", gpus=4)
    first = replace(first, pods=tuple(replace(one, scheduling=here_only) for one in first.pods))
    fixed = serving("d", "node-1", gpus=0, annotations={DO_NOT_DISRUPT: "true"})
    found = judged(first, serving("b", "node-1", gpus=4), fixed, nodes=nodes)["node-0"]
    assert found.change.moves == (
        ("research/Deployment/b", "b-0", "node-2"),
        ("research/Deployment/a", "a-0", "node-1"),
    )
    assert found.shared_claims == ("node-1", "node-2", "uid-a")
