"""Budgets, lasting steps, the last weeks and measured savings, from the cost history."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gpuwise.finops import anomaly, causes
from gpuwise.finops.budgets import HISTORY_S, status
from gpuwise.finops.forecast import TooShort
from gpuwise.finops.measured import BEFORE_D, applied
from gpuwise.finops.measured import measured as finops_measured
from gpuwise.finops.series import Calendar, by_keys, usd_by_day
from gpuwise.finops.settings import FLEET, UNALLOCATED, Budget
from gpuwise.finops.trend import WEEK_S, WEEKS, monday_of, trend
from gpuwise.model.changes import FreeNode
from gpuwise.model.command import Intent, Outcome
from gpuwise.model.cost import KEYS, CostSum, GpuSeconds
from gpuwise.model.errors import InputError
from gpuwise.model.moment import month_of
from gpuwise.model.ports import CostHistory
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import BudgetStatus, CostAnomaly, MeasuredSaving, WeekCost
from gpuwise.model.usage import DAY_S

_DETAIL = ("namespace", "workload", "gpu_type", "region")


def weeks(history: CostHistory, until_s: int) -> tuple[WeekCost, ...]:
    """The last 13 weeks of the history.

    Args:
        history: daily cost.
        until_s: first second after the last week.
    """
    first_s = monday_of(until_s - 1) - (WEEKS - 1) * WEEK_S
    return trend(history.sums(("day",), first_s, until_s), until_s)


def weeks_by_team(history: CostHistory, until_s: int) -> dict[str, tuple[WeekCost, ...]]:
    """The same of each team that had any cost in them.

    Args:
        history: daily cost.
        until_s: first second after the last week.
    """
    first_s = monday_of(until_s - 1) - (WEEKS - 1) * WEEK_S
    by_team: defaultdict[str, list[CostSum]] = defaultdict(list)
    for one in history.sums(("day", "team"), first_s, until_s):
        if one.keys[1] is not None:
            by_team[str(one.keys[1])].append(one)
    return {team: trend(sums, until_s) for team, sums in by_team.items()}


def budgets(
    history: CostHistory, asked: Sequence[Budget], recommendations: Sequence[Recommendation], now_s: int
) -> tuple[BudgetStatus, ...]:
    """Compare budgets with the month's cost and its forecast.

    Args:
        history: daily cost, of all clusters in its database.
        asked: the budgets.
        recommendations: the open ones, of which some may keep a month within its budget.
        now_s: epoch seconds.

    Raises:
        InputError: a budget is for a key that does not exist.
    """
    _, _, end_s = month_of(now_s)
    since_s = now_s - now_s % DAY_S - HISTORY_S
    days = [day for day in history.days(since_s, end_s) if day.day_s <= now_s]
    calendar, until_s = Calendar.of(days), max((day.until_s for day in days), default=since_s)
    span = since_s, min(end_s, until_s)
    subjects = {by: _subjects(history, by, {one.value for one in asked if one.by == by}, span) for by in _keys(asked)}
    found, clusters = [], len(history.clusters())
    for budget in asked:
        costs, members = subjects[budget.by].get(budget.value or None, ({}, frozenset()))
        # The bill of the fleet, and of what no pod was allocated, falls only where a node goes.
        concerned = [
            one
            for one in recommendations
            if (isinstance(one.change, FreeNode) if members is None else str(one.workload) in members)
        ]
        one = status(budget, costs, calendar, now_s, until_s=until_s, recommendations=concerned)
        found.append(replace(one, clusters=clusters))
    return tuple(found)


Subject = tuple[Mapping[int, CostSum], frozenset[str] | None]
"""The daily cost of one subject, by midnight, and its workloads; None for all."""


def _keys(asked: Sequence[Budget]) -> set[str]:
    for budget in asked:
        if budget.by not in (FLEET, UNALLOCATED, *KEYS):
            known = ", ".join((FLEET, UNALLOCATED, *KEYS))
            raise InputError(f"finops.budgets: {budget.name!r} is by {budget.by!r}", hint=f"use one of {known}")
    return {one.by for one in asked}


def _subjects(
    history: CostHistory, by: str, values: Collection[str | None], span: tuple[int, int]
) -> Mapping[str | None, Subject]:
    """The subjects of the budgets by one key, by their value: one query for all of them."""
    if by in (FLEET, UNALLOCATED):
        costs: dict[int, CostSum] = {}
        for one in history.sums(("day",), *span):
            if by == FLEET or one.nobody:
                day_s = int(one.keys[0] or 0)
                costs[day_s] = added(costs.get(day_s), one if by == FLEET else _free(one))
        return dict.fromkeys((value or None for value in values), (costs, None))
    named = {one for one in values if one}
    where = {by: named} if len(named) == len(values) else None  # what nothing names is no value
    members: defaultdict[str | None, set[str]] = defaultdict(set)
    for one in history.sums((by, "namespace", "workload"), *span, where):
        key, namespace, workload = one.keys
        members[None if key is None else str(key)].add(f"{namespace}/{workload}")
    days = by_keys(history.sums(("day", by), *span, where))
    return {key: (days.get((key,), {}), frozenset(members[key])) for key in (value or None for value in values)}


def _free(one: CostSum) -> CostSum:
    """What nobody was allocated, without the work outside of Kubernetes and what is not known."""
    time, usd, unpriced = (
        GpuSeconds(unallocated=part.unallocated, stranded=part.stranded) for part in (one.time, one.usd, one.unpriced)
    )
    return CostSum(one.keys, time, usd, unpriced, nobody=True)


def added(first: CostSum | None, second: CostSum) -> CostSum:
    """Add the sum of the same day to another one, if there is one."""
    if first is None:
        return second
    return CostSum(
        first.keys, first.time + second.time, first.usd + second.usd, first.unpriced + second.unpriced, first.nobody
    )


def anomalies(history: CostHistory, by: str, since_s: int, now_s: int) -> tuple[CostAnomaly, ...]:
    """Lasting steps in the daily cost of each value of a key, the largest first.

    Args:
        history: daily cost.
        by: the key, such as "team".
        since_s: only steps that began at this instant or later.
        now_s: epoch seconds.
    """
    first_s = now_s - now_s % DAY_S - HISTORY_S
    calendar = Calendar.of(history.days(first_s, now_s))
    subjects = by_keys(history.sums(("day", by), first_s, now_s))
    found = []
    for (key,), costs in subjects.items():
        series = calendar.series(usd_by_day(costs))
        every = anomaly.steps(series)
        if isinstance(every, TooShort):
            continue
        starts = [0, *(one.start for one in every), len(series)]
        levels = zip(starts, starts[1:], starts[2:], strict=False)
        steps = [one for one in levels if calendar.first_s + one[1] * DAY_S >= since_s]
        if not steps:
            continue
        name = f"{by} {key}" if key is not None else f"no {by}"
        where = {by: {str(key)}} if key is not None else None
        every_part = by_keys(history.sums(("day", by, *_DETAIL), first_s, now_s, where))
        parts = causes.details({keys[1:]: of_day for keys, of_day in every_part.items() if keys[0] == key})
        found += [causes.explained(name, one, series, calendar, parts) for one in steps]
    return tuple(sorted(found, key=lambda one: (-abs(one.usd_month), one.subject)))


def measured(
    history: CostHistory, intents: Sequence[Intent], outcomes: Sequence[Outcome], until_s: int
) -> tuple[MeasuredSaving, ...]:
    """What actions on workloads have saved by their cost, newest first.

    Args:
        history: daily cost.
        intents: the actions, oldest first.
        outcomes: of them, oldest first.
        until_s: only days before this instant count, epoch seconds.
    """
    actions = [one for one in applied(intents, outcomes) if one.intent.command.workload.kind != "Node"]
    if not actions:
        return ()
    since_s = min(one.at_s for one in actions) // DAY_S * DAY_S - BEFORE_D * DAY_S
    refs = [one.intent.command.workload for one in actions]
    where = {"namespace": {ref.namespace for ref in refs}, "workload": {f"{ref.kind}/{ref.name}" for ref in refs}}
    costs = by_keys(history.sums(("day", "cluster", "namespace", "workload"), since_s, until_s, where))
    calendar = Calendar.of(history.days(since_s, until_s))
    found = [
        finops_measured(one, costs.get((one.intent.cluster, ref.namespace, f"{ref.kind}/{ref.name}"), {}), calendar)
        for one, ref in zip(actions, refs, strict=True)
    ]
    return tuple(reversed(found))
