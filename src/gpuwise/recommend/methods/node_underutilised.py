"""Nodes whose GPU pods fit into what others have free: move them together, and give the node back."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from gpuwise.model.changes import FreeNode
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, GpuRequest, Node, Pod, Workload
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.recommend.case import HOURS_PER_MONTH
from gpuwise.recommend.engines.node_underutilised.free_capacity import fitted, offered, room
from gpuwise.recommend.fleet import Fleet, node_blocked, node_recommendation
from gpuwise.recommend.movable import answers_alone, blocker
from gpuwise.recommend.proposal import Proposal

STAGE = "free-node"
# Karpenter's Balanced consolidation acts where the share of cost saved is half the share of disruption caused or more.
_LEAST_BALANCE = 0.5
# All of it is read from the API at one moment, but what its pods need besides GPUs is not.
_CONFIDENCE = 0.8
# An empty node: nothing has to move. Half of its worth is taken as sure, for pods may come before it goes; so in a plan
# it goes before moving pods onto it, which saves as much and of which nothing is sure.
_CONFIDENCE_EMPTY, _SURE_EMPTY = 0.9, 0.5

Tenants = Sequence[tuple[Workload, Pod]]
Kind = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What is told of the fleet once, for all of its nodes.

    Attributes:
        fleet: itself.
        rooms: nodes by their kind, a resource that they offer and how much of it is free; sorted by name.
        waiting: the least that a pod waits for, and its name, by resource; by None one that does not say.
    """

    fleet: Fleet
    rooms: Mapping[tuple[Kind, str], Mapping[int, Sequence[Node]]]
    waiting: Mapping[str | None, tuple[int, str]]


def free_nodes(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """Judge every node with GPUs by itself: whether its GPU pods fit elsewhere as things are now.

    Two recommendations that count on the same node claim it both, so a plan holds one of them. A pod goes only to a
    node of the same product, region, zone and way of paying. It must be worth it, as Karpenter's Balanced policy has
    it (designs/balanced-consolidation): (cost saved / cost of the pool) / (disruption / disruption of the pool) >= 0.5.
    The pool's disruption is taken as one pod a GPU here, not as the pods there are: otherwise a node became easier to
    free the more pods the others have (I3). With one price in a pool this is GPUs given back a pod moved.

    Args:
        fleet: what is known.

    Yields:
        A recommendation or what blocks it, for each node, by name.
    """
    around = _Surroundings(fleet, _rooms(fleet), _waiting(fleet))
    for _, node in sorted(fleet.inventory.nodes.items()):
        if node.gpu_count > 0:
            yield _judged(around, node)


def _judged(around: _Surroundings, node: Node) -> Recommendation | Blocked:
    fleet, blocked = around.fleet, partial(node_blocked, node, STAGE)
    tenants, usd_h = fleet.pods_on.get(node.name, ()), fleet.usd_per_gpu_h(node)
    if node.gpu_type is None:
        return blocked(Reason.UNKNOWN_GPU_TYPE, f"{node.gpu_product or 'its card'} is not known here")
    if node.capacity_type is CapacityType.RESERVED:
        return blocked(Reason.PAID_IN_ADVANCE, "it is reserved or committed: removing it saves nothing")
    if usd_h is None:
        return blocked(Reason.NO_PRICE, f"no price is known for {node.gpu_type.name}")
    asked = _waiting_for(around, node)
    if asked is not None:
        return blocked(Reason.WELL_PACKED, f"{asked} waits for GPUs, and may get those of this node")
    for workload, pod in tenants:
        why = blocker(fleet, workload, pod)
        if why is not None:
            return blocked(*why)
        if answers_alone(workload, node.name):
            return blocked(Reason.SINGLE_REPLICA, f"nobody answers for {workload.ref} while {pod.name} moves")
    if node.region is None or node.zone is None:
        detail = "its region or zone is not known: no cloud is known to take it back, and no other node to match it"
        return blocked(Reason.INSUFFICIENT_DATA, detail)
    return _weighed(around, node, tenants, usd_h)


def _weighed(around: _Surroundings, node: Node, tenants: Tenants, usd_h: float) -> Recommendation | Blocked:
    balance = node.gpu_count / len(tenants) if tenants else float("inf")
    evidence = _evidence(node, tenants)
    if balance < _LEAST_BALANCE:
        detail = f"{len(tenants)} pods would move for {node.gpu_count} GPUs"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, evidence)
    to = fitted(_asked(tenants), _candidates(around, node, len(tenants)))
    if to is None:
        detail = f"its {len(tenants)} GPU pods do not all fit on others of its kind in {node.zone}"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, evidence)
    moves = [(str(workload.ref), pod.name, name) for (workload, pod), name in zip(tenants, to, strict=True)]
    gpu_h = node.gpu_count * HOURS_PER_MONTH
    proposal = Proposal(
        finding=Finding.NODE_UNDERUTILISED,
        reasons=(Reason.PODS_FIT_ELSEWHERE,),
        change=FreeNode(tuple(sorted(moves))),
        # Low end: what else runs on it, and what its pods need besides GPUs, may keep it.
        saving=Saving(gpu_h * usd_h, 0.0 if moves else _SURE_EMPTY * gpu_h * usd_h, gpu_h * usd_h, gpu_h),
        risk=2 if moves else 1,
        coverage=1.0,
        evidence=evidence,
        restart_needed=bool(moves),
    )
    claims = (*around.fleet.tenants(node.name), *to)
    return node_recommendation(
        around.fleet, node, proposal, confidence=_CONFIDENCE if moves else _CONFIDENCE_EMPTY, claims=claims
    )


