"""What a page shows of long lists: the first rows, and the sum of the rest. The JSON has all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpuwise.model.report import Action, BudgetStatus, CostAnomaly, MeasuredSaving, TeamCost, WeeklyReport, WorkloadCost
from gpuwise.report.energy_wording import energy_of_rest
from gpuwise.report.wording import NOT_RECORDED, signed_usd, usd

T = TypeVar("T")

_TEAMS, _BUDGETS, _STEPS, _ACTIONS, _MEASURED, _WORKLOADS = 30, 30, 8, 20, 20, 10
"""Rows that a reader looks at; 5,000 teams would be 4 MB of HTML."""
_STATES = ("over", "breach", "risk", "unknown", "within")
"""The states of a budget, in the order in which a reader wants to see them."""


@dataclass(frozen=True, slots=True)
class Extract(Generic[T]):
    """A list for a page.

    Attributes:
        rows: what is shown.
        rest: the others, in a sentence; "" if all are shown.
    """

    rows: Sequence[T]
    rest: str


@dataclass(frozen=True, slots=True)
class Extracts:
    """The long lists of a report.

    Attributes:
        teams: the most expensive ones.
        budgets: those that are exceeded, then those that will be, then the others.
        steps: lasting steps in cost, the largest first.
        actions: what was done.
        measured: savings of earlier actions that were measured, or that ended.
        idle_workloads: the most expensive idle ones.
    """

    teams: Extract[TeamCost]
    budgets: Extract[BudgetStatus]
    steps: Extract[CostAnomaly]
    actions: Extract[Action]
    measured: Extract[MeasuredSaving]
    idle_workloads: Extract[WorkloadCost]

    @classmethod
    def of(cls, report: WeeklyReport) -> "Extracts":
        """Choose the rows of a report."""
        return cls(
            teams=_teams(report.teams),
            budgets=_budgets(by_state(report.budgets)),
            steps=_steps(report.anomalies),
            actions=_actions(report.actions),
            measured=_measured(report.measured),
            idle_workloads=_idle([one for one in report.workloads if one.idle_gpu_h > 0]),
        )


def by_state(budgets: Sequence[BudgetStatus]) -> list[BudgetStatus]:
    """The budgets, first those that are exceeded, then those that will be, then the others."""
    return sorted(budgets, key=lambda one: _STATES.index(one.state))


def _teams(every: Sequence[TeamCost]) -> Extract[TeamCost]:
    rest = every[_TEAMS:]
    cost = sum(one.cost_usd or 0.0 for one in rest)
    idle = sum(one.idle_usd or 0.0 for one in rest)
    text = f"{len(rest)} more teams cost {usd(cost)} together, of which {usd(idle)} idle{energy_of_rest(rest)}"
    return Extract(every[:_TEAMS], text if rest else "")


def _budgets(every: Sequence[BudgetStatus]) -> Extract[BudgetStatus]:
    rest = every[_BUDGETS:]
    spent, whole = sum(one.actual_usd or 0.0 for one in rest), sum(one.usd for one in rest)
    text = f"{usd(spent)} of {usd(whole)} spent" if any(one.actual_usd is not None for one in rest) else NOT_RECORDED
    return Extract(every[:_BUDGETS], f"{len(rest)} more: {text}" if rest else "")


def _steps(every: Sequence[CostAnomaly]) -> Extract[CostAnomaly]:
    rest = every[_STEPS:]
    text = f"{len(rest)} smaller ones: {signed_usd(sum(one.usd_month for one in rest))} a month together"
    return Extract(every[:_STEPS], text if rest else "")


def _actions(every: Sequence[Action]) -> Extract[Action]:
    rest = every[_ACTIONS:]
    return Extract(every[:_ACTIONS], f"{len(rest)} more" if rest else "")


def _measured(every: Sequence[MeasuredSaving]) -> Extract[MeasuredSaving]:
    """Those that can tell something; a count of those that cannot yet."""
    known = [one for one in every if one.saved_usd is not None or one.ended]
    rest = known[_MEASURED:]
    parts = []
    if rest:
        saved = sum(one.saved_usd or 0.0 for one in rest)
        parts.append(f"{len(rest)} more have saved {usd(saved)} together")
    shown = {id(one) for one in known}
    reasons: dict[str, int] = {}
    for one in every:
        if id(one) not in shown:
            reasons[one.why_none] = reasons.get(one.why_none, 0) + 1
    parts += [f"{count} not measured: {why}" for why, count in reasons.items()]
    return Extract(known[:_MEASURED], "; ".join(parts))


def _idle(every: Sequence[WorkloadCost]) -> Extract[WorkloadCost]:
    rest = every[_WORKLOADS:]
    idle = sum(one.idle_usd or 0.0 for one in rest)
    return Extract(every[:_WORKLOADS], f"{len(rest)} more were idle for {usd(idle)} together" if rest else "")
