"""The weekly report as data; HTML, Markdown and JSON are three views of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gpuwise.model.changes import Change
from gpuwise.model.command import Intent, Outcome
from gpuwise.model.profile import Limit
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation
from gpuwise.model.use import Activity, HoursOfWeek


@dataclass(frozen=True, slots=True)
class Bill:
    """GPU time and money of one window, in six classes that sum to the capacity.

    GPU-seconds without a known price count in the time columns but not in the dollars; `unpriced_gpu_s` has their sum.

    Attributes:
        capacity_gpu_s: whole GPUs times seconds.
        used_gpu_s: allocated and not idle, or not known to be idle.
        idle_gpu_s: allocated, and idle by every signal.
        outside_gpu_s: not allocated to a pod, but measured at work: used outside Kubernetes.
        unallocated_gpu_s: not allocated to a pod, and known to be free.
        capacity_usd, used_usd, idle_usd, outside_usd, unallocated_usd: the same in dollars.
        unpriced_gpu_s: GPU-seconds for which no price is known.
        unknown_gpu_s: nobody measured it: allocated to pods without any sample, or not known to be free.
        stranded_gpu_s: the rest of cards that MIG divides, of which no instance was made.
        unknown_usd, stranded_usd: the same in dollars.
        unpriced_idle_gpu_h: of the idle time, the GPU-hours without a known price.
    """

    capacity_gpu_s: float
    used_gpu_s: float
    idle_gpu_s: float
    outside_gpu_s: float
    unallocated_gpu_s: float
    capacity_usd: float
    used_usd: float
    idle_usd: float
    outside_usd: float
    unallocated_usd: float
    unpriced_gpu_s: float
    unknown_gpu_s: float = 0.0
    stranded_gpu_s: float = 0.0
    unknown_usd: float = 0.0
    stranded_usd: float = 0.0
    unpriced_idle_gpu_h: float = 0.0


@dataclass(frozen=True, slots=True)
class EnergyUse:
    """Measured energy of some GPU time.

    Attributes:
        measured_gpu_h: GPU-hours with a power reading: the energy is of these alone.
        kwh: energy of the data centre in that time; None if nothing was measured.
        kg_co2e: carbon of it; None if no region with energy has a known intensity.
        unknown_kwh: of the energy, that in regions without a known intensity: it is not part of the carbon.
    """

    measured_gpu_h: float
    kwh: float | None
    kg_co2e: float | None
    unknown_kwh: float


@dataclass(frozen=True, slots=True)
class TeamCost:
    """One team's share of the bill; team None has the workloads without a team label.

    Attributes:
        team: name of the team.
        workloads: number of its workloads.
        allocated_gpu_h: GPU-hours allocated.
        idle_gpu_h: of these, idle.
        cost_usd: cost of the allocated GPU-hours that have a price; None if none of them has one.
        idle_usd: cost of the idle part, in the same way; None also if nothing of them was measured.
        saving_usd_month: what its open recommendations are worth; None if those of its time are no longer known.
        unpriced_gpu_h: of the allocated GPU-hours, those without a known price; they are not part of the dollars.
        unknown_gpu_h: of the allocated GPU-hours, those that nobody measured.
        energy: energy and carbon of the allocated GPU-hours; None in a report of an earlier version.
    """

    team: str | None
    workloads: int
    allocated_gpu_h: float
    idle_gpu_h: float
    cost_usd: float | None
    idle_usd: float | None
    saving_usd_month: float | None
    unpriced_gpu_h: float = 0.0
    unknown_gpu_h: float = 0.0
    energy: EnergyUse | None = None


@dataclass(frozen=True, slots=True)
class WorkloadCost:
    """One workload's share of the bill; dollars are None if no price is known.

    Attributes:
        workload: "namespace/Kind/name".
        team: its team.
        gpu_type: canonical name of its GPU type, None if unknown or mixed.
        allocated_gpu_h: GPU-hours allocated.
        idle_gpu_h: of these, idle.
        activity_ratio: mean SM activity, or GPU utilisation if only that is known; None if neither was sampled.
        cost_usd: cost of the allocated GPU-hours that have a price; None if none of them has one.
        idle_usd: cost of the idle part, in the same way; None also if nothing of them was measured.
        limit: what limits its speed while it works.
        limit_confidence: confidence in the limit, 0 to 1.
        next_use_s: median forecast of the next use if it is idle now, epoch seconds; None without a forecast.
        unpriced_gpu_h: of the allocated GPU-hours, those without a known price.
        unknown_gpu_h: of the allocated GPU-hours, those that nobody measured.
    """

    workload: str
    team: str | None
    gpu_type: str | None
    allocated_gpu_h: float
    idle_gpu_h: float
    activity_ratio: float | None
    cost_usd: float | None
    idle_usd: float | None
    limit: Limit
    limit_confidence: float
    next_use_s: int | None
    unpriced_gpu_h: float = 0.0
    unknown_gpu_h: float = 0.0


@dataclass(frozen=True, slots=True)
class FleetDay:
    """One day of the fleet, in GPU-hours, for the chart."""

    start_s: int
    used_gpu_h: float
    idle_gpu_h: float
    outside_gpu_h: float
    unallocated_gpu_h: float
    unknown_gpu_h: float = 0.0
    stranded_gpu_h: float = 0.0


@dataclass(frozen=True, slots=True)
class DataQuality:
    """How complete the measurements are.

    Attributes:
        workloads: number of workloads in the inventory.
        measured: of these, the number with any sample.
        coverage: share of allocated device-steps with an activity sample; None if nothing is allocated.
        unpriced: number of workloads without a known price.
        notes: remarks for the reader, one sentence each.
    """

    workloads: int
    measured: int
    coverage: float | None
    unpriced: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """What gpuwise did, with the outcome.

    Attributes:
        intent: what was to be written.
        outcome: what came of it, None if that is not known yet.
        recommendation: why it was done, None if that was not recorded.
        verified: the change was seen in the cluster after it was applied, and still is there.
    """

    intent: Intent
    outcome: Outcome | None
    recommendation: Recommendation | None
    verified: bool = False


@dataclass(frozen=True, slots=True)
class WeekCost:
    """One ISO week of the cost history.

    Attributes:
        week: "2026-W20".
        start_s: Monday 00:00 UTC.
        days: how many of its days are in the history.
        usd: cost of the time that has a price.
        idle_usd, unallocated_usd, unknown_usd: of this, of idle, unallocated and not measured time.
        gpu_h: GPU-hours of capacity.
        unpriced_gpu_h: of these, without a price.
    """

    week: str
    start_s: int
    days: int
    usd: float
    idle_usd: float
    unallocated_usd: float
    unknown_usd: float
    gpu_h: float
    unpriced_gpu_h: float


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget of one month beside its cost and forecast.

    Attributes:
        name: of the budget.
        subject: what it is for: "team ml", "fleet".
        month: "2026-11".
        usd: the budget.
        actual_usd: cost of the month until now, of the time that has a price; None where the history has nothing of it.
        until_s: first second that is not counted yet.
        burn_usd_day: mean cost of the last seven complete days; None without one.
        forecast_usd: expected cost of the whole month; None if it cannot be forecast.
        low_usd, high_usd: its 90 % interval.
        why_none: why there is no forecast, "" if there is one.
        breach_s: midnight of the day on which the budget is used up, or is expected to be; None if none is expected.
        state: "over", "breach" (expected to be exceeded), "risk" (the interval exceeds it), "within" or "unknown".
        alerts: the shares of the budget that the cost has reached.
        unpriced_gpu_h: GPU-hours without a price, which are not part of the dollars.
        remedies: ids of open recommendations that keep the month within the budget, most valuable first.
        remedies_usd: what they save until the end of the month.
        clusters: of how many clusters it counts the cost: all in the database of the ledger.
    """

    name: str
    subject: str
    month: str
    usd: float
    actual_usd: float | None
    until_s: int
    burn_usd_day: float | None
    forecast_usd: float | None
    low_usd: float | None
    high_usd: float | None
    why_none: str
    breach_s: int | None
    state: str
    alerts: tuple[float, ...] = ()
    unpriced_gpu_h: float = 0.0
    remedies: tuple[str, ...] = ()
    remedies_usd: float = 0.0
    clusters: int = 1


