"""Drain and remove nodes whose GPU pods fit into the free capacity of other nodes."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from gpuwise.model.changes import FreeNode
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, GpuRequest, Node, Pod, Workload
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.scheduling import refusal
from gpuwise.recommend.case import HOURS_PER_MONTH
from gpuwise.recommend.engines.node_underutilised.free_capacity import fitted, free_capacity, offered
from gpuwise.recommend.fleet import Fleet, node_blocked, node_recommendation
from gpuwise.recommend.movable import answers_alone, blocker, node_blocker
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

Tenants = Sequence[tuple[Workload, Pod]]
Kind = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Data about the whole fleet, computed once for all of its nodes.

    Attributes:
        fleet: the fleet.
        free: nodes by their kind, a resource that they offer, and the free amount of it; sorted by name.
        waiting: the smallest request of a pending pod, and the pod's name, by resource; None for an unknown request.
    """

    fleet: Fleet
    free: Mapping[tuple[Kind, str], Mapping[int, Sequence[Node]]]
    waiting: Mapping[str | None, tuple[int, str]]


def free_nodes(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """For each node with GPUs, check whether its GPU pods fit on other nodes as they are now.

    Two recommendations that move pods to the same node both claim it, so a plan has only one of them. A pod moves only
    to a node with the same GPU product, region, zone and capacity type. The change must be worth the disruption, by
    Karpenter's Balanced policy (designs/balanced-consolidation): (cost saved / cost of the pool) / (disruption /
    disruption of the pool) >= 0.5. The pool's disruption is counted as one pod per GPU here, not as the actual number
    of pods: otherwise a node would become easier to free if other nodes had more pods (I3). In a pool with one price
    the ratio is the number of GPUs released per pod moved.

    Args:
        fleet: the fleet.

    Yields:
        A recommendation, or why it is blocked, for each node, by name.
    """
    around = _Surroundings(fleet, _free(fleet), _waiting(fleet))
    for _, node in sorted(fleet.inventory.nodes.items()):
        if node.gpu_count > 0:
            yield _judged(around, node)


def _judged(around: _Surroundings, node: Node) -> Recommendation | Blocked:
    fleet, blocked = around.fleet, partial(node_blocked, node, STAGE)
    tenants, usd_h = fleet.pods_on.get(node.name, ()), fleet.usd_per_gpu_h(node)
    if node.gpu_type is None:
        return blocked(Reason.UNKNOWN_GPU_TYPE, f"{node.gpu_product or 'its GPU type'} is not known to gpuwise")
    if node.capacity_type is CapacityType.RESERVED:
        return blocked(Reason.PAID_IN_ADVANCE, "it is reserved or committed: removing it saves nothing")
    if usd_h is None:
        return blocked(Reason.NO_PRICE, f"no price is known for {node.gpu_type.name}")
    pending = _waiting_for(around, node)
    if pending is not None:
        return blocked(Reason.WELL_PACKED, f"{pending} is pending and may get GPUs of this node")
    why = _kept_by_pods(fleet, node, tenants) or _not_removable(fleet, node)
    if why is not None:
        return blocked(*why)
    return _weighed(around, node, tenants, usd_h)


def _kept_by_pods(fleet: Fleet, node: Node, tenants: Tenants) -> tuple[Reason, str] | None:
    """Why a pod of the node must not or cannot move, None if all may."""
    for workload, pod in tenants:
        why = blocker(fleet, workload, pod)
        if why is not None:
            return why
        if answers_alone(workload, node.name):
            return Reason.SINGLE_REPLICA, f"{workload.ref} has no other ready pod while {pod.name} moves"
        if pod.scheduling is None:
            return Reason.INSUFFICIENT_DATA, f"what {pod.name} requires of its node is not known"
        if pod.scheduling.tied is not None:
            return Reason.NOT_MOVABLE, f"{pod.name}: {pod.scheduling.tied}"
    return None


def _not_removable(fleet: Fleet, node: Node) -> tuple[Reason, str] | None:
    """Why the node itself must stay, None if it need not."""
    why = node_blocker(node) or use_of_unallocated(fleet, node)
    if why is not None:
        return why
    if node.region is None or node.zone is None:
        detail = "its region or zone is not known: it may not be a cloud node, and no other node can be matched to it"
        return Reason.INSUFFICIENT_DATA, detail
    return None


def _weighed(around: _Surroundings, node: Node, tenants: Tenants, usd_h: float) -> Recommendation | Blocked:
    balance = node.gpu_count / len(tenants) if tenants else float("inf")
    evidence = _evidence(node, tenants)
    if balance < _LEAST_BALANCE:
        detail = f"{len(tenants)} pods would move for {node.gpu_count} GPUs"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, evidence)
    to = fitted(_requests(tenants), _candidates(around, node, tenants))
    if to is None:
        detail = f"its {len(tenants)} GPU pods do not all fit on nodes in {node.zone} of the same kind that accept them"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, evidence)
    moves = [(str(workload.ref), pod.name, name) for (workload, pod), name in zip(tenants, to, strict=True)]
    gpu_h = node.capacity * HOURS_PER_MONTH
    proposal = Proposal(
        finding=Finding.NODE_UNDERUTILISED,
        reasons=(Reason.PODS_FIT_ELSEWHERE,),
        change=FreeNode(tuple(sorted(moves))),
        # Low end: other pods on the node, or what its pods need besides GPUs, may prevent the removal.
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


def _requests(tenants: Tenants) -> list[GpuRequest]:
    return [workload.request for workload, _ in tenants if workload.request is not None]


def _candidates(around: _Surroundings, node: Node, tenants: Tenants) -> dict[str, dict[str, int]]:
    """Free capacity of nodes of the same kind that accept all the pods, by resource and node.

    For each amount of free capacity there are as many nodes as pods.

    Nodes that follow by name come first. Otherwise every node would move its pods to the same target, and a plan could
    use that target only once.
    """
    return {
        resource: {
            other.name: free
            for free, others in around.free.get((_kind(node), resource), {}).items()
            for other in islice((one for one in _after(others, node) if _accepts(one, tenants)), len(tenants))
        }
        for resource in offered(node)
    }


def _accepts(node: Node, tenants: Tenants) -> bool:
    """Whether the scheduler would put each of some pods on a node, and its resources suffice for all of them."""
    if node.openness is None or len(tenants) > node.openness.free.get("pods", len(tenants)):
        return False
    requests: dict[str, float] = {}
    for workload, pod in tenants:
        if pod.scheduling is None or refusal(pod.scheduling, node.openness) is not None:
            return False
        if any(one.keeps_off(workload.ref.namespace, pod.labels) for one in node.openness.repels):
            return False
        for resource, amount in pod.scheduling.requests.items():
            requests[resource] = requests.get(resource, 0.0) + amount
    return all(amount <= node.openness.free.get(resource, 0.0) for resource, amount in requests.items())


def _after(others: Sequence[Node], node: Node) -> Iterator[Node]:
    """The other nodes by name, beginning after the node and wrapping around."""
    begin = bisect_right(others, node.name, key=lambda other: other.name)
    rotated = (others[index % len(others)] for index in range(begin, begin + len(others)))
    return (other for other in rotated if other != node)


def _free(fleet: Fleet) -> dict[tuple[Kind, str], dict[int, list[Node]]]:
    nodes: dict[tuple[Kind, str], dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for _, node in sorted(fleet.inventory.nodes.items()):
        for resource, free in free_capacity(node, fleet.pods_on.get(node.name, ())).items():
            nodes[_kind(node), resource][free].append(node)
    return nodes


def _waiting(fleet: Fleet) -> dict[str | None, tuple[int, str]]:
    smallest: dict[str | None, tuple[int, str]] = {}
    for workload in fleet.inventory.workloads:
        request = workload.request
        resource, count = (request.resource, request.count) if request else (None, 0)
        for pod in workload.active_pods:
            if pod.node is None:
                smallest[resource] = min(smallest.get(resource, (count, pod.name)), (count, pod.name))
    return smallest


def _waiting_for(around: _Surroundings, node: Node) -> str | None:
    """A pending pod that the empty node could take; a pod that requests more than the whole node does not count."""
    whole = free_capacity(node, ())
    waiting = around.waiting
    pods = (name for resource, (count, name) in waiting.items() if _may_be_here(resource, count, whole))
    return next(pods, None)


def _may_be_here(resource: str | None, count: int, whole: Mapping[str, int]) -> bool:
    """Whether a node can offer what a pod waits for; which nodes offer another plugin's resource is not known."""
    if resource == GPU_RESOURCE or (resource or "").startswith(MIG_RESOURCE_PREFIX) or resource in whole:
        return count <= whole.get(resource or "", 0)
    return True


def _kind(node: Node) -> Kind:
    return node.gpu_product, node.region, node.zone, node.capacity_type


def _evidence(node: Node, tenants: Tenants) -> tuple[Evidence, ...]:
    pods = Evidence("GPU pods that would move", None, "count", len(tenants), node.gpu_count / _LEAST_BALANCE, "pods")
    return (
        Evidence("GPUs of the node", None, "count", node.gpu_count, None, "GPUs"),
        pods,
    )
