"""The report of one week, or of another window, compiled from a survey and from the ledger."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

from gpuwise import spending
from gpuwise.decide.decide import blockers
from gpuwise.decide.history import History
from gpuwise.decide.question import Situation
from gpuwise.finops import Period, Tags, compile_report, still_there
from gpuwise.finops.hours import hours_of_week
from gpuwise.finops.power import power_basis, power_comparisons
from gpuwise.finops.settings import Budget
from gpuwise.finops.teams import members_of
from gpuwise.finops.trend import WEEK_S, monday_of
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.declared import work_metric
from gpuwise.model.errors import LedgerError
from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.pace import Pace
from gpuwise.model.ports import Ledger
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import Action, BudgetStatus, Kpi, WeeklyReport
from gpuwise.model.tagging import team_of
from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import Pipeline, Survey

_LATE = (
    "Open recommendations and blocked changes are not listed: the ledger has those of its latest pass, which was more "
    "than a week after this one, or it has none."
)
_RECENT_S = 28 * DAY_S
"""Age of the steps in cost that a report still mentions: four of its weeks."""
_MEASURED_S = 91 * DAY_S
"""Age of the actions whose savings a report still measures: 13 weeks."""


@dataclass(frozen=True, slots=True)
class Week:
    """One week of the fleet, from which the reports of its teams are derived.

    Attributes:
        report: of the fleet.
        survey: what was found in the week.
        remarks: on its numbers, besides those of `finops`: they belong to each report of the week.
    """

    report: WeeklyReport
    survey: Survey
    remarks: tuple[str, ...]


def read_week(
    loop: Pipeline, window: Window, *, week: str, now_s: int, time_zone: str = "UTC", team: str | None = None
) -> Week:
    """Build the report of one week from newly scored usage and from the ledger.

    Args:
        loop: reads and scores the fleet.
        window: the week.
        week: its ISO name, "2026-W20".
        now_s: time of the report, epoch seconds.
        time_zone: IANA name of the zone in which the week begins and ends.
        team: which must exist; None for no check.

    Raises:
        InputError: no workload and no namespace names the team.
    """
    fleet = loop.observe(now_s)
    if team is not None:
        members_of(fleet, team, Tags(loop.settings.finops.tags))
    # Findings count that were made in the week or the one after it, in which people read the report.
    found_s = loop.ledger.found_s()
    late = found_s is None or found_s >= window.end_s + WEEK_S
    found, blocked = ((), ()) if late else (tuple(_owned(loop, fleet)), tuple(loop.ledger.blocked()))
    past = loop.past(fleet, window)
    survey = Survey(window, fleet, loop.score(fleet, window, past=past), found, blocked, past=past)
    remarks = [*_recorded(loop, survey, now_s), *_of_zone(window, time_zone)]
    if late:
        remarks.append(_LATE)
    with_prices = loop.ledger.prices()
    if found and with_prices not in ("", loop.prices.version):
        remarks.append(f"The savings were computed with {with_prices}, the bill with {loop.prices.version}.")
    report = summary(loop, survey, week=week, now_s=now_s, time_zone=time_zone, findings_known=not late)
    return Week(with_remarks(report, remarks), survey, tuple(remarks))


def with_remarks(report: WeeklyReport, remarks: Iterable[str]) -> WeeklyReport:
    """Add remarks on its numbers to a report, and whether the cost history has another sum for its week."""
    notes = (*report.quality.notes, *remarks, *_of_prices(report))
    return replace(report, quality=replace(report.quality, notes=notes))


def _recorded(loop: Pipeline, survey: Survey, now_s: int) -> Iterator[str]:
    """Add the days to the cost history; yield why that was not possible, as for a role that may only read."""
    try:
        loop.record_costs(survey, now_s)
    except LedgerError as error:
        yield f"The week was not added to the cost history: {error}."


def _of_prices(found: WeeklyReport) -> Iterator[str]:
    """Yield that the history has another sum for the week: its days were counted with the prices of their time."""
    kept = next((one for one in found.trend if one.week == found.week), None)
    same_days = found.time_zone == "UTC" and kept is not None and kept.days * DAY_S == found.end_s - found.start_s
    if kept is not None and same_days and abs(kept.usd - found.bill.capacity_usd) >= 0.01 * max(1.0, kept.usd / 1e6):
        yield (
            f"The cost history has this week with ${kept.usd:,.2f}, and the bill ${found.bill.capacity_usd:,.2f}: "
            "its days were counted with the prices and the usage of their time."
        )


def _of_zone(window: Window, time_zone: str) -> Iterator[str]:
    """Yield how a week is counted that does not consist of seven UTC days."""
    if window.seconds == 7 * DAY_S and not window.start_s % DAY_S:
        return
    yield f"The week has {window.seconds / 3600:g} hours, from midnight to midnight in {time_zone}."
    # The bill is by second; only its parts by day are those of UTC, and so is the cost history.
    if window.start_s % DAY_S:
        yield "Days are those of UTC, so the first and the last one are parts of days."
        yield "Trend and budgets are by UTC days, too."


def hour_of_week(seconds: int, zone: tzinfo) -> int:
    """Return the hour of the week of an instant, 0 to 167; hour 0 begins on Monday at 00:00.

    Args:
        seconds: the instant, epoch seconds.
        zone: whose clock counts.
    """
    at = datetime.fromtimestamp(seconds, zone)
    return at.weekday() * 24 + at.hour


def summary(
    loop: Pipeline,
    survey: Survey,
    *,
    now_s: int,
    week: str | None = None,
    time_zone: str = "UTC",
    findings_known: bool = True,
) -> WeeklyReport:
    """Build the report of a survey: its cost and savings, with the actions in its window.

    Args:
        loop: which made the survey: its prices, policy and ledger.
        survey: the findings.
        now_s: time of the report, epoch seconds.
        week: ISO name of the week, None for another window.
        time_zone: IANA name of the zone in which a week begins.
        findings_known: whether the recommendations of the window's time are known.
    """
    window, selection = survey.window, survey.selection
    seen = loop.period(survey, now_s)
    actions = _actions(loop.ledger, window, survey.inventory)
    if selection is not None:
        refs = survey.inventory.by_ref()
        actions = [action for action in actions if action.intent.command.workload in refs]
    found = compile_report(
        seen,
        name=week,
        recommendations=survey.recommendations if findings_known else None,
        blocked=survey.blocked,
        actions=actions,
        cluster=loop.settings.cluster_name,
        ledger_head=str(loop.ledger.head()) if week else None,
        blockers=_blockers(loop, survey, now_s),
    )
    power = power_comparisons(seen, _paces(survey))
    found = replace(in_zone(found, seen, time_zone), power=power, power_basis=power_basis(power))
    return found if selection is not None else _with_history(loop, found)


def _paces(survey: Survey) -> Iterator[tuple[WorkloadRef, Sequence[Pace]]]:
    """Yield how fast the workloads worked that declare their work: few, so few profiles are read."""
    for workload in survey.inventory.workloads:
        if work_metric(workload) is not None and workload.ref in survey.profiles:
            yield workload.ref, survey.profiles[workload.ref].paces


def in_zone(found: WeeklyReport, seen: Period, time_zone: str) -> WeeklyReport:
    """Add to a report what depends on its time zone.

    Args:
        found: the report.
        seen: from which it was compiled.
        time_zone: IANA name of the zone.
    """
    hours = hours_of_week(seen, partial(hour_of_week, zone=ZoneInfo(time_zone)))
    return replace(found, time_zone=time_zone, hours=hours)


def end_of_history(found: WeeklyReport) -> int:
    """First second that the cost history of a report does not count.

    The history is of UTC days: of a week in another time zone, the UTC week of the same name counts.
    """
    return found.end_s if found.week is None else monday_of(found.end_s + WEEK_S // 2)


def _with_history(loop: Pipeline, found: WeeklyReport) -> WeeklyReport:
    """Add what the cost history says until the end of the report."""
    end_s = end_of_history(found)
    history, until_s = loop.ledger.costs(), min(end_s, found.generated_s)
    since_s, whole = until_s - _RECENT_S, loop.ledger.of_every_cluster().costs()
    attempts = loop.ledger.attempts(since_s=until_s - _MEASURED_S)
    return replace(
        found,
        trend=spending.weeks(history, until_s),
        budgets=budgets(loop.ledger, loop.settings.finops.budgets, until_s - 1),
        anomalies=spending.anomalies(whole, "team", since_s, until_s),
        measured=spending.measured(history, *attempts, until_s),
        spending_clusters=len(whole.clusters()),
        kpis=_kpis(loop, end_s, until_s) if found.week else (),
    )


def budgets(ledger: Ledger, asked: Sequence[Budget], now_s: int) -> tuple[BudgetStatus, ...]:
    """Compare budgets with the cost of all clusters in the ledger's database, wherever they are shown.

    Args:
        ledger: has the cost history and the open recommendations, which may keep a month within its budget.
        asked: the budgets.
        now_s: epoch seconds.
    """
    whole = ledger.of_every_cluster()
    return spending.budgets(whole.costs(), asked, _open(whole), now_s) if asked else ()


def _kpis(loop: Pipeline, end_s: int, until_s: int) -> tuple[Kpi, ...]:
    """The KPIs of the UTC week of the report, with the savings of its actions until its end."""
    since_s = end_s - WEEK_S
    attempts, tool = loop.ledger.attempts(since_s=until_s - _MEASURED_S), loop.settings.finops.tool_usd_month
    return spending.kpis(loop.ledger.costs(), attempts, since_s, end_s, until_s, tool)


def _blockers(loop: Pipeline, survey: Survey, now_s: int) -> tuple[Blocked, ...]:
    """Find what blocks a person's `gpuwise apply` of the recommendations, according to the inventory."""
    history = History(directives=loop.ledger.directives())
    return blockers(
        survey.recommendations,
        Situation(survey.inventory, history, loop.settings.policy, now_s, nodes=loop.settings.nodes),
    )


