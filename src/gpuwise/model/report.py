"""The weekly report as data; HTML, Markdown and JSON are three views of it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gpuwise.model.command import Intent, Outcome
from gpuwise.model.profile import Limit
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation


@dataclass(frozen=True, slots=True)
class Bill:
    """GPU time and money of one window, in four classes that sum to the capacity.

    A price that is not known leaves its GPU-seconds in the time columns and out of the dollars; `unpriced_gpu_s` says
    how many.

    Attributes:
        capacity_gpu_s: whole GPUs times seconds.
        used_gpu_s: allocated and not idle, or not known to be idle.
        idle_gpu_s: allocated, and idle by every signal.
        outside_gpu_s: held by no pod and positively at work all the same: used outside Kubernetes.
        unallocated_gpu_s: held by no pod, and not known to work.
        capacity_usd, used_usd, idle_usd, outside_usd, unallocated_usd: the same in dollars.
        unpriced_gpu_s: GPU-seconds for which no price is known.
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


@dataclass(frozen=True, slots=True)
class TeamCost:
    """One team's share; team None gathers what no label claims.

    Attributes:
        team: its name.
        workloads: how many it has.
        allocated_gpu_h: GPU-hours held.
        idle_gpu_h: of these, idle.
        cost_usd: price of what it held.
        idle_usd: price of the idle part.
        saving_usd_month: what the open recommendations are worth.
    """

    team: str | None
    workloads: int
    allocated_gpu_h: float
    idle_gpu_h: float
    cost_usd: float
    idle_usd: float
    saving_usd_month: float


@dataclass(frozen=True, slots=True)
class WorkloadCost:
    """One workload's share of the bill; dollars are None where no price is known.

    Attributes:
        workload: "namespace/Kind/name".
        team: its team.
        gpu_type: canonical name of its cards, None if unknown or mixed.
        allocated_gpu_h: GPU-hours held.
        idle_gpu_h: of these, idle.
        activity_ratio: mean SM activity, or GPU utilisation where only that is known; None if neither was sampled.
        cost_usd: price of what it held.
        idle_usd: price of the idle part.
        limit: what keeps it from going faster while it works.
        limit_confidence: how sure that is, 0 to 1.
        next_use_s: as likely used again before as after this instant if it rests now, None if nothing tells.
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


@dataclass(frozen=True, slots=True)
class FleetDay:
    """One day of the fleet, in GPU-hours, for the chart."""

    start_s: int
    used_gpu_h: float
    idle_gpu_h: float
    outside_gpu_h: float
    unallocated_gpu_h: float


@dataclass(frozen=True, slots=True)
class DataQuality:
    """How much of what should have been measured was.

    Attributes:
        workloads: how many the inventory has.
        measured: how many had any sample.
        coverage: share of allocated device-steps with an activity sample; None if nothing is allocated.
        unpriced: workloads for which no price is known.
        notes: what a reader should know, a sentence each.
    """

    workloads: int
    measured: int
    coverage: float | None
    unpriced: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """What gpuwise did, with what came of it."""

    intent: Intent
    outcome: Outcome | None
    recommendation: Recommendation | None


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """One week of the fleet, or another window of it.

    Attributes:
        schema: version of this JSON form.
        week: ISO week, "2026-W20"; None when it covers another window, as a scan does.
        start_s: first second, of a week Monday 00:00 UTC.
        end_s: first second after it.
        generated_s: when it was made.
        cluster: name of the fleet.
        bill: the week's GPU time and money.
        days: the same per day.
        teams: dearest first.
        workloads: dearest idle first.
        recommendations: open ones, dearest first.
        blocked: what was blocked, and why.
        blockers: what keeps gpuwise from open recommendations by the inventory, each with its recommendation's id; the
            others can be applied now.
        actions: what was done in the week.
        predicted_usd_month: worth of the open recommendations.
        realised_usd_month: worth of what was applied in the week and not undone.
        quality: what the data could not tell.
        price_source: where the prices are from.
        ledger_head: newest row of the ledger then, which `gpuwise doctor --ledger-head` compares; None in a scan.
        selection: which workloads it is of, "namespace sandbox"; None for the whole fleet. The capacity of a selection
            is what its workloads held: what nobody held belongs to nodes.
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
    predicted_usd_month: float
    realised_usd_month: float
    quality: DataQuality
    price_source: str
    ledger_head: str | None = None
    selection: str | None = None
    blockers: Annotated[tuple[Blocked, ...], Field(alias="obstacles")] = ()
