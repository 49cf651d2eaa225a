"""Drain and remove nodes whose GPU pods fit on other nodes, by one plan for all nodes of a kind."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gpuwise.model.changes import FreeNode
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, Node, Pod, Workload
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.scheduling import Requirement, Scheduling, Toleration, refusal
from gpuwise.recommend.case import HOURS_PER_MONTH
from gpuwise.recommend.engines.node_underutilised.dependencies import moves_by_node
from gpuwise.recommend.engines.node_underutilised.free_capacity import free_capacity
from gpuwise.recommend.engines.node_underutilised.nodes import Placement
from gpuwise.recommend.engines.node_underutilised.policy import Kept, SearchSettings, consolidate
from gpuwise.recommend.engines.node_underutilised.pool import Pool, Tenants, pool_of
from gpuwise.recommend.fleet import Fleet, node_blocked, node_recommendation
from gpuwise.recommend.movable import may_move, node_blocker, pinned
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.unallocated import use_of_unallocated

STAGE = "free-node"
# Karpenter's Balanced consolidation acts if the share of cost saved is at least half the share of disruption caused.
_LEAST_BALANCE = 0.5
# The GPUs are read from the API at one moment, but what the pods need besides GPUs is not read.
_CONFIDENCE = 0.8
# An empty node: no pod has to move. The low end is half of its price, because pods may arrive before it is removed. So
# a plan prefers removing the empty node to moving pods onto it, which saves as much but has a low end of 0.
_CONFIDENCE_EMPTY, _SURE_EMPTY = 0.9, 0.5
STEPS = 10_000
"""Steps of the search in one run for all nodes, shared by the kinds in proportion to their pods: about 3 s for 2,000
pods on 1,000 nodes."""
# A step takes longer with more pods, so the product of both has a limit, too; a small fleet needs few.
_STEPS_TIMES_PODS, _STEPS_PER_POD, _LEAST_STEPS = 50_000_000, 10, 50
_HOUR_S = 3_600

Refusal = tuple[Reason, str]
Rules = tuple[tuple[tuple[Requirement, ...], ...], tuple[Toleration, ...]]
Waiting = Mapping[tuple[str | None, Rules | None], tuple[int, str]]
"""The smallest request of a pending pod, and the pod's name, by resource and rules; None for what is not known."""


@dataclass(frozen=True, slots=True)
class _Freed:
    """How a node is freed.

    Attributes:
        moves: (workload, pod, node) in an order in which each pod fits at its time.
        others: how many of these are of other nodes, to make space.
        touched: the nodes from or to which they move pods, without the node itself.
        kept: how many nodes of its kind are needed after the plan.
        least: how many are needed in any plan.
    """

    moves: tuple[tuple[str, str, str], ...]
    others: int
    touched: frozenset[str]
    kept: int
    least: float