@dataclass(frozen=True, slots=True)
class CostAnomaly:
    """A lasting step in somebody's daily cost.

    Attributes:
        subject: whose: "team ml".
        since_s: midnight of its first day.
        before_usd_day, after_usd_day: mean daily cost before and since, until the next step.
        usd_month: what the difference is in a month.
        cause: "more GPU time", "less GPU time" or "another price".
        workload: "namespace/Kind/name" with the largest part of the difference; None if the time is nobody's.
        place: GPU type and region of that part.
        part: its share of the difference, 0 to 1.
    """

    subject: str
    since_s: int
    before_usd_day: float
    after_usd_day: float
    usd_month: float
    cause: str
    workload: str | None
    place: str
    part: float


@dataclass(frozen=True, slots=True)
class MeasuredSaving:
    """What an action has saved, by the cost of its workload after it against that of the days before it.

    Attributes:
        action: id of the action.
        workload: "namespace/Kind/name".
        change: the change.
        since_s: midnight of the first whole day after it.
        days: whole days that were measured since then, until it was taken back or another action followed.
        predicted_usd: what its recommendation said for these days; None without a recommendation.
        saved_usd: cost that these days would have had without the action, less the cost that they had; below 0 if the
            workload cost more. None if it cannot be measured.
        low_usd, high_usd: its 90 % interval.
        ended: why no later day counts: "undone", "reverted", "followed by a-..."; "" if it still counts.
        why_none: why it cannot be measured, "" if it can.
        method: what the days after were compared with, and why a demand is not in it; "" if they were not.
    """

    action: str
    workload: str
    change: Change
    since_s: int
    days: int
    predicted_usd: float | None
    saved_usd: float | None
    low_usd: float | None
    high_usd: float | None
    ended: str = ""
    why_none: str = ""
    method: str = ""


