"""All methods on all workloads, and of the changes to one workload the one worth most."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.recommendation import Hold, Reason, Recommendation
from gpuwise.recommend.case import Case
from gpuwise.recommend.idle import idle_shutdown
from gpuwise.recommend.rightsize import right_size
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.recommend.spot import spot_move

METHODS = (idle_shutdown, right_size, spot_move)


def recommend(
    inventory: Inventory,
    profiles: Mapping[WorkloadRef, UsageProfile],
    prices: PriceBook,
    settings: RecommendSettings,
    *,
    now_s: int,
) -> tuple[list[Recommendation], list[Hold]]:
    """Judge every workload that has a profile.

    At most one recommendation a workload, so that the savings of a plan never exceed the bill; the methods that found
    less are held as BetterAlternative.

    Args:
        inventory: the fleet.
        profiles: usage by workload.
        prices: what hours cost.
        settings: thresholds.
        now_s: when it is judged, epoch seconds.

    Returns:
        Recommendations, dearest first, and the holds of everything else.
    """
    chosen: list[Recommendation] = []
    holds: list[Hold] = []
    for workload in inventory.workloads:
        if workload.ref not in profiles:
            continue
        case = Case(workload, profiles[workload.ref], inventory, prices, settings, now_s)
        found = [method(case) for method in METHODS]
        holds += [item for item in found if isinstance(item, Hold)]
        best, rest = _best(item for item in found if isinstance(item, Recommendation))
        chosen += best
        holds += rest
    chosen.sort(key=lambda item: (-item.saving.usd_month, item.id))
    return chosen, holds


def _best(found: Iterable[Recommendation]) -> tuple[list[Recommendation], list[Hold]]:
    ordered = sorted(found, key=lambda item: (-item.saving.usd_month, item.id))
    if not ordered:
        return [], []
    best, *rest = ordered
    return [best], [_superseded(item, best) for item in rest]


def _superseded(item: Recommendation, best: Recommendation) -> Hold:
    detail = f"{item.finding.value} would save ${item.saving.usd_month:,.0f} a month; {best.id} saves more"
    hold = Hold(item.workload, item.change.kind, Reason.BETTER_ALTERNATIVE, detail, item.evidence)
    return replace(hold, recommendation_id=best.id)
