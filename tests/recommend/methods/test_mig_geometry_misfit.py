"""Reconfiguring MIG: fewer GPUs offer the slices in use, and no work is lost."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.scored import profile
from tests.series import DAY_STEPS, device, usage

from gpuwise.model.changes import Repartition
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import named
from gpuwise.model.inventory import GpuRequest, Namespace, WorkloadClass, WorkloadRef, node_ref
from gpuwise.model.labels import CHECKPOINTED, DO_NOT_DISRUPT
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.mig_geometry_misfit import repartition
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

STEPS = 14 * DAY_STEPS
MIG = {"1g.10gb": 7, "2g.20gb": 3, "3g.40gb": 2}  # three GPUs
NAMES = tuple(p.name for p in named("A100-80GB").mig_profiles)


def slices(name, profile_name, count, on="mig-0", **changes):
    pods = tuple(pod(f"{name}-{index}", on) for index in range(count))
    ref = WorkloadRef("research", "Deployment", name, f"uid-{name}")
    return replace(workload(ref, pods=pods), request=GpuRequest(f"nvidia.com/mig-{profile_name}", 1), **changes)


def unallocated(one, *, busy=(), without=()):
    signals = tuple(s for s in (Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.POWER) if s not in without)
    sampled = device(STEPS, busy=busy, pod="", node=one.name, fraction=1 / 7, signals=signals)
    return every_slice(profile(usage(sampled, workload=node_ref(one)), ScoreSettings()))


def every_slice(of_one):
    """The profile of one slice, as that of all slices of the node."""
    return replace(of_one, devices=sum(MIG.values()))


IDLE = unallocated(node("mig-0"))


def fleet(*workloads, one=None, usage=IDLE, prices=PRICES, namespaces=None):
    one = one or node("mig-0", mig=MIG)
    profiles = {} if usage is None else {node_ref(one): usage}
    nodes = inventory(*workloads, nodes=[one], namespaces=namespaces)
    return Fleet(nodes, profiles, prices, RecommendSettings(), NOW_S)


def judged(*workloads, **changes):
    (result,) = repartition(fleet(*workloads, **changes))
    return result


def test_i30_a_slice_without_samples_counts_as_in_use():
    used = slices("a", "1g.10gb", 2)
    one_less = replace(IDLE, devices=sum(MIG.values()) - 2 - 1)
    assert judged(used, usage=one_less).reason is Reason.INSUFFICIENT_DATA
    assert isinstance(judged(used, usage=replace(one_less, devices=one_less.devices + 1)), Recommendation)


def test_a_protected_node_is_not_reconfigured():
    protected = node("mig-0", mig=MIG)
    assert isinstance(judged(one=protected), Recommendation)
    marked = replace(protected, marks={"karpenter.sh/do-not-disrupt": "true"})
    assert judged(one=marked).reason is Reason.PROTECTED


def test_i30_empty_memory_is_a_second_sensor_of_slices_where_it_was_sampled():
    """A slice has neither a driver utilisation nor a power of its own."""
    one, signals = node("mig-0"), (Signal.SM_ACTIVITY, Signal.MEMORY_USED)
    sampled = device(STEPS, pod="", node=one.name, fraction=1 / 7, signals=signals)
    reasons = {}
    for name, used_gib in {"empty": 0.02, "a process": 0.4, "not sampled": float("nan")}.items():
        memory = np.full(STEPS, used_gib * 2**30)
        samples = {**sampled.samples, Signal.MEMORY_USED: memory}
        usage_of = usage(replace(sampled, samples=samples), workload=node_ref(one))
        found = judged(usage=every_slice(profile(usage_of, ScoreSettings())))
        reasons[name] = found.reason if isinstance(found, Blocked) else None
    assert reasons == {
        "empty": None,
        "a process": Reason.NEEDS_SECOND_SIGNAL,
        "not sampled": Reason.NEEDS_SECOND_SIGNAL,
    }


def test_slices_spread_over_three_gpus_fit_one():
    """Two 1g, a 2g and a 3g fit on one GPU, so two of the three become whole."""
    chat, embed, rank = slices("chat", "1g.10gb", 2), slices("embed", "2g.20gb", 1), slices("rank", "3g.40gb", 1)
    result = judged(chat, embed, rank)
    assert isinstance(result, Recommendation)
    current = (("1g.10gb", 7), ("2g.20gb", 3), ("3g.40gb", 2))
    assert result.change == Repartition(current, (("1g.10gb", 2), ("2g.20gb", 1), ("3g.40gb", 1)), 2)
    assert (result.finding, result.reasons) == (Finding.MIG_GEOMETRY_MISFIT, (Reason.SLICES_FIT_FEWER_GPUS,))
    assert result.saving.gpu_h_month == 2 * 730
    assert (result.saving.low_usd_month, result.saving.usd_month) == (0.0, pytest.approx(2 * 730 * 3.0))
    assert result.restart_needed
    assert not result.rollback_possible
    assert result.claims == ("mig-0",)  # other changes may count the GPU time of its pods
    assert result.confidence == pytest.approx(1.0, abs=0.01)


def test_a_node_whose_slices_are_all_in_use_stays():
    used = [slices(name[:2], name, count) for name, count in MIG.items()]
    assert judged(*used).reason is Reason.WELL_PACKED


def test_all_gpus_of_an_unused_node_become_whole():
    result = judged()
    assert (result.change.proposed, result.change.freed_gpus) == ((), 3)


def test_slices_that_pending_pods_request_are_kept():
    """Seven 1g in use fill a GPU, two requested 3g the second, and a requested 7g the third."""
    chat, queue = slices("chat", "1g.10gb", 7), slices("queue", "3g.40gb", 2, on=None)
    result = judged(chat, queue)
    assert result.change.freed_gpus == 1
    assert dict(result.change.proposed)["3g.40gb"] == 2
    assert judged(chat, queue, slices("large", "7g.80gb", 1, on=None)).reason is Reason.WELL_PACKED
    assert judged(chat, queue, slices("foreign", "1g.5gb", 30, on=None)) == result


def test_the_only_pod_of_an_endpoint_raises_the_risk():
    assert judged(slices("chat", "1g.10gb", 1)).risk == 3
    spread = slices("chat", "1g.10gb", 1)
    elsewhere = pod("chat-9", "node-9")
    assert judged(replace(spread, pods=(*spread.pods, elsewhere))).risk == 2


CHAT = slices("chat", "1g.10gb", 1)
REFUSED = {
    "unknown type": ([], {"one": replace(node("mig-0", mig=MIG), gpu_type=None)}, Reason.UNKNOWN_GPU_TYPE),
    "unknown slice": ([], {"one": node("mig-0", mig=MIG | {"1g.10gb.me": 1})}, Reason.UNKNOWN_GPU_TYPE),
    "one profile for all": (
        [],
        {"one": replace(node("mig-0", mig={"1g.10gb": 56}), gpu_product="NVIDIA-A100-SXM4-80GB-MIG-1g.10gb")},
        Reason.NOT_APPLICABLE,
    ),
    "more slices than its GPUs have": ([], {"one": node("mig-0", mig={"7g.80gb": 9})}, Reason.INSUFFICIENT_DATA),
    "more used than offered": ([slices("chat", "7g.80gb", 1)], {}, Reason.INSUFFICIENT_DATA),
    "a pod with an unknown request": ([replace(CHAT, request=None)], {}, Reason.INSUFFICIENT_DATA),
    "a budget of zero": ([replace(CHAT, disruptions_allowed=0)], {}, Reason.BLOCKED_BY_PDB),
    "protected": ([replace(CHAT, annotations={DO_NOT_DISRUPT: "true"})], {}, Reason.PROTECTED),
    "protected pod": (
        [replace(CHAT, pods=(pod("chat-0", "mig-0", {DO_NOT_DISRUPT: "true"}),))],
        {},
        Reason.PROTECTED,
    ),
    "unreadable": ([replace(CHAT, annotations={DO_NOT_DISRUPT: "yes"})], {}, Reason.UNREADABLE_POLICY),
    "protected namespace": (
        [CHAT],
        {"namespaces": [Namespace("research", {}, {DO_NOT_DISRUPT: "true"})]},
        Reason.PROTECTED,
    ),
    "unknown namespace": ([CHAT], {"namespaces": [Namespace("other", {}, {})]}, Reason.UNREADABLE_POLICY),
    "system": (
        [replace(CHAT, ref=WorkloadRef("kube-system", "Deployment", "chat", "uid-chat"))],
        {},
        Reason.PROTECTED_NAMESPACE,
    ),
    "training": ([replace(CHAT, workload_class=WorkloadClass.TRAINING)], {}, Reason.NOT_INTERRUPTIBLE),
    "bare pod": (
        [replace(CHAT, ref=WorkloadRef("research", "Pod", "chat", "uid-chat"))],
        {},
        Reason.NOT_MOVABLE,
    ),
    "work outside Kubernetes": ([CHAT], {"usage": unallocated(node("mig-0"), busy=[STEPS - 1])}, Reason.BUSY),
    "unsampled": ([CHAT], {"usage": None}, Reason.INSUFFICIENT_DATA),
    "no price": ([CHAT], {"prices": PriceBook({}, "none")}, Reason.NO_PRICE),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_node_is_blocked_with_a_reason(case):
    workloads, changes, reason = REFUSED[case]
    result = judged(*workloads, **changes)
    assert isinstance(result, Blocked)
    assert result.reason is reason
    assert result.workload == node_ref(changes.get("one") or node("mig-0"))


def test_checkpointed_training_may_be_moved():
    training = replace(CHAT, workload_class=WorkloadClass.TRAINING, annotations={CHECKPOINTED: "true"})
    assert isinstance(judged(training), Recommendation)


def test_nodes_without_mig_give_no_result():
    assert list(repartition(fleet(workload(), one=node()))) == []


def freed(*workloads, **changes):
    result = judged(*workloads, **changes)
    return result.change.freed_gpus if isinstance(result, Recommendation) else 0


COUNTS = st.fixed_dictionaries({name: st.integers(0, 3) for name in MIG})


@given(COUNTS, st.sampled_from(NAMES), st.integers(1, 3), st.booleans())
@settings(max_examples=40)
def test_more_use_never_frees_more(counts, name, more, waiting):
    """I3: another slice in use, or one that a pod waits for, never frees more GPUs."""
    used = [slices(f"w{kind[0]}", kind, min(count, MIG[kind])) for kind, count in counts.items()]
    added = slices("more", name, more, on=None if waiting else "mig-0")
    assert freed(*used, added) <= freed(*used)


@given(st.lists(st.integers(0, STEPS - 1), max_size=30), st.sets(st.sampled_from([Signal.POWER, Signal.DRAM_ACTIVITY])))
@settings(max_examples=15)
def test_work_outside_kubernetes_and_missing_samples_never_free_more(busy, without):
    assert freed(CHAT, usage=unallocated(node("mig-0"), busy=busy)) <= freed(CHAT)
    assert freed(CHAT, usage=unallocated(node("mig-0"), busy=[*busy, STEPS - 1], without=without)) == 0
    assert freed(CHAT, usage=None) == 0


@given(COUNTS)
@settings(max_examples=40)
def test_the_proposed_geometry_offers_the_slices_in_use_on_the_remaining_gpus(counts):
    used = {kind: min(count, MIG[kind]) for kind, count in counts.items()}
    result = judged(*(slices(f"w{kind[0]}", kind, count) for kind, count in used.items()))
    if isinstance(result, Recommendation):
        offered = dict(result.change.proposed)
        assert all(offered.get(kind, 0) >= count for kind, count in used.items())
        compute = sum(named("A100-80GB").mig_profile(kind).compute_slices * count for kind, count in offered.items())
        assert compute <= 7 * (3 - result.change.freed_gpus)
        assert np.isfinite(result.saving.usd_month)