class WasteClass(StrEnum):
    """How GPU time is wasted."""

    FORGOTTEN = "forgotten"
    UNCALLED = "nobody calls it"
    OVERSIZED = "larger than needed"
    FULL_PRICE = "interruptible at full price"
    UNFILLED = "nodes and cards that are not filled"


@dataclass(frozen=True, slots=True)
class Waste:
    """The open recommendations of one class of waste.

    Attributes:
        kind: the class.
        count: how many recommendations.
        usd_month: what they are worth.
        gpu_h_month: GPU-hours per month.
        owners: teams and their parts in dollars a month, the largest first; None without a team.
    """

    kind: WasteClass
    count: int
    usd_month: float
    gpu_h_month: float
    owners: tuple[tuple[str | None, float], ...]


@dataclass(frozen=True, slots=True)
class ClusterCost:
    """The bill of one cluster in a report of several.

    Attributes:
        cluster: its name.
        cost_usd: of the time that has a price; None if none of it has one.
        idle_usd, unallocated_usd: of this, of idle and of unallocated time.
        gpu_h: GPU-hours of capacity.
        idle_gpu_h: of these, allocated and idle.
        unpriced_gpu_h: of the capacity, without a price.
        saving_usd_month: what its open recommendations are worth; None if those of its time are no longer known.
    """

    cluster: str
    cost_usd: float | None
    idle_usd: float | None
    unallocated_usd: float | None
    gpu_h: float
    idle_gpu_h: float
    unpriced_gpu_h: float
    saving_usd_month: float | None


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI of a period.

    Attributes:
        name: "effective utilisation", "idle share", ...
        value: a share, 0 to 1; of a saving also more, or below 0. None where it cannot be measured.
        basis: what it is a share of: "of the cost".
        detail: how it was computed.
        why_none: why it has no value, "" if it has one.
    """

    name: str
    value: float | None
    basis: str
    detail: str = ""
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class PowerUse:
    """Declared work that a workload did, and the energy of it.

    Attributes:
        hours: time in which all its GPUs were at work and its work was counted; with a known energy, of this the time
            in which power was sampled.
        work: units of work done in it.
        work_per_h: units per hour.
        kwh: energy of the data centre; None if it was measured for less than 4 hours and 500 units, or if the workload
            ran in regions with different PUE.
        kg_co2e: carbon of it; None if the intensity of its region is not known.
        work_per_kwh: units per kWh; None without energy.
    """

    hours: float
    work: float
    work_per_h: float
    kwh: float | None
    kg_co2e: float | None
    work_per_kwh: float | None


@dataclass(frozen=True, slots=True)
class PowerComparison:
    """The same work of one workload under a power limit and without one.

    Attributes:
        workload: "namespace/Kind/name".
        team: its team.
        model: its model, by the tagging policy.
        gpu_type: canonical name of its GPU type.
        devices: number of its GPUs at work.
        limit_w: the limit on each, watts.
        limited: what it did under the limit.
        plain: what it did at the board's default limit.
    """

    workload: str
    team: str | None
    model: str | None
    gpu_type: str
    devices: int
    limit_w: float
    limited: PowerUse
    plain: PowerUse

    @property
    def energy_ratio(self) -> float | None:
        """Energy per unit of work under the limit by that without; None if one is not known."""
        if not self.limited.work_per_kwh or not self.plain.work_per_kwh:
            return None
        return self.plain.work_per_kwh / self.limited.work_per_kwh

    @property
    def speed_ratio(self) -> float:
        """Units per hour under the limit by those without."""
        return self.limited.work_per_h / self.plain.work_per_h


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """One week of the fleet, or another window of it.

    Attributes:
        schema: version of this JSON form.
        week: ISO week, "2026-W20"; None if the report covers another window, as a scan does.
        start_s: first second; for a week, Monday 00:00 in `time_zone`.
        end_s: first second after the window.
        generated_s: when the report was made.
        cluster: name of the fleet.
        bill: the week's GPU time and money.
        days: the same per day.
        teams: most expensive first.
        workloads: most expensive idle time first.
        recommendations: the open ones, largest saving first.
        blocked: the blocked changes, and why.
        blockers: for open recommendations that cannot be applied now according to the inventory, the reason, with the
            recommendation's id; the others can be applied now.
        actions: what gpuwise did in the week.
        predicted_usd_month: worth of the open recommendations; None if those of its time are no longer known.
        realised_usd_month: of `applied_usd_month`, the worth of the changes that the cluster still has, as it was seen
            after they were applied.
        quality: how complete the data are.
        price_source: where the prices come from.
        ledger_head: newest row of the ledger at that time, for `gpuwise doctor --ledger-head`; None in a scan.
        selection: which workloads the report covers, "namespace sandbox"; None for the whole fleet. The capacity of a
            selection is what its workloads were allocated: unallocated GPU time belongs to nodes, not to workloads.
        applied_usd_month: worth of the changes that were applied in the week and not undone.
        trend: up to 13 weeks of the cost history, oldest first; the last one is this week.
        budgets: of the month in which the report's last day is, over all clusters in the ledger's database.
        anomalies: lasting steps in the cost of teams, over these clusters, that began in the last four weeks, largest
            first.
        measured: what the actions of the last 13 weeks have saved by their workloads' cost, newest first.
        waste: the open recommendations by class of waste, the most expensive first.
        cash_usd_month: of `predicted_usd_month`, what the bill falls by without any further change: nodes that are
            removed. The rest is GPU time that becomes free or cheaper. None with it, and in a report of an earlier
            version.
        time_zone: IANA name of the zone in which the week begins and ends; days are always those of UTC.
        hours: allocated time by hour of the week; None if nothing was allocated.
        activity: allocated time by how active the GPUs were; None if nothing was allocated.
        spending_clusters: of how many clusters budgets and anomalies count the cost.
        clusters: the bill of each cluster, most expensive first, in a report of several; namespaces are then
            "cluster/namespace".
        kpis: those of the week by the cost history; empty in a scan.
        energy_basis: how the energy of the teams was computed, a sentence; "" without any.
        power: work under power limits beside the same work without one.
        power_basis: how that was compared, or that it was not observed; "" in a report of an earlier version.
    """

    schema: str
    week: str | None
    start_s: int
    end_s: int
    generated_s: int
    cluster: str
    bill: Bill
    days: tuple[FleetDay, ...]
    teams: tuple[TeamCost, ...]
    workloads: tuple[WorkloadCost, ...]
    recommendations: tuple[Recommendation, ...]
    blocked: AllBlocked
    actions: tuple[Action, ...]
    predicted_usd_month: float | None
    realised_usd_month: float
    quality: DataQuality
    price_source: str
    ledger_head: str | None = None
    selection: str | None = None
    blockers: Annotated[tuple[Blocked, ...], Field(alias="obstacles")] = ()
    applied_usd_month: float = 0.0
    trend: tuple[WeekCost, ...] = ()
    budgets: tuple[BudgetStatus, ...] = ()
    anomalies: tuple[CostAnomaly, ...] = ()
    time_zone: str = "UTC"
    measured: tuple[MeasuredSaving, ...] = ()
    waste: tuple[Waste, ...] = ()
    cash_usd_month: float | None = None
    hours: HoursOfWeek | None = None
    activity: Activity | None = None
    spending_clusters: int = 1
    clusters: tuple[ClusterCost, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    energy_basis: str = ""
    power: tuple[PowerComparison, ...] = ()
    power_basis: str = ""
