"""Sentences about budgets, steps in cost, and weeks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gpuwise.model.report import BudgetStatus, CostAnomaly, MeasuredSaving, Waste, WeekCost, WeeklyReport
from gpuwise.report.wording import NOT_RECORDED, day, moment, percent, usd

_WEEK_D = 7


def date(seconds: int) -> str:
    """Format a day with its year: "2026-11-02"."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def budget_subject(one: BudgetStatus) -> str:
    """What a budget is for, and of how many clusters: "team ml in 2 clusters"."""
    return f"{one.subject} in {one.clusters} cluster{'s' if one.clusters != 1 else ''}"


def scope(report: WeeklyReport) -> str:
    """Of which clusters, and until when, budgets and lasting changes count the cost."""
    several = f"all {report.spending_clusters} clusters" if report.spending_clusters != 1 else "the one cluster"
    until_s = max((one.until_s for one in report.budgets), default=None)
    end = "" if until_s is None else f", until {moment(until_s)} UTC"
    return f"Of {several} whose cost is in the ledger's database{end}."


def budget_state(one: BudgetStatus) -> str:
    """Where a budget stands, in a line."""
    used = NOT_RECORDED if one.actual_usd is None else f"{percent(one.actual_usd / one.usd)} spent"
    if one.state == "over":
        when = f" since {day(one.breach_s)}" if one.breach_s is not None else ""
        return f"exceeded{when}; {used}"
    if one.forecast_usd is None or one.low_usd is None or one.high_usd is None:
        return f"{used}; no forecast: {one.why_none}"
    low, high = usd(one.low_usd), usd(one.high_usd)
    span = f"{low if low == high else f'{low} to {high}'} expected"
    if one.state == "breach":
        when = f" on {day(one.breach_s)}" if one.breach_s is not None else ""
        count = f"{len(one.remedies)} open recommendation{'s' if len(one.remedies) != 1 else ''}"
        enough = "" if one.remedies_usd >= one.forecast_usd - one.usd else ", which is not enough"
        back = f"; {count} can save {usd(one.remedies_usd)}{enough}" if one.remedies else ""
        return f"will be exceeded{when}; {span}; {used}{back}"
    if one.state == "risk":
        return f"may be exceeded; {span}; {used}"
    return f"within; {span}; {used}"


def cause(one: CostAnomaly) -> str:
    """What changed, whose, and where."""
    change = f"{usd(one.before_usd_day)} a day before, {usd(one.after_usd_day)} since"
    if one.workload is None:
        return f"{one.cause}; {change}"
    where = f" on {one.place}" if one.place else ""
    return f"{one.cause} of {one.workload}{where} ({percent(one.part)} of it); {change}"


def measured_remark(one: MeasuredSaving) -> str:
    """Why a saving is not measured, why it ended, how it compares with the prediction, and what adjusted it."""
    parts = [part for part in (one.why_none, one.ended) if part]
    if one.saved_usd is not None and one.low_usd is not None and one.high_usd is not None:
        if one.high_usd < 0:
            parts.append("it costs more than it would have without the action")
        elif one.predicted_usd and one.high_usd < one.predicted_usd:
            parts.append("less than predicted")
        elif one.predicted_usd and one.low_usd > one.predicted_usd:
            parts.append("more than predicted")
        parts += [text for text in ("at the demand", "with the trend", "since its cost changed") if text in one.method]
    return "; ".join(parts)


def change(weeks: Sequence[WeekCost]) -> str:
    """The change from the week before to the last one; "" if either is not complete, or nothing has a price."""
    if len(weeks) < 2:
        return ""
    before, last = weeks[-2:]
    if last.start_s - before.start_s != _WEEK_D * 86_400 or min(before.days, last.days) < _WEEK_D or not before.usd:
        return ""
    share = last.usd / before.usd - 1
    return f"{'+' if share >= 0 else ''}{share * 100:.1f} % to the week before"


_OWNERS = 3


def waste_owners(one: Waste) -> str:
    """The teams with the largest parts of a class of waste: "ml $900, search $300, 2 others $50"."""
    shown, rest = one.owners[:_OWNERS], one.owners[_OWNERS:]
    parts = [f"{owner or 'no team'} {usd(amount)}" for owner, amount in shown]
    if rest:
        parts.append(f"{len(rest)} other{'s' if len(rest) != 1 else ''} {usd(sum(amount for _, amount in rest))}")
    return ", ".join(parts)


def waste_most(one: Waste) -> str:
    """How many recommendations a class of waste has, and the team with the largest part."""
    owner = one.owners[0][0] if one.owners else None
    mostly = f"mostly {owner}" if owner is not None else "without a team"
    return f"{one.count} recommendation{'s' if one.count != 1 else ''}, {mostly}"


def cash(report: WeeklyReport) -> str:
    """How much of the predicted saving is cash, and what the rest is; "" if it is not known."""
    if report.cash_usd_month is None:
        return ""
    return (
        f"Of {usd(report.predicted_usd_month)} a month, {usd(report.cash_usd_month)} is cash: nodes that are removed. "
        "The rest is GPU time that becomes free or cheaper: it is cash when a node goes."
    )
