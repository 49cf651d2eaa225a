"""What an action has saved, measured: the daily cost of its workload after it against the days before it.

`counterfactual` says what the days after would have cost: as the same days of the week before, at the demand of each
day where that was measured, and with the trend where it is plain. Work that would have changed anyway without a
measured demand, such as a job that ends by itself, is not told apart from a saving: each saving states its method. GPU
time is priced as billed; that it became cash needs a node that goes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.finops.counterfactual import LEAST_D, LONG_D, Demand, compare
from gpuwise.finops.series import Calendar, Floats
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, ScaleTo
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.cost import CostSum
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.report import MeasuredSaving
from gpuwise.model.usage import DAY_S

BEFORE_D = LONG_D
_MONTH_D = 730 / 24
_KNOWN = 0.95
"""Share of a day's GPU time with known SM activity, from which the activity of the day is known."""
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
    before = _part(usd, calendar, max(start_s, _existed_from(costs, calendar)), one.at_s // DAY_S * DAY_S)
    before = np.concatenate([np.full((one.at_s // DAY_S * DAY_S - start_s) // DAY_S - len(before), np.nan), before])
    after = _part(usd, calendar, first_s, end_s)
    days = int((~np.isnan(after)).sum())
    because = one.intent.command.because
    predicted = None if because is None else because.saving.usd_month / _MONTH_D * days
    why = ""
    if any(found.unpriced.capacity > 0 for found in costs.values()):
        why = "some of its time has no price"
    elif int((~np.isnan(before)).sum()) < LEAST_D:
        why = f"the cost history has fewer than {LEAST_D} days of the workload before it"
    elif not days:
        why = "no whole day after it is in the cost history yet"
    found = None
    if not why:
        spans = (start_s, one.at_s // DAY_S * DAY_S), (first_s, end_s)
        found = compare(before, after, _demand(one, costs, calendar, spans), gap_d=(first_s - start_s) // DAY_S)
    return MeasuredSaving(
        action=one.intent.command.id,
        workload=str(one.intent.command.workload),
        change=one.intent.command.change,
        since_s=first_s,
        days=days,
        predicted_usd=predicted,
        saved_usd=None if found is None else found.saved_usd,
        low_usd=None if found is None else found.low_usd,
        high_usd=None if found is None else found.high_usd,
        ended=one.ended,
        why_none=why if found is None else found.why_none,
        method="" if found is None else found.method,
    )


def _existed_from(costs: Mapping[int, CostSum], calendar: Calendar) -> int:
    """The first whole day of the workload: before its first cost it did not exist, and that day is a part of one."""
    first_s = min((day_s for day_s, found in costs.items() if found.time.capacity > 0.0), default=calendar.first_s)
    return first_s if first_s == calendar.first_s else first_s + DAY_S


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


def _demand(
    one: Applied, costs: Mapping[int, CostSum], calendar: Calendar, spans: tuple[tuple[int, int], tuple[int, int]]
) -> Demand:
    """The demand on a workload before and after an action: its requests, else its SM activity.

    Args:
        one: the action.
        costs: daily cost of its workload, by midnight.
        calendar: the days of the history.
        spans: the days before and after, from one midnight to another.
    """
    change = one.intent.command.change
    if isinstance(change, ScaleTo) and change.replicas == 0:
        return Demand("requests", *_nothing(spans), "a stopped workload shows none")
    known = [
        ("requests", {day_s: found.measures.requests for day_s, found in costs.items()}),
        ("SM activity", {day_s: _activity(found) for day_s, found in costs.items()}),
    ]
    # The same work has another activity on a part of a card.
    for name, by_day in known if isinstance(change, ScaleTo | MoveToSpot | MoveToOnDemand) else known[:1]:
        if any(amount is not None for amount in by_day.values()):
            before, after = (_amounts(by_day, calendar, span) for span in spans)
            return Demand(name, before, after)
    return Demand("requests", *_nothing(spans), "not measured")


def _activity(found: CostSum) -> float | None:
    """GPU-seconds of a day weighted by SM activity; None unless nearly all of the day is known."""
    seen, active = found.measures.sm_known_s, found.measures.sm_s
    return active if seen is not None and seen >= _KNOWN * found.time.capacity else None


def _amounts(by_day: Mapping[int, float | None], calendar: Calendar, span: tuple[int, int]) -> Floats:
    amounts = calendar.series({})
    amounts[:] = np.nan
    for day_s, amount in by_day.items():
        if amount is not None and (place := calendar.at(day_s)) is not None:
            amounts[place] = amount
    return _part(amounts, calendar, *span)


def _nothing(spans: tuple[tuple[int, int], tuple[int, int]]) -> tuple[Floats, Floats]:
    before, after = (np.full(max(0, (end_s - start_s) // DAY_S), np.nan) for start_s, end_s in spans)
    return before, after
