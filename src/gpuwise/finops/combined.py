"""One report of several clusters, made of the reports of each.

A namespace is that of its cluster, so it becomes "cluster/namespace". Clusters whose ledgers are one database have the
same budgets and lasting steps, which count once; those of others have the name of the cluster.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, TypeVar

from gpuwise.finops.energy import summed
from gpuwise.finops.power import power_basis
from gpuwise.finops.waste import merged
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.report import (
    Action,
    Bill,
    BudgetStatus,
    ClusterCost,
    CostAnomaly,
    DataQuality,
    FleetDay,
    TeamCost,
    WeekCost,
    WeeklyReport,
)
from gpuwise.model.use import Activity, HoursOfWeek

T = TypeVar("T")
LATER = {
    "obstacles": "obstacles",
    "applied_usd_month": "applied savings",
    "trend": "trend",
    "budgets": "budgets",
    "anomalies": "lasting changes",
    "measured": "measured savings",
    "waste": "classes of waste",
    "cash_usd_month": "cash saving",
    "hours": "hours of the week",
    "activity": "activity of GPUs",
    "energy_basis": "energy of the teams",
    "power": "energy under power limits",
    "spending_clusters": "clusters of lasting changes",
    "bill.unknown_gpu_s": "unknown time of the bill",
    "bill.unknown_usd": "cost of unknown time",
    "bill.stranded_gpu_s": "stranded time of the bill",
    "bill.stranded_usd": "cost of stranded time",
    "bill.unpriced_idle_gpu_h": "idle time without a price",
    "days.unknown_gpu_h": "unknown time by day",
    "days.stranded_gpu_h": "stranded time by day",
    "teams.unpriced_gpu_h": "unpriced time of teams",
    "teams.unknown_gpu_h": "unknown time of teams",
    "workloads.unpriced_gpu_h": "unpriced time of workloads",
    "workloads.unknown_gpu_h": "unknown time of workloads",
    "actions.verified": "verified actions",
    "budgets.alerts": "alerts of budgets",
    "budgets.unpriced_gpu_h": "unpriced time of budgets",
    "budgets.remedies": "remedies of budgets",
    "budgets.remedies_usd": "savings of these",
    "budgets.clusters": "clusters of budgets",
    "measured.method": "methods of measured savings",
}
"""Parts of a report that older versions do not write, by their key in the file, for people.

