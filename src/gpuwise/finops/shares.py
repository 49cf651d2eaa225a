"""Cost per workload and per team."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpuwise.finops.accounts import pools_of
from gpuwise.finops.bill import HOUR_S
from gpuwise.finops.energy import EnergySum
from gpuwise.finops.period import Period
from gpuwise.finops.uses import uses_of
from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import Workload, WorkloadRef
from gpuwise.model.profile import DayUse
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import EnergyUse, TeamCost, WorkloadCost
from gpuwise.model.signal import Signal
from gpuwise.model.tagging import owner_of


@dataclass(slots=True)
class Sampling:
    """How well workloads were sampled.

    Attributes:
        measured: number of workloads with any sample.
        allocated: GPU-seconds allocated.
        covered: of these, those with an activity sample.
        dropped: impossible values that were dropped.
    """

    measured: int = 0
    allocated: float = 0.0
    covered: float = 0.0
    dropped: int = 0

    def add(self, use: BilledUse) -> None:
        """Add a workload, with the better covered of its two activity sensors."""
        best = max(use.coverage.get(Signal.SM_ACTIVITY, 0.0), use.coverage.get(Signal.GPU_UTIL, 0.0))
        self.measured += any(share > 0.0 for share in use.coverage.values())
        self.allocated += use.allocated_gpu_s
        self.covered += use.allocated_gpu_s * best
        self.dropped += use.dropped_samples

    @property
    def coverage(self) -> float | None:
        """Share of allocated time with an activity sample."""
        return self.covered / self.allocated if self.allocated > 0.0 else None


def cost_by_workload(period: Period) -> tuple[WorkloadCost, ...]:
    """Allocated and idle time of each workload in the period, most expensive idle time first.

    Workloads without any allocation are left out. The pods of a namespace that no workload owns any more are one line.
    """
    return period.once(_costs).workloads


def sampling(period: Period) -> Sampling:
    """How well the workloads of the inventory were sampled."""
    return period.once(_costs).sampling


class _Costs(NamedTuple):
    workloads: tuple[WorkloadCost, ...]
    sampling: Sampling
    energy: Mapping[str | None, EnergySum]
    """By team."""


def _costs(period: Period) -> _Costs:
    """Compute all in one pass."""
    costs, found, workloads, prices = [], Sampling(), period.inventory.by_ref(), _Prices(period)
    energy: defaultdict[str | None, EnergySum] = defaultdict(EnergySum)
    for ref, days in uses_of(period):
        use, workload = period.billed[ref], workloads.get(ref)
        if workload is not None:
            found.add(use)
        if days:
            costs.append(_cost(prices, use, workload, days))
            for day in days:
                region = prices.pools[day.node, day.gpu_type].region
                part = EnergySum.of(day.allocated_gpu_s, day.powered_gpu_s, day.energy_j, region, period.factors)
                energy[costs[-1].team].add(part)
    costs.sort(key=lambda cost: (-(cost.idle_usd or 0.0), -cost.idle_gpu_h, cost.workload))
    return _Costs(tuple(costs), found, energy)


def cost_by_team(period: Period, recommendations: Sequence[Recommendation] | None) -> tuple[TeamCost, ...]:
    """Allocated and idle time by team, most expensive first; a team's dollars are of the hours that have a price.

    Args:
        period: with the workloads.
        recommendations: the open ones; None if they are not known.
    """
    members: defaultdict[str | None, list[WorkloadCost]] = defaultdict(list)
    for cost in cost_by_workload(period):
        members[cost.team].append(cost)
    savings: defaultdict[str | None, float] = defaultdict(float)
    for recommendation in recommendations or ():
        savings[recommendation.owner] += recommendation.saving.usd_month
    energy = period.once(_costs).energy
    teams = [
        _team(
            team, members[team], None if recommendations is None else savings[team], energy.get(team, EnergySum()).use
        )
        for team in members.keys() | savings.keys()
    ]
    return tuple(
        sorted(teams, key=lambda cost: (-(cost.cost_usd or 0.0), -(cost.saving_usd_month or 0.0), cost.team or ""))
    )


def _team(team: str | None, members: Sequence[WorkloadCost], saving: float | None, energy: EnergyUse) -> TeamCost:
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
        energy=energy,
    )


def _known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of the known amounts; None if there are amounts and none is known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known) if known or not every else None


class _Prices(dict[tuple[str | None, str | None], float | None]):
    """Dollars per GPU-hour by node and GPU type, None if there is no price; each is looked up once, as its pool is.

    Args:
        period: the input.
    """

    def __init__(self, period: Period) -> None:
        super().__init__()
        self.period, self.pools = period, pools_of(period)

    def __missing__(self, place: tuple[str | None, str | None]) -> float | None:
        self[place] = self.period.price(self.pools[place])
        return self[place]


def _cost(prices: _Prices, use: BilledUse, workload: Workload | None, days: Sequence[DayUse]) -> WorkloadCost:
    ref = use.workload
    types = {prices.pools[place].gpu_type for place in {(day.node, day.gpu_type) for day in days}}
    priced = [(day, prices[day.node, day.gpu_type]) for day in days]
    return WorkloadCost(
        workload=str(ref) if workload is not None else f"deleted workloads in namespace {ref.namespace}",
        team=_team_of(prices.period, ref, workload),
        gpu_type=types.pop() if len(types) == 1 else None,
        allocated_gpu_h=sum(day.allocated_gpu_s for day in days) / HOUR_S,
        idle_gpu_h=sum(day.idle_gpu_s for day in days) / HOUR_S,
        activity_ratio=use.activity,
        cost_usd=_usd((day.allocated_gpu_s, price) for day, price in priced),
        idle_usd=_usd((day.idle_gpu_s, price) for day, price in priced if day.unknown_gpu_s < day.allocated_gpu_s),
        limit=use.bottleneck.limit,
        limit_confidence=use.bottleneck.confidence,
        next_use_s=use.next_use_s if workload is not None else None,
        unpriced_gpu_h=sum(day.allocated_gpu_s for day, price in priced if price is None) / HOUR_S,
        unknown_gpu_h=sum(day.unknown_gpu_s for day in days) / HOUR_S,
    )


def _team_of(period: Period, ref: WorkloadRef, workload: Workload | None) -> str | None:
    """The team of a workload; the pods of deleted workloads fall to the team of their namespace."""
    return owner_of(ref, workload, period.inventory.namespaces.get(ref.namespace), period.tags).team


def _usd(spent: Iterable[tuple[float, float | None]]) -> float | None:
    """Price of GPU-seconds, each with its price per GPU-hour; None if there are none, or none has a price."""
    known = [gpu_s / HOUR_S * price for gpu_s, price in spent if price is not None]
    return sum(known) if known else None
