"""Runs all methods on all workloads and nodes, and selects the best plan among changes that exclude each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef, node_ref
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.deadline_capacity_misfit import spot_until_next_pass
from gpuwise.recommend.methods.gpu_overprovisioned import right_size
from gpuwise.recommend.methods.gpu_shareable import share_card
from gpuwise.recommend.methods.gpu_type_overprovisioned import cheaper_type
from gpuwise.recommend.methods.idle import idle_shutdown
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle
from gpuwise.recommend.methods.interruptible_on_demand import spot_move
from gpuwise.recommend.methods.mig_geometry_misfit import repartition
from gpuwise.recommend.methods.node_underutilised import free_nodes
from gpuwise.recommend.methods.outside_data_region import stay_in_region
from gpuwise.recommend.methods.pod_pending import place_pending, waiting_workloads
from gpuwise.recommend.methods.power_limit_overprovisioned import cap_power
from gpuwise.recommend.methods.replicas_overprovisioned import fewer_replicas
from gpuwise.recommend.methods.unused_hours import stop_at_hours
from gpuwise.recommend.selection import best_plan, claimed_by, rank, superseded_by
from gpuwise.recommend.targets import Targets

METHODS: tuple[Callable[[Case], Recommendation | Blocked], ...] = (
    idle_shutdown,  # unused: saves all of its cost
    stop_when_idle,  # long idle gaps between uses
    stop_at_hours,  # unused at night or at weekends
    fewer_replicas,  # more replicas than the load needs
    right_size,  # more GPUs than it uses
    share_card,  # uses a small part of its GPU
    cheaper_type,  # a cheaper GPU type suffices
    spot_move,  # tolerates interruption
    spot_until_next_pass,  # has a deadline
    cap_power,  # draws more power than its speed needs
    stay_in_region,  # runs where its data must not be
)


_SIZES = frozenset(
    {
        Finding.GPU_OVERPROVISIONED,
        Finding.REPLICAS_OVERPROVISIONED,
        Finding.GPU_SHAREABLE,
        Finding.GPU_TYPE_OVERPROVISIONED,
    }
)
"""Findings about how much of a GPU a workload needs."""

FLEET_METHODS: tuple[Callable[[Fleet], Iterator[Recommendation | Blocked]], ...] = (
    free_nodes,  # its pods fit on other nodes
    repartition,  # has MIG slices that nobody needs
    place_pending,  # waits for GPUs
)


@dataclass(frozen=True, slots=True)
class Advice:
    """The result of all methods for a fleet.

    Attributes:
        plan: the recommendations of the best plan, largest saving first.
        alternatives: the others, each of which shares a claim with a recommendation of the plan and is worth less.
        blocked: why nothing is recommended, and, as BetterAlternative, why an alternative is not in the plan.
    """

    plan: tuple[Recommendation, ...]
    alternatives: tuple[Recommendation, ...]
    blocked: tuple[Blocked, ...]


def recommend(fleet: Fleet) -> Advice:
    """Run all methods on every workload that has a profile and on every node, and select the best plan.

    A plan has at most one recommendation for the same GPU time, so that its savings never exceed the bill, and for the
    same free slice, so that all of it can be done.

    Args:
        fleet: the fleet.
    """
    results = [_decided(method, case) for case in _cases(fleet) for method in METHODS]
    results += [item for method in FLEET_METHODS for item in _decided_for_fleet(method, fleet)]
    unknown = {one.ref: one.unknown_request for one in fleet.inventory.workloads if one.unknown_request}
    found, blocked = list[Recommendation](), list[Blocked]()
    for item in results:
        known = item if isinstance(item, Blocked) else _requested(_known(item, fleet.unread_nodes), unknown)
        blocked.append(known) if isinstance(known, Blocked) else found.append(known)
    targeted = _targeted(found, fleet)
    recommended = [item for item in targeted if isinstance(item, Recommendation)]
    blocked += [item for item in targeted if isinstance(item, Blocked)]
    blocked += [Blocked(item.ref, "observe", Reason.UNREADABLE_OBJECT, item.problem) for item in fleet.inventory.unread]
    chosen = best_plan(recommended)
    by_claim = claimed_by(chosen)
    chosen_ids = {item.id for item in chosen}
    others = tuple(item for item in recommended if item.id not in chosen_ids)
    blocked += [_superseded(item, superseded_by(item, by_claim)) for item in others]
    return Advice(tuple(chosen), others, tuple(blocked))


def _cases(fleet: Fleet) -> Iterator[Case]:
    for workload in fleet.inventory.workloads:
        profile = fleet.profiles.get(workload.ref)
        if profile is not None:
            yield Case(workload, profile, fleet)


def _decided(method: Callable[[Case], Recommendation | Blocked], case: Case) -> Recommendation | Blocked:
    """What a method decides about a workload; an error in it, as a blocked change: one workload never stops a fleet."""
    try:
        found = method(case)
        return found if isinstance(found, Blocked) else _sized(found, case)
    except Exception as error:  # noqa: BLE001 - of any kind: it is shown, with the workload
        return case.blocked(method.__name__, Reason.METHOD_FAILED, _error(error))


def _decided_for_fleet(
    method: Callable[[Fleet], Iterator[Recommendation | Blocked]], fleet: Fleet
) -> Iterator[Recommendation | Blocked]:
    """What a method decides about nodes or pods that wait; an error ends it, and is a blocked change of each."""
    try:
        yield from method(fleet)
    except Exception as error:  # noqa: BLE001 - as above
        for ref in (
            waiting_workloads(fleet) if method is place_pending else map(node_ref, fleet.inventory.nodes.values())
        ):
            yield Blocked(ref, method.__name__, Reason.METHOD_FAILED, _error(error))


def _error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _sized(item: Recommendation, case: Case) -> Recommendation | Blocked:
    """Block a size that is computed from sensors that contradict each other."""
    if item.finding not in _SIZES or (why := case.contradiction) is None:
        return item
    return Blocked(item.workload, item.change.kind, Reason.SIGNALS_DISAGREE, why, item.evidence)


def _known(item: Recommendation, unread_nodes: frozenset[str]) -> Recommendation | Blocked:
    """Block a recommendation that claims a node with GPU pods that cannot be read: its free capacity is not known."""
    if not (unread := unread_nodes.intersection((*item.claims, *item.shared_claims))):
        return item
    detail = f"a GPU pod on {', '.join(sorted(unread))} cannot be read"
    return Blocked(item.workload, item.change.kind, Reason.UNREADABLE_OBJECT, detail, item.evidence)


def _requested(item: Recommendation | Blocked, unknown: Mapping[WorkloadRef, str]) -> Recommendation | Blocked:
    """Block a recommendation for a workload whose GPU request is not known: which series are missing is not known."""
    if isinstance(item, Blocked) or not item.claims:  # without claims it depends on no request
        return item
    why = unknown.get(item.workload)
    if why is None:
        return item
    return Blocked(item.workload, item.change.kind, Reason.INSUFFICIENT_DATA, why, item.evidence)


def _targeted(items: Sequence[Recommendation], fleet: Fleet) -> list[Recommendation | Blocked]:
    """The recommendations with the claims of their targets, in the same order; an error, as a blocked change."""
    targets = Targets(fleet, frozenset(claim for item in items for claim in item.claims))
    found: dict[int, Recommendation | Blocked] = {}
    for item in sorted(items, key=rank):
        try:
            found[id(item)] = targets.claimed_by(item)
        except Exception as error:  # noqa: BLE001 - as above
            found[id(item)] = Blocked(item.workload, item.change.kind, Reason.METHOD_FAILED, _error(error))
    return [found[id(item)] for item in items]


def _superseded(item: Recommendation, best: Recommendation) -> Blocked:
    detail = f"{item.finding.value} would save ${item.saving.usd_month:,.0f} a month; {best.id} saves more or is surer"
    blocked = Blocked(item.workload, item.change.kind, Reason.BETTER_ALTERNATIVE, detail, item.evidence)
    return replace(blocked, recommendation_id=best.id)
