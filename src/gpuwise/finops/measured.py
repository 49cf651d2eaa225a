"""What an action has saved, measured: the daily cost of its workload after it against the same weekdays before it.

The days before are the counterfactual: each day after is compared with the mean of the same day of the week in the four
weeks before. The interval is that of a sum of days whose deviations from those means are independent. Work that would
have changed anyway, such as a job that ends by itself, is not told apart from a saving: the method is stated in the
report. GPU time is priced as billed; that it became cash needs a node that goes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.finops.series import Calendar, Floats
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.cost import CostSum
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.report import MeasuredSaving
from gpuwise.model.usage import DAY_S

BEFORE_D = 28
_LEAST_D = 7
_WEEK_D = 7
_MONTH_D = 730 / 24
_Z = 1.645
"""Half width of a 90 % interval, in standard deviations of a normal distribution."""
_TAKEN_BACK = {OutcomeStatus.UNDONE: "undone", OutcomeStatus.REVERTED: "reverted"}


@dataclass(frozen=True, slots=True)
class Applied:
    """An action that took place.

    Attributes:
        intent: the action.
        at_s: when it was applied, epoch seconds.
        end_s: when it was taken back or followed by another action on the same workload; None if it was not.
        ended: why, "" if it was not.
        before_s: when the earlier action on the same workload took place; None without one.
    """

    intent: Intent
    at_s: int
    end_s: int | None
    ended: str
    before_s: int | None


def applied(intents: Sequence[Intent], outcomes: Sequence[Outcome]) -> list[Applied]:
    """The actions that took place, oldest first; each GPU-hour counts for one of them.

    Args:
        intents: oldest first; steps of an action are no actions.
        outcomes: of them, oldest first.
    """
    at: dict[str, int] = {}
    back: dict[str, tuple[int, str]] = {}
    for one in outcomes:
        if one.status is OutcomeStatus.APPLIED:
            at.setdefault(one.command_id, one.at_s)
        elif one.status in _TAKEN_BACK and one.command_id in at:
            back.setdefault(one.command_id, (one.at_s, _TAKEN_BACK[one.status]))
    found: list[Applied] = []
    last: dict[WorkloadRef, int] = {}
    for intent in sorted((one for one in intents if one.command.id in at and not one.step_of), key=lambda i: i.at_s):
        name, ref = intent.command.id, intent.command.workload
        end_s, ended = back.get(name, (None, ""))
        before = found[last[ref]] if ref in last else None
        if before is not None and (before.end_s is None or before.end_s > at[name]):
            found[last[ref]] = Applied(before.intent, before.at_s, at[name], f"followed by {name}", before.before_s)
        last[ref] = len(found)
        found.append(Applied(intent, at[name], end_s, ended, None if before is None else before.end_s or before.at_s))
    return found


def measured(one: Applied, costs: Mapping[int, CostSum], calendar: Calendar) -> MeasuredSaving:
    """Measure one action.

    Args:
        one: the action.
        costs: daily cost of its workload, by midnight; a complete day without an entry cost nothing.
        calendar: the days of the history.
    """
    usd = calendar.series({day_s: found.usd.capacity for day_s, found in costs.items()})
    first_s = _midnight_after(one.at_s)
    end_s = calendar.end_s if one.end_s is None else min(calendar.end_s, one.end_s // DAY_S * DAY_S)
    start_s = one.at_s // DAY_S * DAY_S - BEFORE_D * DAY_S
    if one.before_s is not None:
        start_s = max(start_s, _midnight_after(one.before_s))
    before = _part(usd, calendar, start_s, one.at_s // DAY_S * DAY_S)
    after = _part(usd, calendar, first_s, end_s)
    days = int((~np.isnan(after)).sum())
    because = one.intent.command.because
    predicted = None if because is None else because.saving.usd_month / _MONTH_D * days
    why = ""
    if any(found.unpriced.capacity > 0 for found in costs.values()):
        why = "some of its time has no price"
    elif int((~np.isnan(before)).sum()) < _LEAST_D:
        why = f"fewer than {_LEAST_D} days before it are in the cost history"
    elif not days:
        why = "no whole day after it is in the cost history yet"
    saved, width = (None, None) if why else _saved(before, after, shift=(first_s - start_s) // DAY_S)
    return MeasuredSaving(
        action=one.intent.command.id,
        workload=str(one.intent.command.workload),
        change=one.intent.command.change,
        since_s=first_s,
        days=days,
        predicted_usd=predicted,
        saved_usd=saved,
        low_usd=None if saved is None or width is None else saved - width,
        high_usd=None if saved is None or width is None else saved + width,
        ended=one.ended,
        why_none=why,
    )


def _midnight_after(at_s: int) -> int:
    return -(-at_s // DAY_S) * DAY_S


def _part(usd: Floats, calendar: Calendar, start_s: int, end_s: int) -> Floats:
    """The days between two midnights; NaN where the history has none. Its first day is that of `start_s`."""
    first, last = ((at_s - calendar.first_s) // DAY_S for at_s in (start_s, end_s))
    found = np.full(max(0, last - first), np.nan)
    inside = slice(max(0, first), max(0, min(last, len(usd))))
    known = usd[inside]
    found[inside.start - first : inside.start - first + len(known)] = known
    return found


def _saved(before: Floats, after: Floats, *, shift: int) -> tuple[float, float]:
    """Dollars saved, and half the width of the interval."""
    weekday = np.arange(len(before)) % _WEEK_D
    whole = float(np.nanmean(before))
    expected = np.full(_WEEK_D, whole)
    for day in range(_WEEK_D):
        same = before[weekday == day]
        if (~np.isnan(same)).any():
            expected[day] = np.nanmean(same)
    residuals = before - expected[weekday]
    known = residuals[~np.isnan(residuals)]
    sigma = float(np.sqrt((known**2).sum() / max(1, len(known) - _WEEK_D))) if len(known) > _WEEK_D else whole
    of_day = expected[(np.arange(len(after)) + shift) % _WEEK_D]
    differences = of_day - after
    counted = differences[~np.isnan(differences)]
    # The means of the days before are estimates, too: with n days after and m before, n (1 + n / m) variances.
    size = len(counted) * (1 + len(counted) / len(known))
    return float(counted.sum()), _Z * sigma * math.sqrt(size)