def _asked(tenants: Tenants) -> list[GpuRequest]:
    return [workload.request for workload, _ in tenants if workload.request is not None]


def _candidates(around: _Surroundings, node: Node, most: int) -> dict[str, dict[str, int]]:
    """What is free on nodes like it, by resource and node; of those with as much free no more than could be used.

    The next by name come first, so that not every node counts on the same one, which a plan could take up only once.
    """
    return {
        resource: {
            other.name: free
            for free, others in around.rooms.get((_kind(node), resource), {}).items()
            for other in islice(_after(others, node), most)
        }
        for resource in offered(node)
    }


def _after(others: Sequence[Node], node: Node) -> Iterator[Node]:
    """All but the node, from its successor by name and around."""
    begin = bisect_right(others, node.name, key=lambda one: one.name)
    return (others[at % len(others)] for at in range(begin, begin + len(others)) if others[at % len(others)] != node)


def _rooms(fleet: Fleet) -> dict[tuple[Kind, str], dict[int, list[Node]]]:
    found: dict[tuple[Kind, str], dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for _, node in sorted(fleet.inventory.nodes.items()):
        for resource, free in room(node, fleet.pods_on.get(node.name, ())).items():
            found[_kind(node), resource][free].append(node)
    return found


def _waiting(fleet: Fleet) -> dict[str | None, tuple[int, str]]:
    found: dict[str | None, tuple[int, str]] = {}
    for workload in fleet.inventory.workloads:
        request = workload.request
        resource, count = (request.resource, request.count) if request else (None, 0)
        for pod in workload.pods:
            if pod.node is None:
                found[resource] = min(found.get(resource, (count, pod.name)), (count, pod.name))
    return found


def _waiting_for(around: _Surroundings, node: Node) -> str | None:
    """A pod that waits for what the node offers; what asks for more than all of it waits for another."""
    whole = {None: 0} | room(node, ())
    found = (around.waiting[one] for one in whole if one in around.waiting and around.waiting[one][0] <= whole[one])
    return next((name for _, name in found), None)


def _kind(node: Node) -> Kind:
    return node.gpu_product, node.region, node.zone, node.capacity_type


def _evidence(node: Node, tenants: Tenants) -> tuple[Evidence, ...]:
    pods = Evidence("GPU pods that would move", None, "count", len(tenants), node.gpu_count / _LEAST_BALANCE, "pods")
    unknown = "CPU, memory, selectors and volumes of its pods are not looked at: see that they fit before you move them"
    return (
        Evidence("GPUs of the node", None, "count", node.gpu_count, None, "GPUs"),
        pods,
        *([Evidence(unknown, None, "not known", None, None, "")] if tenants else []),
    )
