"""KPIs, the return of declared values, and spend on models that never served, from the cost history."""

from collections.abc import Sequence

from gpuwise.finops import units
from gpuwise.finops.kpis import BY
from gpuwise.finops.kpis import kpis as finops_kpis
from gpuwise.finops.settings import UnitValue
from gpuwise.model.command import Intent, Outcome
from gpuwise.model.ports import CostHistory
from gpuwise.model.report import Kpi
from gpuwise.spending.budgets import measured

_MONTH_S = 730 * 3_600
"""As in all savings."""


def kpis(
    history: CostHistory,
    attempts: tuple[Sequence[Intent], Sequence[Outcome]],
    since_s: int,
    end_s: int,
    until_s: int,
    tool_usd_month: float | None = None,
) -> tuple[Kpi, ...]:
    """The KPIs of a period.

    Args:
        history: daily cost.
        attempts: the actions of the period with their outcomes, oldest first.
        since_s: midnight at which it begins, epoch seconds.
        end_s: first second after it.
        until_s: only days before this instant count for savings.
        tool_usd_month: what gpuwise itself costs in a month, None if that is not known.
    """
    saved = measured(history, *attempts, until_s)
    tool_usd = None if tool_usd_month is None else tool_usd_month * (min(end_s, until_s) - since_s) / _MONTH_S
    return finops_kpis(history.sums(BY, since_s, end_s), saved, tool_usd)


def returns(
    history: CostHistory, values: Sequence[UnitValue], since_s: int, end_s: int
) -> tuple[units.ValueReturn, ...]:
    """The return of each declared monthly value: of the days of the period that are in the history.

    Args:
        history: daily cost.
        values: declared values.
        since_s: midnight at which the period begins, epoch seconds.
        end_s: first second after it.
    """
    counted_s = sum({day.day_s: day.until_s - day.from_s for day in history.days(since_s, end_s)}.values())
    pairs = [
        (one, list(history.sums((one.by,), since_s, end_s, {one.by: {one.value}})))
        for one in values
        if one.usd_month is not None
    ]
    return units.returns(pairs, counted_s / _MONTH_S)


def unserved(history: CostHistory, since_s: int, end_s: int) -> tuple[units.Unserved, ...]:
    """Spend of a period on models that no endpoint has served until its end.

    Args:
        history: daily cost.
        since_s: midnight at which the period begins, epoch seconds.
        end_s: first second after it.
    """
    ever = history.sums(("day", "model", "endpoint"), 0, end_s)
    return units.unserved(history.sums(("model",), since_s, end_s), ever)