def free_nodes(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """Plan which nodes with GPUs to free and which pods to move, for all nodes of a kind at once.

    Pods move only between nodes with the same GPU product, region, zone and capacity type, which accept them. Each
    recommendation has all moves that free its node, so that any of the nodes can be freed, in any order
    (`dependencies`). The change must be worth the disruption, by Karpenter's Balanced policy
    (designs/balanced-consolidation): (cost saved / cost of the pool) / (disruption / disruption of the pool) >= 0.5.
    The pool's disruption is counted as one pod per GPU here, not as the actual number of pods: otherwise a node would
    become easier to free if other nodes had more pods (I3). In a pool with one price the ratio is the number of GPUs
    released per pod moved.

    The search has a limit in steps. It continues from the recommendations of the last run, `fleet.earlier`.

    Args:
        fleet: the fleet.

    Yields:
        A recommendation, or why it is blocked, for each node, by name.
    """
    waiting = _waiting(fleet)
    why = {name: _kept(fleet, node, waiting) for name, node in fleet.inventory.nodes.items()}
    steps, freed = _steps(fleet), dict[str, _Freed]()
    for members in fleet.kinds:
        if any(why[node.name] is None for node in members):
            candidates = {node.name for node in members if why[node.name] is None}
            freed |= _planned(fleet, members, candidates, waiting, steps)
    for name, node in sorted(fleet.inventory.nodes.items()):
        if node.gpu_count > 0:
            reason = why[name]
            yield _judged(fleet, node, freed.get(name)) if reason is None else node_blocked(node, STAGE, *reason)


def _steps(fleet: Fleet) -> float:
    """Steps of the search per pod."""
    pods = max(sum(map(len, fleet.pods_on.values())), 1)
    return min(STEPS, _STEPS_TIMES_PODS / pods, _STEPS_PER_POD * pods) / pods


def _planned(
    fleet: Fleet, members: Sequence[Node], candidates: set[str], waiting: Waiting, steps: float
) -> dict[str, _Freed]:
    """Plan the nodes of one kind; the result has the nodes to free."""
    pool = pool_of(members, fleet.pods_on, partial(may_move, fleet))
    if pool.empty.accepts is not None:  # space that a pod may get that waits for it is not filled
        pool.empty.accepts[:, [_waiting_for(waiting, node) is not None for node in members]] = False
    kept = Kept(
        stay=np.array([node.name not in candidates for node in members]),
        worth=np.array([node.capacity for node in members]),
        earlier=_earlier(fleet, pool, candidates),
    )
    search = SearchSettings(
        steps=max(round(steps * len(pool.pods)), _LEAST_STEPS), seed=fleet.now_s // _HOUR_S if kept.earlier else 0
    )
    plan = consolidate(pool.empty, pool.shapes, pool.at, kept, search)
    needed = moves_by_node(pool.empty, pool.shapes, pool.at, plan.moves, plan.open)
    closed = [node for node in np.flatnonzero(~plan.open).tolist() if _left_by_all(fleet, pool, node)]
    freed, moved = {}, set[int]()
    for node in sorted(closed, key=lambda one: (len(needed.get(one, ())), one)):
        indices = needed.get(node, [])
        # Nodes share moves; each move is counted with the node that needs the fewest.
        if members[node].gpu_count < _LEAST_BALANCE * len(set(indices) - moved):
            continue
        moved.update(indices)
        moves = [plan.moves[index] for index in indices]
        begins = [pool.at[move.pod].node for move in moves]
        ends = {pool.names[one] for one in (*begins, *(move.to.node for move in moves))}
        freed[pool.names[node]] = _Freed(
            moves=tuple((*_named(*pool.pods[move.pod]), pool.names[move.to.node]) for move in moves),
            others=sum(begin != node for begin in begins),
            touched=frozenset(ends - {pool.names[node]}),
            kept=int(plan.open.sum()),
            least=plan.least,
        )
    return freed


def _named(workload: Workload, pod: Pod) -> tuple[str, str]:
    return str(workload.ref), pod.name


def _left_by_all(fleet: Fleet, pool: Pool, node: int) -> bool:
    """Whether all GPU pods of a node are among those that move."""
    return len(fleet.pods_on.get(pool.names[node], ())) == sum(place.node == node for place in pool.at)


def _earlier(fleet: Fleet, pool: Pool, candidates: set[str]) -> dict[int, Placement]:
    """The moves of the last run's recommendations: a place by pod, by their numbers in the pool."""
    number = {name: index for index, name in enumerate(pool.names)}
    pods = {_named(*one): index for index, one in enumerate(pool.pods)}
    return {
        pods[ref, pod]: Placement(number[to], ())
        for item in fleet.earlier
        if isinstance(item.change, FreeNode) and item.workload.name in candidates
        for ref, pod, to in item.change.moves
        if (ref, pod) in pods and to in number
    }


def _kept(fleet: Fleet, node: Node, waiting: Waiting) -> Refusal | None:
    """Why a node must not be freed, whatever fits elsewhere; None if it may."""
    if node.gpu_type is None:
        return Reason.UNKNOWN_GPU_TYPE, f"{node.gpu_product or 'its GPU type'} is not known to gpuwise"
    if node.capacity_type is CapacityType.RESERVED:
        return Reason.PAID_IN_ADVANCE, "it is reserved or committed: removing it saves nothing"
    if fleet.usd_per_gpu_h(node) is None:
        return Reason.NO_PRICE, f"no price is known for {node.gpu_type.name}"
    if node.name in fleet.unread_nodes:
        return Reason.UNREADABLE_OBJECT, f"a GPU pod on {node.name} cannot be read"
    pending = _waiting_for(waiting, node)
    if pending is not None:
        return Reason.WELL_PACKED, f"{pending} is pending and may get GPUs of this node"
    tenants = fleet.pods_on.get(node.name, ())
    fixed = (pinned(fleet, node, workload, pod) for workload, pod in tenants)
    why = next((one for one in fixed if one is not None), None) or _not_removable(fleet, node)
    if why is None and node.gpu_count < _LEAST_BALANCE * len(tenants):
        return Reason.WELL_PACKED, f"{len(tenants)} pods would move for {node.gpu_count} GPUs"
    return why


def _not_removable(fleet: Fleet, node: Node) -> Refusal | None:
    """Why the node itself must stay, None if it need not."""
    why = node_blocker(node) or use_of_unallocated(fleet, node)
    if why is not None:
        return why
    if node.region is None or node.zone is None:
        detail = "its region or zone is not known: it may not be a cloud node, and no other node can be matched to it"
        return Reason.INSUFFICIENT_DATA, detail
    return None


def _judged(fleet: Fleet, node: Node, freed: _Freed | None) -> Recommendation | Blocked:
    tenants = fleet.pods_on.get(node.name, ())
    if freed is None:
        detail = (
            f"the plan keeps it: its {len(tenants)} GPU pods and those of the nodes that are freed do not fit on fewer "
            f"nodes in {node.zone} of the same kind that accept them"
        )
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, _evidence(node, tenants))
    usd_h = fleet.usd_per_gpu_h(node) or 0.0
    gpu_h, moves = node.capacity * HOURS_PER_MONTH, freed.moves
    proposal = Proposal(
        finding=Finding.NODE_UNDERUTILISED,
        reasons=(Reason.PODS_FIT_ELSEWHERE,),
        change=FreeNode(moves),
        # Low end: other pods on the node, or what its pods need besides GPUs, may prevent the removal.
        saving=Saving(gpu_h * usd_h, 0.0 if moves else _SURE_EMPTY * gpu_h * usd_h, gpu_h * usd_h, gpu_h),
        risk=2 if moves else 1,
        coverage=1.0,
        evidence=(*_evidence(node, tenants), *_plan_evidence(freed)),
        restart_needed=bool(moves),
    )
    confidence = _CONFIDENCE if moves else _CONFIDENCE_EMPTY
    shared = fleet.tenants.get(node.name, frozenset()) | freed.touched
    return node_recommendation(fleet, node, proposal, confidence=confidence, shared_claims=shared)


