"""Budgets: the cost of a month so far, its forecast, and what would keep it within the budget."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpuwise.finops.forecast import Forecast, Sum, TooShort, forecast
from gpuwise.finops.series import Calendar, Floats, mean_of
from gpuwise.finops.settings import FLEET, UNALLOCATED, Budget
from gpuwise.model.cost import CostSum
from gpuwise.model.moment import month_of
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import BudgetStatus
from gpuwise.model.usage import DAY_S

HISTORY_S = 120 * DAY_S
"""How much of the history a forecast uses: four months, with at least three of each day of a month."""
_WEEK_D = 7
_GAP_D = 28
"""Complete days whose mean a missing day counts as: four of each day of the week."""
_MONTH_D = 730 / 24


def subject(budget: Budget) -> str:
    """What a budget is for, for people: "team ml"."""
    named = f"{budget.by} {budget.value}" if budget.value else f"no {budget.by}"
    return budget.by if budget.by in (FLEET, UNALLOCATED) else named


def status(
    budget: Budget,
    costs: Mapping[int, CostSum],
    calendar: Calendar,
    now_s: int,
    *,
    until_s: int,
    recommendations: Sequence[Recommendation] = (),
) -> BudgetStatus:
    """Compare a budget with the cost of the month that contains an instant.

    The forecast of the month is the cost of its complete days, and the forecast of the days after the last complete day
    of the history, from the daily cost until then. A day of the month that is missing before that counts as the mean of
    the last four weeks, at least as the part of it that is known; the interval has that part, and the largest of those
    days.

    Args:
        budget: the budget.
        costs: the cost of its subject, by midnight; a complete day without an entry cost nothing.
        calendar: the days of the history.
        now_s: epoch seconds.
        until_s: first second that is not counted yet.
        recommendations: the open ones about the subject.
    """
    month, start_s, end_s = month_of(now_s)
    of_month = {day_s: one for day_s, one in costs.items() if start_s <= day_s < end_s}
    actual = sum(one.usd.capacity for one in of_month.values())
    series = calendar.series({day_s: one.usd.capacity for day_s, one in costs.items()})
    found, why = _forecast(series, calendar, start_s, end_s)
    month_sum, path = None, list[tuple[int, float]]()
    if found is not None:
        month_sum, path = _of_month(
            found, _settled(series, calendar, of_month, start_s, end_s), calendar, start_s, end_s
        )
        month_sum = Sum(*(max(actual, one) for one in (month_sum.mean, month_sum.low, month_sum.high)))
    expected = None if month_sum is None else month_sum.mean
    high = None if month_sum is None else month_sum.high
    breach_s = _breach(budget.usd, of_month, path, now_s)
    chosen, saved = _remedies(budget, expected, recommendations, left_s=end_s - max(now_s, start_s))
    return BudgetStatus(
        name=budget.name,
        subject=subject(budget),
        month=month,
        usd=budget.usd,
        actual_usd=actual if until_s > start_s else None,
        until_s=min(until_s, end_s),
        burn_usd_day=mean_of(series[-_WEEK_D:]),
        forecast_usd=expected,
        low_usd=None if month_sum is None else month_sum.low,
        high_usd=high,
        why_none=why,
        breach_s=breach_s,
        state=_state(budget.usd, actual, expected, high),
        alerts=tuple(share for share in sorted(budget.alert_at) if actual >= share * budget.usd),
        unpriced_gpu_h=sum(one.unpriced.capacity for one in of_month.values()) / 3_600,
        remedies=chosen,
        remedies_usd=saved,
    )


def _settled(series: Floats, calendar: Calendar, of_month: Mapping[int, CostSum], start_s: int, end_s: int) -> Sum:
    """The cost of a month until the last complete day: known, and of days that are missing or known in part, likely."""
    known = sum(one.usd.capacity for day_s, one in of_month.items() if calendar.at(day_s) is not None)
    last = series[-_GAP_D:][~np.isnan(series[-_GAP_D:])]
    days = [day_s for day_s in range(start_s, min(calendar.end_s, end_s), DAY_S) if calendar.at(day_s) is None]
    parts = np.array([of_month[day_s].usd.capacity if day_s in of_month else 0.0 for day_s in days])
    usual, most = float(last.mean()), float(last.max())  # a series ends with a complete day
    gaps = (np.maximum(parts, usual).sum(), parts.sum(), np.maximum(parts, most).sum())
    return Sum(*(known + float(one) for one in gaps))


def _of_month(
    found: Forecast, settled: Sum, calendar: Calendar, start_s: int, end_s: int
) -> tuple[Sum, list[tuple[int, float]]]:
    """The cost of a whole month, and its sum after each day that is forecast, by midnight.

    Args:
        found: the forecast of the days after the last complete one.
        settled: the cost until then.
        calendar: the days of the history.
        start_s: when the month begins, epoch seconds.
        end_s: when it ends.
    """
    if calendar.end_s >= end_s:
        return settled, []
    first_s = max(calendar.end_s, start_s)
    skipped = len(found.mean) - (end_s - first_s) // DAY_S  # a month that began after the last complete day
    rest, before = found.sum_of(len(found.mean)), found.sum_of(skipped)
    low = settled.low + rest.low - (before.high if skipped else 0.0)
    high = settled.high + rest.high - (before.low if skipped else 0.0)
    sums = settled.mean + np.cumsum(found.mean[skipped:])
    path = [(first_s + at * DAY_S, float(one)) for at, one in enumerate(sums)]
    return Sum(settled.mean + rest.mean - before.mean, low, high), path


def _forecast(series: Floats, calendar: Calendar, start_s: int, end_s: int) -> tuple[Forecast | None, str]:
    if not len(series):
        return None, "the cost history has no complete day"
    horizon = max(0, (end_s - calendar.end_s) // DAY_S)
    kept = series[-HISTORY_S // DAY_S :]
    began = np.flatnonzero(np.nan_to_num(kept))
    if not began.size:
        return None, "no day of the cost history has a cost of this"
    kept = kept[began[0] :]  # a subject that is new has no history of days without cost
    found = forecast(kept, seasons=(_WEEK_D,), horizon=max(1, horizon))
    if isinstance(found, TooShort):
        return None, found.reason
    if start_s - calendar.end_s > _WEEK_D * DAY_S:
        return None, f"the last complete day of the cost history is {(start_s - calendar.end_s) // DAY_S} days old"
    return found, ""


def _breach(usd: float, of_month: Mapping[int, CostSum], path: Sequence[tuple[int, float]], now_s: int) -> int | None:
    spent = 0.0
    for day_s in sorted(of_month):
        spent += of_month[day_s].usd.capacity
        if spent > usd:
            return day_s
    found = next((day_s for day_s, expected in path if expected > usd), None)
    return None if found is None else max(found, now_s // DAY_S * DAY_S)


def _state(usd: float, actual: float, expected: float | None, high: float | None) -> str:
    if actual > usd:
        return "over"
    if expected is None or high is None:
        return "unknown"
    if expected > usd:
        return "breach"
    return "risk" if high > usd else "within"


def _remedies(
    budget: Budget,
    expected: float | None,
    recommendations: Sequence[Recommendation],
    *,
    left_s: int,
) -> tuple[tuple[str, ...], float]:
    """The recommendations that save the excess in what is left of the month; all of them if they do not suffice."""
    if expected is None or expected <= budget.usd:
        return (), 0.0
    part = left_s / (_MONTH_D * DAY_S)
    chosen, saved = list[str](), 0.0
    for one in sorted(recommendations, key=lambda one: (-one.saving.usd_month, one.id)):
        if saved >= expected - budget.usd:
            break
        if one.saving.usd_month > 0:
            chosen.append(one.id)
            saved += one.saving.usd_month * part
    return tuple(chosen), saved
