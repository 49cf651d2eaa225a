"""Cost per workload and per team."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gpuwise.finops.accounts import pool_of, uses_of
from gpuwise.finops.bill import HOUR_S
from gpuwise.finops.period import Period
from gpuwise.model.inventory import Workload, WorkloadRef
from gpuwise.model.profile import DayUse, UsageProfile
from gpuwise.model.protection import team_of
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import TeamCost, WorkloadCost
from gpuwise.model.signal import Signal


def cost_by_workload(period: Period) -> tuple[WorkloadCost, ...]:
    """Allocated and idle time of each workload in the period, most expensive idle time first.

    Workloads without any allocation are left out. The pods of a namespace that no workload owns any more are one line.
    """
    return period.once(_costs)


def _costs(period: Period) -> tuple[WorkloadCost, ...]:
    uses, workloads = uses_of(period), period.inventory.by_ref()
    costs = [_cost(period, ref, workloads.get(ref), days) for ref, days in uses.items() if days]
    return tuple(sorted(costs, key=lambda cost: (-(cost.idle_usd or 0.0), -cost.idle_gpu_h, cost.workload)))


def cost_by_team(period: Period, recommendations: Sequence[Recommendation]) -> tuple[TeamCost, ...]:
    """Allocated and idle time by team, most expensive first; a team's dollars are of the hours that have a price."""
    members: defaultdict[str | None, list[WorkloadCost]] = defaultdict(list)
    for cost in cost_by_workload(period):
        members[cost.team].append(cost)
    savings: defaultdict[str | None, float] = defaultdict(float)
    for recommendation in recommendations:
        savings[recommendation.owner] += recommendation.saving.usd_month
    teams = [_team(team, members[team], savings[team]) for team in members.keys() | savings.keys()]
    return tuple(sorted(teams, key=lambda cost: (-(cost.cost_usd or 0.0), -cost.saving_usd_month, cost.team or "")))


def _team(team: str | None, members: Sequence[WorkloadCost], saving: float) -> TeamCost:
    return TeamCost(
        team=team,
        workloads=len(members),
        allocated_gpu_h=sum(cost.allocated_gpu_h for cost in members),
        idle_gpu_h=sum(cost.idle_gpu_h for cost in members),
        cost_usd=_known_sum(cost.cost_usd for cost in members),
        idle_usd=_known_sum(cost.idle_usd for cost in members),
        saving_usd_month=saving,
        unpriced_gpu_h=sum(cost.unpriced_gpu_h for cost in members),
        unknown_gpu_h=sum(cost.unknown_gpu_h for cost in members),
    )


def _known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of the known amounts; None if there are amounts and none is known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known) if known or not every else None


def _cost(period: Period, ref: WorkloadRef, workload: Workload | None, days: Sequence[DayUse]) -> WorkloadCost:
    pools = {pool_of(period, day) for day in days}
    types = {pool.gpu_type for pool in pools}
    profile = period.profiles[ref]
    unpriced = sum(day.allocated_gpu_s for day in days if period.price(pool_of(period, day)) is None)
    return WorkloadCost(
        workload=str(ref) if workload is not None else f"deleted workloads in namespace {ref.namespace}",
        team=_team_of(period, ref, workload),
        gpu_type=types.pop() if len(types) == 1 else None,
        allocated_gpu_h=sum(day.allocated_gpu_s for day in days) / HOUR_S,
        idle_gpu_h=sum(day.idle_gpu_s for day in days) / HOUR_S,
        activity_ratio=_activity(profile),
        cost_usd=_usd(period, ((day, day.allocated_gpu_s) for day in days)),
        idle_usd=_usd(period, ((day, day.idle_gpu_s) for day in days if day.unknown_gpu_s < day.allocated_gpu_s)),
        limit=profile.bottleneck.limit,
        limit_confidence=profile.bottleneck.confidence,
        next_use_s=profile.next_use.median_s if profile.next_use is not None and workload is not None else None,
        unpriced_gpu_h=unpriced / HOUR_S,
        unknown_gpu_h=sum(day.unknown_gpu_s for day in days) / HOUR_S,
    )


def _team_of(period: Period, ref: WorkloadRef, workload: Workload | None) -> str | None:
    """The team of a workload; the pods of deleted workloads fall to the team of their namespace."""
    found = period.inventory.namespaces.get(ref.namespace)
    labels = found.labels if found is not None else {}
    return team_of({}, {}, labels) if workload is None else team_of(workload.labels, workload.pod_labels, labels)


def _usd(period: Period, spent: Iterable[tuple[DayUse, float]]) -> float | None:
    """Price of GPU-seconds by the pool in which they were spent; None if there are none, or none has a price."""
    prices = [(gpu_s, period.price(pool_of(period, day))) for day, gpu_s in spent]
    known = [gpu_s / HOUR_S * price for gpu_s, price in prices if price is not None]
    return sum(known) if known else None


def _activity(profile: UsageProfile) -> float | None:
    means = (profile.distributions[s].mean for s in (Signal.SM_ACTIVITY, Signal.GPU_UTIL) if s in profile.distributions)
    return next((mean for mean in means if mean is not None), None)
