"""Say where a pod that waits for GPUs fits, or which pods to move so that it does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gpuwise.model.changes import MakeSpace
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Node, Pod, Workload, WorkloadRef
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.residency import allows, data_class_of
from gpuwise.model.tagging import team_of
from gpuwise.recommend.engines.node_underutilised.free_capacity import offered
from gpuwise.recommend.engines.node_underutilised.pool import Pool, pool_of
from gpuwise.recommend.engines.pod_pending.space import Space, space_for
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.movable import may_move, unplaceable
from gpuwise.recommend.proposal import Proposal, complete

STAGE = "pending"
# The GPUs and the other resources are read from the API at one moment.
_CONFIDENCE = 0.8
# Workloads for which a place is sought in one run: about 0.1 s each with 1,000 nodes.
_MOST = 50


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a pod fits: the space, and the pool of nodes in which it is."""

    space: Space
    pool: Pool


def place_pending(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """For each workload with a pod that waits, recommend the place of its first one, or return why there is none.

    Pods that have to leave move to a node of the same kind, by the rules of `free_nodes`. A pod that fits now waits for
    another reason, as a quota or its scheduler. It saves nothing. It claims its node alone, so that no two
    pods get the same space; `free_nodes` neither frees nor fills a node that a waiting pod may get.

    Args:
        fleet: the fleet.
    """
    waiting = [(one, pods) for one in fleet.inventory.workloads if (pods := _waiting(one))]
    kinds = fleet.kinds if waiting else []
    for number, (workload, pods) in enumerate(sorted(waiting, key=lambda item: item[0].ref)):
        yield _judged(fleet, kinds, workload, pods) if number < _MOST else _not_sought(workload)


def waiting_workloads(fleet: Fleet) -> Iterator[WorkloadRef]:
    """The workloads with a pod that waits."""
    return (workload.ref for workload in fleet.inventory.workloads if _waiting(workload))


def _waiting(workload: Workload) -> list[Pod]:
    return [pod for pod in workload.active_pods if pod.node is None]


def _not_sought(workload: Workload) -> Blocked:
    detail = f"more than {_MOST} workloads wait: no place was sought for it in this run"
    return Blocked(workload.ref, STAGE, Reason.INSUFFICIENT_DATA, detail)


def _judged(
    fleet: Fleet, kinds: Sequence[Sequence[Node]], workload: Workload, pods: Sequence[Pod]
) -> Recommendation | Blocked:
    pod, blocked = pods[0], partial(Blocked, workload.ref, STAGE)
    why = unplaceable(workload, pod) or _not_offered(fleet, workload)
    if why is not None:
        return blocked(*why)
    evidence = (Evidence("pods that wait", None, "count", float(len(pods)), None, "pods"),)
    found = _best(fleet, kinds, workload, pod)
    if found is None:
        detail = (
            f"{pod.name} fits on no node that accepts it in a region that its data class allows, also if pods that may "
            "move left it: add a node, or ask less"
        )
        return blocked(Reason.NO_SPACE, detail, evidence)
    return _recommended(fleet, workload, found, evidence)


def _not_offered(fleet: Fleet, workload: Workload) -> tuple[Reason, str] | None:
    """Why it is not known which nodes offer what a workload requests: the resource is another plugin's."""
    for request in workload.requests:
        known = request.resource == GPU_RESOURCE or request.resource.startswith(MIG_RESOURCE_PREFIX)
        if not known and not any(request.resource in offered(node) for node in fleet.inventory.nodes.values()):
            return Reason.INSUFFICIENT_DATA, f"which nodes offer {request.resource} is not known"
    return None


def _best(fleet: Fleet, kinds: Sequence[Sequence[Node]], workload: Workload, pod: Pod) -> _Found | None:
    """The place with the fewest moves, over all kinds of nodes that accept the pod."""
    best: _Found | None = None
    data_class = data_class_of(workload, fleet.inventory)
    for members in kinds:  # a kind has one region
        if not allows(data_class, members[0].region, fleet.settings.regions_by_data_class):
            continue
        pool = pool_of(members, fleet.pods_on, partial(may_move, fleet), waiting=[(workload, pod)])
        space = space_for(pool.empty, pool.shapes, pool.at, pool.waiting[0])
        if space is not None and (best is None or len(space.moves) < len(best.space.moves)):
            best = _Found(space, pool)
        if best is not None and not best.space.moves:
            break
    return best


def _recommended(fleet: Fleet, workload: Workload, found: _Found, evidence: tuple[Evidence, ...]) -> Recommendation:
    pool, space = found.pool, found.space
    node = pool.names[space.node]
    moves = tuple((_named(pool.pods[move.pod]), pool.names[move.to.node]) for move in space.moves)
    proposal = Proposal(
        finding=Finding.POD_PENDING,
        reasons=(Reason.FITS_AFTER_MOVES if moves else Reason.FITS_NOW,),
        change=MakeSpace(node, tuple((*named, to) for named, to in moves)),
        saving=Saving(0.0, 0.0, 0.0, 0.0),
        risk=2 if moves else 0,
        coverage=1.0,
        evidence=(*evidence, Evidence("pods that would move", None, "count", float(len(moves)), None, "pods")),
        restart_needed=bool(moves),
    )
    namespace = fleet.inventory.namespaces.get(workload.ref.namespace)
    return complete(
        proposal,
        workload.ref,
        owner=team_of(workload, namespace, fleet.tags),
        confidence=_CONFIDENCE,
        now_s=fleet.now_s,
        lifetime_s=fleet.settings.lifetime_s,
        claims=tuple(sorted({node, *(to for _, to in moves)})),
    )


def _named(one: tuple[Workload, Pod]) -> tuple[str, str]:
    workload, pod = one
    return str(workload.ref), pod.name
