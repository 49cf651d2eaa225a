"""Compiles the weekly report from a period, the open recommendations and the actions."""

from collections.abc import Sequence

from gpuwise.finops.activity import activity
from gpuwise.finops.bill import bill, fleet_days
from gpuwise.finops.energy import basis
from gpuwise.finops.notes import failures_of, notes_of
from gpuwise.finops.period import Period
from gpuwise.finops.realised import applied_usd_month, realised_usd_month
from gpuwise.finops.shares import cost_by_team, cost_by_workload, sampling
from gpuwise.finops.waste import waste_of
from gpuwise.model.changes import FreeNode
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import Action, DataQuality, WeeklyReport, WorkloadCost

SCHEMA = "gpuwise.dev/weekly-report/v1"


def compile_report(
    period: Period,
    *,
    name: str | None,
    recommendations: Sequence[Recommendation] | None,
    blocked: Sequence[Blocked],
    actions: Sequence[Action],
    cluster: str,
    ledger_head: str | None = None,
    blockers: Sequence[Blocked] = (),
) -> WeeklyReport:
    """Compile the weekly report.

    Args:
        period: inventory, use, prices and the period's bounds.
        name: name of the ISO week, "2026-W20"; None for another window.
        recommendations: the open recommendations; None if those of the period are not known.
        blocked: the blocked changes, and why.
        actions: what gpuwise did in the period.
        cluster: name of the fleet.
        ledger_head: newest row of the ledger, None to leave it out.
        blockers: what keeps a person from applying some of the recommendations.
    """
    workloads = cost_by_workload(period)
    found = sorted(recommendations or (), key=lambda one: (-one.saving.usd_month, one.id))
    freed = [one for one in found if isinstance(one.change, FreeNode)]
    return WeeklyReport(
        schema=SCHEMA,
        week=name,
        start_s=period.start_s,
        end_s=period.end_s,
        generated_s=period.now_s,
        cluster=cluster,
        bill=bill(period),
        days=fleet_days(period),
        teams=cost_by_team(period, recommendations),
        workloads=workloads,
        recommendations=tuple(found),
        blocked=tuple(blocked),
        actions=tuple(actions),
        predicted_usd_month=None if recommendations is None else sum(one.saving.usd_month for one in found),
        realised_usd_month=realised_usd_month(actions),
        quality=_quality(period, workloads, blocked),
        price_source=period.prices.source,
        ledger_head=ledger_head,
        selection=period.selection,
        blockers=tuple(blockers),
        applied_usd_month=applied_usd_month(actions),
        waste=waste_of(found, period.inventory.by_ref()),
        cash_usd_month=None if recommendations is None else sum(one.saving.usd_month for one in freed),
        activity=activity(period),
        energy_basis=basis(period.factors),
    )


def _quality(period: Period, workloads: Sequence[WorkloadCost], blocked: Sequence[Blocked]) -> DataQuality:
    sampled = sampling(period)
    unpriced = sum(cost.cost_usd is None for cost in workloads)
    return DataQuality(
        workloads=len(period.inventory.workloads),
        measured=sampled.measured,
        coverage=sampled.coverage,
        unpriced=unpriced,
        notes=(*notes_of(period, coverage=sampled.coverage, dropped=sampled.dropped), *failures_of(blocked)),
    )
