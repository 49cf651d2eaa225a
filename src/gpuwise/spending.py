"""What the cost history says: budgets, lasting steps, and the trend of the last weeks, for the CLI and the report."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from gpuwise.finops import anomaly, causes
from gpuwise.finops.budgets import HISTORY_S, status
from gpuwise.finops.forecast import TooShort
from gpuwise.finops.series import Calendar, Keys, by_keys, usd_by_day
from gpuwise.finops.settings import FLEET, UNALLOCATED, Budget
from gpuwise.finops.trend import WEEK_S, WEEKS, monday_of, trend
from gpuwise.model.cost import KEYS, CostSum, GpuSeconds
from gpuwise.model.errors import InputError
from gpuwise.model.moment import month_of
from gpuwise.model.ports import CostHistory
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import BudgetStatus, CostAnomaly, WeekCost
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


def budgets(
    history: CostHistory, asked: Sequence[Budget], recommendations: Sequence[Recommendation], now_s: int
) -> tuple[BudgetStatus, ...]:
    """Compare budgets with the month's cost and its forecast.

    Args:
        history: daily cost.
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
    found = []
    for budget in asked:
        costs, members = _costs_of(history, budget, since_s, min(end_s, until_s))
        concerned = [one for one in recommendations if members is None or str(one.workload) in members]
        found.append(status(budget, costs, calendar, now_s, until_s=until_s, recommendations=concerned))
    return tuple(found)


def _costs_of(
    history: CostHistory, budget: Budget, since_s: int, until_s: int
) -> tuple[dict[int, CostSum], frozenset[str] | None]:
    """The daily cost of a budget's subject, and its workloads; None for all."""
    if budget.by in (FLEET, UNALLOCATED):
        costs: dict[int, CostSum] = {}
        for one in history.sums(("day",), since_s, until_s):
            day_s, only = int(one.keys[0] or 0), budget.by == UNALLOCATED
            if only and not one.nobody:
                continue
            costs[day_s] = _added(costs.get(day_s), _free(one) if only else one)
        return costs, None
    if budget.by not in KEYS:
        known = ", ".join((FLEET, UNALLOCATED, *KEYS))
        raise InputError(f"finops.budgets: {budget.name!r} is by {budget.by!r}", hint=f"use one of {known}")
    value = budget.value or None
    found = by_keys(history.sums(("day", budget.by, "namespace", "workload"), since_s, until_s))
    costs = {}
    for (key, _, _), of_day in found.items():
        if key == value:
            for day_s, one in of_day.items():
                costs[day_s] = _added(costs.get(day_s), one)
    members = frozenset(f"{namespace}/{workload}" for key, namespace, workload in found if key == value)
    return costs, members


def _free(one: CostSum) -> CostSum:
    """What nobody was allocated, without the work outside of Kubernetes and what is not known."""
    time, usd, unpriced = (
        GpuSeconds(unallocated=part.unallocated, stranded=part.stranded) for part in (one.time, one.usd, one.unpriced)
    )
    return CostSum(one.keys, time, usd, unpriced, nobody=True)


def _added(first: CostSum | None, second: CostSum) -> CostSum:
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
    parts: dict[Keys, dict[Keys, Mapping[int, CostSum]]] = {}
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
        if not parts:  # rarely needed, and a row for each workload
            parts = _details(history, by, first_s, now_s)
        name = f"{by} {key}" if key is not None else f"no {by}"
        of_key = causes.details(parts[key,])
        found += [causes.explained(name, one, series, calendar, of_key) for one in steps]
    return tuple(sorted(found, key=lambda one: (-abs(one.usd_month), one.subject)))


def _details(
    history: CostHistory, by: str, since_s: int, until_s: int
) -> dict[Keys, dict[Keys, Mapping[int, CostSum]]]:
    found: defaultdict[Keys, dict[Keys, Mapping[int, CostSum]]] = defaultdict(dict)
    for keys, costs in by_keys(history.sums(("day", by, *_DETAIL), since_s, until_s)).items():
        found[keys[:1]][keys[1:]] = costs
    return found