def _open(ledger: Ledger) -> list[Recommendation]:
    """Return the latest run's recommendations that have not been carried out since."""
    found = ledger.recommendations()
    now_s = max((item.created_s for item in found), default=0)
    intents, outcomes = ledger.attempts(since_s=now_s, uids={item.workload.uid for item in found})
    last = {outcome.command_id: outcome.status for outcome in outcomes}
    in_place = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)
    whole = (one for one in intents if not one.step_of)
    done = {i.command.recommendation_id for i in whole if last.get(i.command.id) in in_place}
    return [item for item in found if item.id not in done]


def _owned(loop: Pipeline, fleet: Inventory) -> Iterator[Recommendation]:
    """Yield the open recommendations with the team that has the workload now, as the bill.

    A team may have another name since they were made. That of the ledger stays where the workload does not exist.
    """
    # Without the uid: a workload that was created again has another one.
    workloads, tags = {str(one.ref): one for one in fleet.workloads}, Tags(loop.settings.finops.tags)
    for one in _open(loop.ledger):
        workload, namespace = workloads.get(str(one.workload)), fleet.namespaces.get(one.workload.namespace)
        yield one if workload is None else replace(one, owner=team_of(workload, namespace, tags))


def _actions(ledger: Ledger, window: Window, fleet: Inventory) -> list[Action]:
    """Return the actions that have an intent or an outcome in the window, such as an undo of an earlier action."""
    ended = {one.command_id for one in ledger.outcomes(since_s=window.start_s) if one.at_s < window.end_s}
    intents, outcomes = ledger.attempts(since_s=window.start_s, ids=ended)
    last = {outcome.command_id: outcome for outcome in outcomes}
    # A step belongs to its action, which has the saving.
    whole = (one for one in intents if one.at_s < window.end_s and not one.step_of)
    found = ((one, last.get(one.command.id)) for one in whole)
    return [Action(one, outcome, one.command.because, still_there(one, outcome, fleet)) for one, outcome in found]
