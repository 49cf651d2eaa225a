"""Cost per workload and per team."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gpuwise.finops.accounts import Period, days_of, pool_of
from gpuwise.finops.bill import HOUR_S
from gpuwise.model.inventory import Workload
from gpuwise.model.profile import DayUse, UsageProfile
from gpuwise.model.protection import team_of
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import TeamCost, WorkloadCost
from gpuwise.model.signal import Signal


def cost_by_workload(period: Period) -> tuple[WorkloadCost, ...]:
    """Allocated and idle time of each workload in the period, most expensive idle time first.

    Workloads without any allocation are left out.
    """
    costs = [cost for workload in period.inventory.workloads if (cost := _cost(period, workload)) is not None]
    return tuple(sorted(costs, key=lambda cost: (-(cost.idle_usd or 0.0), -cost.idle_gpu_h, cost.workload)))


def cost_by_team(period: Period, recommendations: Sequence[Recommendation]) -> tuple[TeamCost, ...]:
    """Allocated and idle time by team, most expensive first; unknown dollars are left out of a team's sums."""
    members: defaultdict[str | None, list[WorkloadCost]] = defaultdict(list)
    for cost in cost_by_workload(period):
        members[cost.team].append(cost)
    savings: defaultdict[str | None, float] = defaultdict(float)
    for recommendation in recommendations:
        savings[recommendation.owner] += recommendation.saving.usd_month
    teams = [_team(team, members[team], savings[team]) for team in members.keys() | savings.keys()]
    return tuple(sorted(teams, key=lambda cost: (-cost.cost_usd, -cost.saving_usd_month, cost.team or "")))


def _team(team: str | None, members: Sequence[WorkloadCost], saving: float) -> TeamCost:
    return TeamCost(
        team=team,
        workloads=len(members),
        allocated_gpu_h=sum(cost.allocated_gpu_h for cost in members),
        idle_gpu_h=sum(cost.idle_gpu_h for cost in members),
        cost_usd=sum(cost.cost_usd or 0.0 for cost in members),
        idle_usd=sum(cost.idle_usd or 0.0 for cost in members),
        saving_usd_month=saving,
    )


def _cost(period: Period, workload: Workload) -> WorkloadCost | None:
    days = list(days_of(period, workload.ref))
    if not days:
        return None
    types = {day.gpu_type for day in days}
    namespace = period.inventory.namespaces.get(workload.ref.namespace)
    profile = period.profiles[workload.ref]
    return WorkloadCost(
        workload=str(workload.ref),
        team=team_of(workload.labels, namespace.labels if namespace is not None else {}),
        gpu_type=types.pop() if len(types) == 1 else None,
        allocated_gpu_h=sum(day.allocated_gpu_s for day in days) / HOUR_S,
        idle_gpu_h=sum(day.idle_gpu_s for day in days) / HOUR_S,
        activity_ratio=_activity(profile),
        cost_usd=_usd(period, ((day, day.allocated_gpu_s) for day in days)),
        idle_usd=_usd(period, ((day, day.idle_gpu_s) for day in days)),
        limit=profile.bottleneck.limit,
        limit_confidence=profile.bottleneck.confidence,
        next_use_s=profile.next_use.median_s if profile.next_use is not None else None,
    )


def _usd(period: Period, spent: Iterable[tuple[DayUse, float]]) -> float | None:
    """Price of GPU-seconds by the pool in which they were spent; None if one of the pools has no price."""
    total = 0.0
    for day, gpu_s in spent:
        price = period.price(pool_of(period.inventory, day))
        if price is None:
            return None
        total += gpu_s / HOUR_S * price
    return total


def _activity(profile: UsageProfile) -> float | None:
    means = (profile.distributions[s].mean for s in (Signal.SM_ACTIVITY, Signal.GPU_UTIL) if s in profile.distributions)
    return next((mean for mean in means if mean is not None), None)
