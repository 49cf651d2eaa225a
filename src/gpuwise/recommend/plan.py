"""All methods on all workloads and nodes, and of the changes that exclude each other the best plan."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.gpu_overprovisioned import right_size
from gpuwise.recommend.methods.gpu_shareable import share_card
from gpuwise.recommend.methods.gpu_type_overprovisioned import cheaper_type
from gpuwise.recommend.methods.idle import idle_shutdown
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle
from gpuwise.recommend.methods.interruptible_on_demand import spot_move
from gpuwise.recommend.methods.mig_geometry_misfit import repartition
from gpuwise.recommend.methods.node_underutilised import free_nodes
from gpuwise.recommend.methods.power_limit_overprovisioned import cap_power
from gpuwise.recommend.methods.replicas_overprovisioned import fewer_replicas
from gpuwise.recommend.methods.unused_hours import stop_at_hours
from gpuwise.recommend.selection import best_plan, superseded_by

METHODS: tuple[Callable[[Case], Recommendation | Blocked], ...] = (
    idle_shutdown,  # what nobody uses: all of its cost
    stop_when_idle,  # what nobody uses for long between two uses
    stop_at_hours,  # what nobody uses at night
    fewer_replicas,  # what carries less than it could
    right_size,  # what holds more than it uses
    share_card,  # what leaves room on its card
    cheaper_type,  # what a lesser card would do
    spot_move,  # what may be interrupted
    cap_power,  # what draws more than its speed needs
)


FLEET_METHODS: tuple[Callable[[Fleet], Iterator[Recommendation | Blocked]], ...] = (
    free_nodes,  # what could be empty
    repartition,  # what is cut into slices that nobody needs
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What is found about a fleet.

    Attributes:
        plan: the recommendations of the best plan, most expensive first.
        alternatives: the others, each of which excludes one of the plan and is worth less.
        blocked: why nothing is recommended, and, as BetterAlternative, why an alternative is not in the plan.
    """

    plan: tuple[Recommendation, ...]
    alternatives: tuple[Recommendation, ...]
    blocked: tuple[Blocked, ...]


def recommend(fleet: Fleet) -> Advice:
    """Judge every workload that has a profile, and every node.

    Of the recommendations that claim the same GPU time the best plan has one, so that its savings never exceed the
    bill.

    Args:
        fleet: what is known of it.
    """
    said = [method(case) for case in _cases(fleet) for method in METHODS]
    said += [item for method in FLEET_METHODS for item in method(fleet)]
    said = [_known(item, fleet.unread_nodes) for item in said]
    found = [item for item in said if isinstance(item, Recommendation)]
    blocked = [item for item in said if isinstance(item, Blocked)]
    blocked += [Blocked(one.ref, "observe", Reason.UNREADABLE_OBJECT, one.problem) for one in fleet.inventory.unread]
    chosen = best_plan(found)
    by_claim = {claim: item for item in chosen for claim in item.claims}
    taken = {item.id for item in chosen}
    others = tuple(item for item in found if item.id not in taken)
    blocked += [_superseded(item, superseded_by(item, by_claim)) for item in others]
    return Advice(tuple(chosen), others, tuple(blocked))


def _cases(fleet: Fleet) -> Iterator[Case]:
    for workload in fleet.inventory.workloads:
        if workload.ref in fleet.profiles:
            yield Case(workload, fleet.profiles[workload.ref], fleet)


def _known(item: Recommendation | Blocked, unread_nodes: frozenset[str]) -> Recommendation | Blocked:
    """A node is not what it looks like while pods on it could not be read, and no pod is sent there."""
    if isinstance(item, Blocked) or not unread_nodes.intersection(item.claims):
        return item
    detail = f"a GPU pod on {', '.join(sorted(unread_nodes.intersection(item.claims)))} could not be read"
    return Blocked(item.workload, item.change.kind, Reason.UNREADABLE_OBJECT, detail, item.evidence)


def _superseded(item: Recommendation, best: Recommendation) -> Blocked:
    detail = f"{item.finding.value} would save ${item.saving.usd_month:,.0f} a month; {best.id} is worth more, or surer"
    blocked = Blocked(item.workload, item.change.kind, Reason.BETTER_ALTERNATIVE, detail, item.evidence)
    return replace(blocked, recommendation_id=best.id)
