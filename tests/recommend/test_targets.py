"""What a change needs elsewhere: a plan gives each free slice once, and keeps the nodes to which it moves work."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cases import WEEK
from tests.fleet import NOW_S, inventory, node, pod, workload
from tests.scored import profile
from tests.series import device, usage

from gpuwise.model.changes import FreeNode, MoveToSpot, Repartition, Resize, Share
from gpuwise.model.inventory import CapacityType, GpuRequest, Node, Workload, WorkloadRef, node_ref
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.scheduling import Openness
from gpuwise.model.signal import Signal
from gpuwise.recommend.engines.node_underutilised.free_capacity import free_capacity
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import Advice, recommend
from gpuwise.recommend.selection import best_plan
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.recommend.targets import Targets
from gpuwise.score.settings import ScoreSettings

SLICE = "nvidia.com/mig-1g.10gb"
PRICES = PriceBook(
    {("A100-80GB", CapacityType.ON_DEMAND): 3.0, ("A100-80GB", CapacityType.SPOT): 1.0}, "written for tests"
)


@cache
def profile_at(level: float, fraction: float = 1.0) -> UsageProfile:
    """Two weeks of one device at an SM activity; 0 is idle, up to 0.1 fits a slice, more needs the GPU."""
    one = device(2 * WEEK, busy=range(2 * WEEK) if level else (), fraction=fraction)
    one.samples[Signal.SM_ACTIVITY][:] = level
    one.samples[Signal.MEMORY_USED][:] = 7.5 * 2**30
    return profile(usage(one), ScoreSettings())


@cache
def unallocated() -> UsageProfile:
    """Two weeks of devices that nobody uses, as many as a node of these tests can have."""
    return profile(usage(*(device(2 * WEEK, uuid=f"GPU-{number}") for number in range(16))), ScoreSettings())


def placed(name: str, node_names: str | Sequence[str], pods: int, resource: str = GPU_RESOURCE) -> Workload:
    """A workload with pods on some nodes in turn."""
    ref, on = (
        WorkloadRef("research", "Deployment", name, f"uid-{name}"),
        [node_names] if isinstance(node_names, str) else node_names,
    )
    running = tuple(pod(f"{name}-{number}", on[number % len(on)]) for number in range(pods))
    return workload(ref, pods=running, request=GpuRequest(resource, 1))


def mig(name: str, slices: int) -> Node:
    return node(name, mig={"1g.10gb": slices}, zone="eu-west-1a")


def fleet(used: list[tuple[Workload, float]], *nodes: Node, removable: bool = False) -> Fleet:
    """A fleet of workloads with the levels of their use; of removable nodes, the unallocated devices are known idle."""
    profiles = {
        one.ref: replace(profile_at(level, 1.0 if one.request.resource == GPU_RESOURCE else 1 / 7), workload=one.ref)
        for one, level in used
    }
    profiles |= {node_ref(one): replace(unallocated(), workload=node_ref(one)) for one in nodes if removable}
    return Fleet(inventory(*(one for one, _ in used), nodes=list(nodes)), profiles, PRICES, RecommendSettings(), NOW_S)


def resized(advice: Advice) -> list[str]:
    return sorted(item.workload.name for item in advice.plan if isinstance(item.change, Resize))


def test_a_plan_gives_a_free_slice_once():
    low = [(placed(f"chat-{number}", "node-0", 1), 0.05) for number in range(4)]
    advice = recommend(fleet(low, node(zone="eu-west-1a"), mig("mig-0", 3)))
    assert len(resized(advice)) == 3
    slots = [claim for item in advice.plan for claim in item.claims if "#" in claim]
    assert sorted(slots) == [f"mig-0/{SLICE}#{number}" for number in range(3)]
    [left] = {one.ref.name for one, _ in low} - set(resized(advice))
    assert any(
        item.workload.name == left and item.stage == "Resize" and item.reason is Reason.BETTER_ALTERNATIVE
        for item in advice.blocked
    )


def test_more_pods_than_free_slices_are_not_resized_and_it_says_how_many_there_are():
    taken = placed("batch", "mig-0", 2, SLICE)
    advice = recommend(fleet([(placed("chat", "node-0", 3), 0.05), (taken, 0.8)], node(), mig("mig-0", 4)))
    assert resized(advice) == []
    [blocked] = [item for item in advice.blocked if item.reason is Reason.NO_MIG_CAPACITY]
    assert blocked.detail == f"it needs 3 {SLICE}; nodes that accept its pods have 2 free"


def test_one_that_needs_too_many_slices_takes_none_from_the_others():
    used = [(placed("large", "node-0", 5), 0.05), *((placed(f"chat-{one}", "node-0", 1), 0.05) for one in range(4))]
    advice = recommend(fleet(used, node(), mig("mig-0", 2), mig("mig-1", 2)))
    made = [one for one in (*advice.plan, *advice.alternatives) if isinstance(one.change, Resize)]
    assert len({claim for item in made for claim in item.claims if "#" in claim}) == 4
    assert len(best_plan(made)) == 4


def test_slices_of_several_nodes_count_together():
    advice = recommend(fleet([(placed("chat", "node-0", 3), 0.05)], node(), mig("mig-0", 2), mig("mig-1", 1)))
    [item] = [one for one in (*advice.plan, *advice.alternatives) if isinstance(one.change, Resize)]
    assert item.claims == (
        "uid-chat",
        *(f"{slot}" for slot in (f"mig-0/{SLICE}#0", f"mig-0/{SLICE}#1", f"mig-1/{SLICE}#0")),
    )
    assert item.shared_claims == ("mig-0", "mig-1")


def test_a_cordoned_node_gives_no_slices():
    closed = replace(mig("mig-0", 4), openness=Openness(unschedulable=True))
    advice = recommend(fleet([(placed("chat", "node-0", 1), 0.05)], node(), closed))
    assert [item.reason for item in advice.blocked if item.stage == "right-size"] == [Reason.NO_MIG_CAPACITY]


@pytest.mark.parametrize(("workloads", "kind"), [(1, FreeNode), (2, Resize)])
def test_the_node_with_the_slices_stays_unless_its_removal_saves_more(workloads: int, kind: type):
    """A node of one GPU, against six sevenths of one GPU for each workload that moves to a slice of it."""
    used = [(placed(f"chat-{number}", "node-0", 1), 0.05) for number in range(workloads)]
    advice = recommend(fleet(used, node(), replace(mig("mig-0", 7), gpu_count=1), removable=True))
    both = [one for one in (*advice.plan, *advice.alternatives) if isinstance(one.change, FreeNode | Resize)]
    assert {type(item.change) for item in best_plan(both)} == {kind}


def test_a_spot_move_shares_a_node_of_its_place_that_nothing_else_claims():
    spot = [node(f"spot-{number}", capacity=CapacityType.SPOT, zone="eu-west-1a") for number in range(2)]
    subject = placed("chat", "node-0", 2)
    advice = recommend(fleet([(subject, 0.8)], node(zone="eu-west-1a"), *spot))
    [move] = [item for item in (*advice.plan, *advice.alternatives) if isinstance(item.change, MoveToSpot)]
    assert move.shared_claims == ("spot-0",)
    freed = replace(move, id="r-freed", claims=("spot-0",), change=FreeNode(()))
    targets = Targets(fleet([(subject, 0.8)], node(), *spot), frozenset(freed.claims))
    assert targets.claimed_by(replace(move, shared_claims=())).shared_claims == ("spot-1",)


def most_valuable(items: Sequence[tuple[int, float]], slices: int) -> float:
    """The highest value of items, each with a number of slices, that some slices allow: a knapsack, solved exactly."""
    best = [0.0] * (slices + 1)
    for size, value in items:
        for left in range(slices, size - 1, -1):
            best[left] = max(best[left], best[left - size] + value)
    return best[slices]


@cache
def lightly_used(devices: int) -> UsageProfile:
    """Two weeks of devices at 5 % activity: each fits a slice."""
    many = [device(2 * WEEK, busy=range(2 * WEEK), uuid=f"GPU-{one}", pod=f"p-{one}") for one in range(devices)]
    for one in many:
        one.samples[Signal.SM_ACTIVITY][:] = 0.05
        one.samples[Signal.MEMORY_USED][:] = 7.5 * 2**30
    return profile(usage(*many), ScoreSettings())


def scarce(rng: Random) -> tuple[Fleet, list[int], int]:
    """A fleet with fewer free slices than its workloads would fill, their numbers of pods, and the slices."""
    pods = [rng.randint(1, 4) for _ in range(rng.randint(3, 9))]
    slices = rng.randint(1, 7), rng.randint(1, 7)
    works = [placed(f"w-{at}", f"node-{at}", count) for at, count in enumerate(pods)]
    nodes = [node(f"node-{at}", zone="eu-west-1a") for at in range(len(pods))]
    nodes += [mig(f"mig-{at}", count) for at, count in enumerate(slices)]
    profiles = {one.ref: replace(lightly_used(count), workload=one.ref) for one, count in zip(works, pods, strict=True)}
    return Fleet(inventory(*works, nodes=nodes), profiles, PRICES, RecommendSettings(), NOW_S), pods, sum(slices)


def test_where_slices_run_out_a_plan_is_worth_nearly_what_the_best_choice_is():
    """60 fleets drawn once: 99 % of the exact optimum in the mean, and 83 % at worst."""
    shares = []
    for seed in range(60):
        drawn, pods, slices = scarce(Random(seed))
        advice = recommend(drawn)
        resizes = [one for one in (*advice.plan, *advice.alternatives) if isinstance(one.change, Resize)]
        wanted = [(pods[int(one.workload.name.removeprefix("w-"))], one.saving.usd_month) for one in resizes]
        best = most_valuable(wanted, slices)
        shares += [sum(one.saving.usd_month for one in best_plan(resizes)) / best] if best else []
    assert len(shares) > 50
    assert mean(shares) > 0.98
    assert min(shares) > 0.8


def assert_feasible(one: Fleet, plan: Sequence[Recommendation]) -> None:
    """The nodes that a plan changes are no target of it, and the others have the slices that it needs."""
    changed = {item.workload.name for item in plan if isinstance(item.change, FreeNode | Repartition)}
    wanted, workloads = Counter[str](), {str(each.ref): each for each in one.inventory.workloads}
    for item in plan:
        if isinstance(item.change, Resize):
            assert changed.isdisjoint(item.shared_claims)
            wanted[item.change.proposed.resource] += len(workloads[str(item.workload)].active_pods)
    for ref, _, to in {move for item in plan if isinstance(item.change, FreeNode) for move in item.change.moves}:
        assert to not in changed
        wanted[workloads[ref].request.resource] += workloads[ref].request.count
    offered = Counter[str]()
    for each in one.inventory.nodes.values():
        if each.name not in changed:
            offered.update(free_capacity(each, one.pods_on.get(each.name, ())))
    assert wanted <= offered, plan


levels = st.sampled_from([0.0, 0.05, 0.05, 0.8])
on_cards = st.tuples(st.permutations(["node-0", "node-1"]), st.integers(1, 3), levels)
on_slices = st.tuples(st.permutations(["mig-0", "mig-1"]), st.integers(1, 3), levels)


@settings(max_examples=60)
@given(
    st.lists(on_cards, min_size=1, max_size=5),
    st.lists(on_slices, max_size=2),
    st.tuples(st.integers(6, 14), st.integers(6, 14)),
    st.integers(0, 2),
    st.booleans(),
)
def test_a_plan_can_be_done_as_a_whole_and_the_bill_after_it_is_not_negative(cards, sliced, slices, spots, removable):
    nodes = [node(f"node-{number}", zone="eu-west-1a") for number in range(2)]
    nodes += [replace(mig(f"mig-{number}", count), gpu_count=2) for number, count in enumerate(slices)]
    nodes += [node(f"spot-{number}", capacity=CapacityType.SPOT, zone="eu-west-1a") for number in range(spots)]
    used = [(placed(f"w-{at}", on, pods), level) for at, (on, pods, level) in enumerate(cards)]
    used += [(placed(f"s-{at}", on, pods, SLICE), level) for at, (on, pods, level) in enumerate(sliced)]
    drawn = fleet(used, *nodes, removable=removable)
    advice = recommend(drawn)
    items = (*advice.plan, *advice.alternatives)
    for plan in (advice.plan, best_plan([item for item in items if not isinstance(item.change, Share)])):
        assert_feasible(drawn, plan)
        # Of each node, no more is saved than it costs.
        left = {one.name: one.capacity * 730 * PRICES.of_node(one) for one in nodes}
        workloads = drawn.inventory.by_ref()
        for item in plan:
            pods = workloads[item.workload].active_pods if item.workload in workloads else ()
            places = [each.node for each in pods] or [item.workload.name]
            for place in places:
                left[place] -= item.saving.high_usd_month / len(places)
        assert min(left.values()) >= -1e-6, plan
