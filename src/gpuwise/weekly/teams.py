"""The reports of teams, derived from that of the fleet: each from plain data, so that any process can compile it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from gpuwise import spending
from gpuwise.finops import Tags, compile_report
from gpuwise.finops.parts import PartOfPeriod, parts_of
from gpuwise.finops.power import power_basis
from gpuwise.finops.teams import Members, every_team
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import (
    Action,
    BudgetStatus,
    CostAnomaly,
    MeasuredSaving,
    PowerComparison,
    WeekCost,
    WeeklyReport,
)
from gpuwise.pipeline import Pipeline
from gpuwise.report.render import Pages, pages
from gpuwise.weekly.week import Week, end_of_history, in_zone, with_remarks

Item = TypeVar("Item")
_TOGETHER = 25
"""Teams of one task: 0.5 s of CPU time, and what they share, such as the prices, is sent once for all of them."""


@dataclass(frozen=True, slots=True)
class TeamPart:
    """What the report of one team is compiled from: plain data, without a ledger, a source or a secret.

    Attributes:
        team: its name.
        period: its part of the week.
        week: ISO name of the week.
        time_zone: IANA name of the zone in which the week begins.
        cluster: name of the fleet.
        ledger_head: newest row of the ledger.
        recommendations: those of its workloads, None if those of the week are not known.
        blocked, blockers, actions, measured, power: those of its workloads.
        trend: its last 13 weeks.
        budgets: those of the team.
        anomalies: lasting steps in its cost.
        spending_clusters: of how many clusters budgets and anomalies count the cost.
        remarks: on the numbers of each report of the week.
    """

    team: str
    period: PartOfPeriod
    week: str
    time_zone: str
    cluster: str
    ledger_head: str | None
    recommendations: Sequence[Recommendation] | None
    blocked: Sequence[Blocked]
    blockers: Sequence[Blocked]
    actions: Sequence[Action]
    measured: Sequence[MeasuredSaving]
    power: tuple[PowerComparison, ...]
    trend: tuple[WeekCost, ...]
    budgets: tuple[BudgetStatus, ...]
    anomalies: tuple[CostAnomaly, ...]
    spending_clusters: int
    remarks: tuple[str, ...]


def of_team(loop: Pipeline, week: Week, team: str) -> WeeklyReport:
    """The report of one team.

    Args:
        loop: which read the week.
        week: of the fleet.
        team: which exists.
    """
    (part,) = team_parts(loop, week, only={team})
    return team_report(part)


def team_parts(loop: Pipeline, week: Week, only: Collection[str] | None = None) -> list[TeamPart]:
    """Divide a week among its teams, by name.

    Args:
        loop: which read the week: its settings, prices and ledger.
        week: of the fleet.
        only: these teams; None for each one that has a workload, or had GPU time in the week or the 12 before it.
    """
    trends, budgets = _trends(loop, week.report), _budgets(loop, week.report)
    members = every_team(week.survey.inventory, Tags(loop.settings.finops.tags))
    of_fleet = _Divided(week.report, _Owners(members))
    if only is not None:
        members = {name: members[name] for name in only}
    known = week.report.predicted_usd_month is not None
    whole = loop.period(week.survey, week.report.generated_s)
    periods = parts_of(whole, {_selection(name): one for name, one in members.items()})
    if only is None:
        members = {name: one for name, one in members.items()
                   if one.workloads or name in trends or periods[_selection(name)].billed}  # fmt: skip
    return [
        TeamPart(
            team=name,
            period=periods[_selection(name)],
            week=week.report.week or "",
            time_zone=week.report.time_zone,
            cluster=week.report.cluster,
            ledger_head=week.report.ledger_head,
            recommendations=of_fleet.recommendations[name] if known else None,
            blocked=of_fleet.blocked[name],
            blockers=of_fleet.blockers[name],
            actions=of_fleet.actions[name],
            measured=of_fleet.measured[name],
            power=tuple(of_fleet.power[name]),
            trend=trends.get(name, ()),
            budgets=tuple(budgets[name]),
            anomalies=tuple(of_fleet.anomalies[_selection(name)]),
            spending_clusters=week.report.spending_clusters,
            remarks=week.remarks,
        )
        for name in members
    ]


def _selection(team: str) -> str:
    return f"team {team}"


class _Owners:
    """Whose a workload is that may be deleted or created again: by its name, else by its namespace, as in the bill.

    Args:
        members: what belongs to each team of the fleet.
    """

    def __init__(self, members: Mapping[str, Members]) -> None:
        # Without the uid: a workload that was created again has another one.
        self._named = {str(one.ref): team for team, of in members.items() for one in of.workloads}
        self._spaces = {space: team for team, of in members.items() for space in of.namespaces}

    def of(self, ref: WorkloadRef) -> str | None:
        """The team of a workload; None without one."""
        return self.named(str(ref))

    def named(self, workload: str) -> str | None:
        """The team of a workload by its name, "namespace/Kind/name"."""
        return self._named.get(workload) or self._spaces.get(workload.partition("/")[0])


class _Divided:
    """What the report of the fleet has, by team.

    Args:
        whole: the report of the fleet.
        owners: whose each workload is.
    """

    def __init__(self, whole: WeeklyReport, owners: _Owners) -> None:
        self.recommendations = _grouped(whole.recommendations, lambda one: one.owner)  # as the show-back table
        self.blocked = _grouped(whole.blocked, lambda one: owners.of(one.workload))
        of_open = {one.id: one.owner for one in whole.recommendations}
        self.blockers = _grouped(whole.blockers, lambda one: of_open.get(one.recommendation_id or ""))
        self.actions = _grouped(whole.actions, lambda one: owners.of(one.intent.command.workload))
        self.measured = _grouped(whole.measured, lambda one: owners.named(one.workload))
        self.power = _grouped(whole.power, lambda one: one.team)
        self.anomalies = _grouped(whole.anomalies, lambda one: one.subject)


def _grouped(items: Iterable[Item], owner: Callable[[Item], str | None]) -> defaultdict[str, list[Item]]:
    found: defaultdict[str, list[Item]] = defaultdict(list)
    for one in items:
        name = owner(one)
        if name is not None:
            found[name].append(one)
    return found


def _trends(loop: Pipeline, whole: WeeklyReport) -> dict[str, tuple[WeekCost, ...]]:
    until_s = min(end_of_history(whole), whole.generated_s)
    return spending.weeks_by_team(loop.ledger.costs(), until_s)


def _budgets(loop: Pipeline, whole: WeeklyReport) -> defaultdict[str, list[BudgetStatus]]:
    pairs = zip(loop.settings.finops.budgets, whole.budgets, strict=True)
    found: defaultdict[str, list[BudgetStatus]] = defaultdict(list)
    for asked, status in pairs:
        if asked.by == "team" and asked.value:
            found[asked.value].append(status)
    return found


def team_report(part: TeamPart) -> WeeklyReport:
    """Compile the report of one team.

    Args:
        part: all that it is compiled from.
    """
    found = compile_report(
        part.period,
        name=part.week,
        recommendations=part.recommendations,
        blocked=part.blocked,
        actions=part.actions,
        cluster=part.cluster,
        ledger_head=part.ledger_head,
        blockers=part.blockers,
    )
    found = replace(
        in_zone(found, part.period, part.time_zone),
        trend=part.trend,
        budgets=part.budgets,
        anomalies=part.anomalies,
        measured=tuple(part.measured),
        power=part.power,
        power_basis=power_basis(part.power),
        spending_clusters=part.spending_clusters,
    )
    return with_remarks(found, part.remarks)


@dataclass(frozen=True, slots=True)
class TeamReport:
    """The report of one team.

    Attributes:
        team: its name.
        pages: its views, None if they were not asked for.
        report: the report, None if it was not asked for: it is half of what a task returns.
    """

    team: str
    pages: Pages | None
    report: WeeklyReport | None


def team_reports(
    loop: Pipeline, parts: Sequence[TeamPart], *, views: bool, kept: frozenset[str] = frozenset()
) -> Iterator[TeamReport]:
    """Compile, and render, the report of each team as tasks of the executor, in the order of the parts.

    Args:
        loop: which has the executor.
        parts: of the teams.
        views: whether to render them.
        kept: teams whose reports are returned, too.

    Raises:
        SourceError: the executor failed.
    """
    tasks = [parts[at : at + _TOGETHER] for at in range(0, len(parts), _TOGETHER)]
    done = 0
    for found in loop.executor.map(partial(_compiled, views=views, kept=kept), tasks):
        done += len(found)
        loop.progress("report", done, len(parts))
        yield from found


def _compiled(parts: Sequence[TeamPart], *, views: bool, kept: frozenset[str]) -> list[TeamReport]:
    found = ((part.team, team_report(part)) for part in parts)
    return [TeamReport(team, pages(one) if views else None, one if team in kept else None) for team, one in found]