def _evidence(node: Node, tenants: Tenants) -> tuple[Evidence, ...]:
    pods = Evidence("GPU pods that would move", None, "count", len(tenants), node.gpu_count / _LEAST_BALANCE, "pods")
    return (
        Evidence("GPUs of the node", None, "count", node.gpu_count, None, "GPUs"),
        pods,
    )


def _plan_evidence(freed: _Freed) -> Iterator[Evidence]:
    if freed.others:
        yield Evidence("pods of other nodes that make space for them", None, "count", freed.others, None, "pods")
    text = "nodes of its kind that the plan still needs; no plan needs fewer than the threshold"
    yield Evidence(text, None, "count", freed.kept, math.ceil(freed.least - 1e-6), "nodes")


def _waiting(fleet: Fleet) -> Waiting:
    smallest: dict[tuple[str | None, Rules | None], tuple[int, str]] = {}
    for workload in fleet.inventory.workloads:
        request = workload.request
        resource, count = (request.resource, request.count) if request else (None, 0)
        for pod in workload.active_pods:
            if pod.node is None:
                key = resource, _rules(pod)
                smallest[key] = min(smallest.get(key, (count, pod.name)), (count, pod.name))
    return smallest


def _rules(pod: Pod) -> Rules | None:
    """What a pod requires of its node besides resources; None if that is not known."""
    if pod.scheduling is None or pod.scheduling.tied is not None:
        return None
    return pod.scheduling.terms, pod.scheduling.tolerations


def _waiting_for(waiting: Waiting, node: Node) -> str | None:
    """A pending pod that the empty node could take.

    A pod that requests more than the whole node does not count, nor one whose rules exclude the node.
    """
    whole = free_capacity(node, ())
    for (resource, rules), (count, name) in waiting.items():
        if _may_be_here(resource, count, whole) and not _excluded(rules, node):
            return name
    return None


def _excluded(rules: Rules | None, node: Node) -> bool:
    """Whether a pod's rules keep it off a node, also if that is no longer cordoned; unknown rules exclude none."""
    if rules is None or node.openness is None:
        return False
    return refusal(Scheduling(*rules), replace(node.openness, unschedulable=False)) is not None


def _may_be_here(resource: str | None, count: int, whole: Mapping[str, int]) -> bool:
    """Whether a node can offer what a pod waits for; which nodes offer another plugin's resource is not known."""
    if resource == GPU_RESOURCE or (resource or "").startswith(MIG_RESOURCE_PREFIX) or resource in whole:
        return count <= whole.get(resource or "", 0)
    return True