"bill.unknown_usd" is a key of the bill, "teams.unknown_gpu_h" one of each team.
"""
_CLASSES = ("used", "idle", "outside", "unallocated", "unknown", "stranded")


def lacking(file: Mapping[str, Any]) -> list[str]:
    """The parts of `LATER` that the file of a report does not have, because an older version wrote it.

    Args:
        file: its JSON.
    """
    return [name for key, name in LATER.items() if _lacks(file, key)]


def _lacks(file: Mapping[str, Any], key: str) -> bool:
    whole, _, part = key.partition(".")
    if not part:
        return whole not in file
    found = file.get(whole, ())
    return any(part not in one for one in ([found] if isinstance(found, Mapping) else found))


def combined(reports: Sequence[WeeklyReport], lacking: Sequence[Sequence[str]] = ()) -> WeeklyReport:
    """Combine the reports of several clusters in one week.

    Args:
        reports: one of each cluster, of the same days and the same selection.
        lacking: names of what each of them lacks, because an older version wrote it.

    Raises:
        InputError: they are of different days or selections, or two are of one cluster.
    """
    first = reports[0]
    for name in ("schema", "week", "start_s", "end_s", "time_zone", "selection"):
        found = {str(getattr(one, name)) for one in reports}
        if len(found) > 1:
            problem = f"the reports have different values of {name}: {', '.join(sorted(found))}"
            raise InputError(problem, hint="combine reports of the same week, time zone and selection")
    names = [one.cluster for one in reports]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two reports are of cluster {twice!r}", hint="give each cluster a cluster_name of its own")
    lacked = dict(zip(names, lacking, strict=True)) if lacking else {}
    parts = [_named(one, lacked.get(one.cluster, ())) for one in reports]
    return replace(
        first,
        generated_s=max(one.generated_s for one in parts),
        cluster=", ".join(names),
        bill=_bill([one.bill for one in parts]),
        days=_grouped((day for one in parts for day in one.days), lambda day: day.start_s, _day),
        teams=_teams(one for part in parts for one in part.teams),
        workloads=_sorted((one for part in parts for one in part.workloads), lambda one: -(one.idle_usd or 0.0)),
        recommendations=_sorted(
            (one for part in parts for one in part.recommendations), lambda one: -one.saving.usd_month
        ),
        blocked=tuple(one for part in parts for one in part.blocked),
        blockers=tuple(one for part in parts for one in part.blockers),
        actions=_sorted((one for part in parts for one in part.actions), lambda one: one.intent.at_s),
        predicted_usd_month=_all_known(one.predicted_usd_month for one in parts),
        cash_usd_month=_all_known(_cash(one) for one in parts),
        kpis=(),  # shares of several clusters do not add up to that of all
        waste=merged(one for part in parts for one in part.waste),
        realised_usd_month=sum(one.realised_usd_month for one in parts),
        applied_usd_month=sum(one.applied_usd_month for one in parts),
        quality=_quality(parts),
        price_source="; ".join(dict.fromkeys(one.price_source for one in parts)),
        ledger_head=None,
        energy_basis=" ".join(dict.fromkeys(one.energy_basis for one in parts if one.energy_basis)),
        power=_sorted((one for part in parts for one in part.power), lambda one: -(one.limited.kwh or 0.0)),
        power_basis=power_basis([one for part in parts for one in part.power]),
        trend=_grouped(
            (week for one in parts for week in one.trend), lambda week: week.start_s, partial(_week, len(parts))
        ),
        budgets=_budgets(parts),
        anomalies=_anomalies(parts),
        measured=_sorted((one for part in parts for one in part.measured), lambda one: -one.since_s),
        hours=_hours([one.hours for one in parts if one.hours is not None]),
        activity=_activity([one.activity for one in parts if one.activity is not None]),
        spending_clusters=max(one.spending_clusters for one in parts),
        clusters=_sorted((_cost(one) for one in reports), lambda one: -(one.cost_usd or 0.0)),
    )


def _sorted(items: Iterable[T], key: Callable[[T], float]) -> tuple[T, ...]:
    return tuple(sorted(items, key=key))


def _grouped(items: Iterable[T], key: Callable[[T], int], add: Callable[[Sequence[T]], T]) -> tuple[T, ...]:
    groups: dict[int, list[T]] = {}
    for one in items:
        groups.setdefault(key(one), []).append(one)
    return tuple(add(groups[at]) for at in sorted(groups))


def _total(items: Sequence[object], name: str) -> float:
    return float(sum(getattr(one, name) for one in items))


def _named(one: WeeklyReport, lacking: Sequence[str]) -> WeeklyReport:
    """The report with the name of its cluster in front of its workloads and remarks, and a remark on what it lacks."""
    remarks = list(one.quality.notes)
    if lacking:
        remarks.append(f"an older version wrote this report; sums and lists are without its {', '.join(lacking)}")

    def ref(of: WorkloadRef) -> WorkloadRef:
        return replace(of, namespace=f"{one.cluster}/{of.namespace}" if of.namespace else one.cluster)

    def action(of: Action) -> Action:
        command = replace(of.intent.command, workload=ref(of.intent.command.workload))
        return replace(of, intent=replace(of.intent, command=command))

    return replace(
        one,
        workloads=tuple(replace(cost, workload=f"{one.cluster}/{cost.workload}") for cost in one.workloads),
        recommendations=tuple(replace(item, workload=ref(item.workload)) for item in one.recommendations),
        blocked=tuple(replace(item, workload=ref(item.workload)) for item in one.blocked),
        blockers=tuple(replace(item, workload=ref(item.workload)) for item in one.blockers),
        actions=tuple(action(of) for of in one.actions),
        measured=tuple(replace(item, workload=f"{one.cluster}/{item.workload}") for item in one.measured),
        power=tuple(replace(item, workload=f"{one.cluster}/{item.workload}") for item in one.power),
        quality=replace(one.quality, notes=tuple(f"{one.cluster}: {note}" for note in remarks)),
    )


def _bill(bills: Sequence[Bill]) -> Bill:
    sums = {field.name: _total(bills, field.name) for field in fields(Bill)}
    # The whole is the sum of the classes in the order of `finops.bill`, so that they add up to the last bit.
    for unit in ("gpu_s", "usd"):
        whole = 0.0
        for name in _CLASSES:
            whole += sums[f"{name}_{unit}"]
        sums[f"capacity_{unit}"] = whole
    return Bill(**sums)


def _day(days: Sequence[FleetDay]) -> FleetDay:
    return FleetDay(days[0].start_s, **{f"{name}_gpu_h": _total(days, f"{name}_gpu_h") for name in _CLASSES})


def _week(clusters: int, weeks: Sequence[WeekCost]) -> WeekCost:
    """A week; one that a cluster lacks is not complete."""
    names = ("usd", "idle_usd", "unallocated_usd", "unknown_usd", "gpu_h", "unpriced_gpu_h")
    days = min(one.days for one in weeks) if len(weeks) == clusters else 0
    return WeekCost(weeks[0].week, weeks[0].start_s, days, **{name: _total(weeks, name) for name in names})


def _teams(every: Iterable[TeamCost]) -> tuple[TeamCost, ...]:
    groups: dict[str | None, list[TeamCost]] = {}
    for one in every:
        groups.setdefault(one.team, []).append(one)
    teams = [
        TeamCost(
            team=name,
            workloads=sum(one.workloads for one in members),
            allocated_gpu_h=_total(members, "allocated_gpu_h"),
            idle_gpu_h=_total(members, "idle_gpu_h"),
            cost_usd=_known(one.cost_usd for one in members),
            idle_usd=_known(one.idle_usd for one in members),
            saving_usd_month=_all_known(one.saving_usd_month for one in members),
            unpriced_gpu_h=_total(members, "unpriced_gpu_h"),
            unknown_gpu_h=_total(members, "unknown_gpu_h"),
            energy=summed(one.energy for one in members),
        )
        for name, members in groups.items()
    ]
    return tuple(
        sorted(teams, key=lambda one: (-(one.cost_usd or 0.0), -(one.saving_usd_month or 0.0), one.team or ""))
    )


def _known(amounts: Iterable[float | None]) -> float | None:
    known = [one for one in amounts if one is not None]
    return sum(known) if known else None


def _all_known(amounts: Iterable[float | None]) -> float | None:
    """The sum of savings; None if one is not known: a part of them would look like all."""
    total = 0.0
    for one in amounts:
        if one is None:
            return None
        total += one
    return total


def _cash(one: WeeklyReport) -> float | None:
    """The cash in a report; none of earlier versions says it, and without a recommendation there is none."""
    nothing = one.predicted_usd_month is not None and not one.recommendations
    return 0.0 if nothing else one.cash_usd_month


def _quality(parts: Sequence[WeeklyReport]) -> DataQuality:
    held = [(one.quality.coverage, sum(team.allocated_gpu_h for team in one.teams)) for one in parts]
    known = [(coverage, gpu_h) for coverage, gpu_h in held if coverage is not None]
    whole = sum(gpu_h for _, gpu_h in known)
    return DataQuality(
        workloads=sum(one.quality.workloads for one in parts),
        measured=sum(one.quality.measured for one in parts),
        coverage=sum(coverage * gpu_h for coverage, gpu_h in known) / whole if whole else None,
        unpriced=sum(one.quality.unpriced for one in parts),
        notes=tuple(note for one in parts for note in one.quality.notes),
    )


def _budgets(parts: Sequence[WeeklyReport]) -> tuple[BudgetStatus, ...]:
    found: dict[tuple[object, ...], BudgetStatus] = {}
    for part in parts:
        for one in part.budgets:
            own = one if one.clusters > 1 else replace(one, name=f"{part.cluster}: {one.name}")
            key = (own.name, own.subject, own.month, own.usd)
            if key not in found or found[key].until_s < own.until_s:
                found[key] = own
    return tuple(found.values())


def _anomalies(parts: Sequence[WeeklyReport]) -> tuple[CostAnomaly, ...]:
    found: dict[tuple[str, int], CostAnomaly] = {}
    for part in parts:
        for one in part.anomalies:
            own = one if part.spending_clusters > 1 else replace(one, subject=f"{part.cluster}: {one.subject}")
            found[own.subject, own.since_s] = own
    return _sorted(found.values(), lambda one: -abs(one.usd_month))


def _hours(every: Sequence[HoursOfWeek]) -> HoursOfWeek | None:
    if not every:
        return None
    used, idle = zip(*((one.used_gpu_h, one.idle_gpu_h) for one in every), strict=True)
    return HoursOfWeek(*(tuple(map(sum, zip(*hours, strict=True))) for hours in (used, idle)))


def _activity(every: Sequence[Activity]) -> Activity | None:
    if not every:
        return None
    tenths = tuple(map(sum, zip(*(one.gpu_h for one in every), strict=True)))
    return Activity(tenths, sum(one.unknown_gpu_h for one in every))


def _cost(one: WeeklyReport) -> ClusterCost:
    bill = one.bill
    unpriced = bill.unpriced_gpu_s >= bill.capacity_gpu_s > 0
    return ClusterCost(
        cluster=one.cluster,
        cost_usd=None if unpriced else bill.capacity_usd,
        idle_usd=None if unpriced else bill.idle_usd,
        unallocated_usd=None if unpriced else bill.unallocated_usd,
        gpu_h=bill.capacity_gpu_s / 3_600,
        idle_gpu_h=bill.idle_gpu_s / 3_600,
        unpriced_gpu_h=bill.unpriced_gpu_s / 3_600,
        saving_usd_month=one.predicted_usd_month,
    )
