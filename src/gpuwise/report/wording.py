"""Format numbers and types of the model for a reader. None becomes "unknown", 0 stays 0; each number has its unit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from gpuwise.model.changes import Change
from gpuwise.model.command import Outcome, OutcomeStatus, enactable
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Evidence, Recommendation
from gpuwise.model.report import Kpi, WeeklyReport

UNKNOWN = "unknown"
NOT_RECORDED = "nothing recorded"
_NBSP = "\u00a0"
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_RISKS = ("no", "low", "medium", "high", "very high")

_FINDINGS = {
    Finding.IDLE: "idle",
    Finding.ORPHANED: "idle, without an owner",
    Finding.IDLE_BETWEEN_USES: "idle between uses",
    Finding.UNUSED_HOURS: "unused at the same hours every week",
    Finding.GPU_OVERPROVISIONED: "requests more GPU than it uses",
    Finding.REPLICAS_OVERPROVISIONED: "has more replicas than its load needs",
    Finding.GPU_SHAREABLE: "leaves most of its card free",
    Finding.GPU_TYPE_OVERPROVISIONED: "fits a cheaper GPU type",
    Finding.INTERRUPTIBLE_ON_DEMAND: "could run on spot",
    Finding.DEADLINE_CAPACITY_MISFIT: "its capacity does not suit its deadline",
    Finding.POWER_LIMIT_OVERPROVISIONED: "its power limit is higher than its speed needs",
    Finding.NODE_UNDERUTILISED: "its pods fit elsewhere",
    Finding.MIG_GEOMETRY_MISFIT: "its MIG geometry does not match its pods",
    Finding.OUTSIDE_DATA_REGION: "runs outside the regions of its data",
    Finding.POD_PENDING: "its pod waits for GPUs",
}


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def usd(value: float | None) -> str:
    """Format dollars: with cents below 100, in whole dollars above."""
    if value is None or _missing(value):
        return UNKNOWN
    sign = "-" if value < 0 else ""
    size = abs(value)
    return f"{sign}${size:,.0f}" if size >= 100 or size == round(size) else f"{sign}${size:,.2f}"


def signed_usd(value: float) -> str:
    """Format a difference in dollars, with its sign."""
    return f"{'+' if value >= 0 else ''}{usd(value)}"


def gpu_hours(value: float | None) -> str:
    """Format GPU-hours: with one decimal below 10."""
    if value is None or _missing(value):
        return UNKNOWN
    number = f"{value:,.1f}" if 0 < abs(value) < 10 else f"{value:,.0f}"
    return f"{number}{_NBSP}GPU-h"


def percent(value: float | None) -> str:
    """Format a ratio in percent; a value above 0 that rounds to 0 becomes "<1 %"."""
    if value is None or _missing(value):
        return UNKNOWN
    if 0 < value < 0.005:
        return f"<1{_NBSP}%"
    return f"{value * 100:.0f}{_NBSP}%"


def kpi_value(one: Kpi) -> str:
    """Format a KPI; one that cannot be measured is "none", never 0 %."""
    return "none" if one.value is None else percent(one.value)


def share(part: float, whole: float) -> float | None:
    """Divide part by whole; None if the whole is 0."""
    return part / whole if whole > 0 else None


def when(seconds: int | None) -> str:
    """Format an instant in UTC, to the minute."""
    return UNKNOWN if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def moment(seconds: int) -> str:
    """Format an instant in UTC without the year: "Mon 11 May 14:05"."""
    return f"{day(seconds)} {datetime.fromtimestamp(seconds, UTC):%H:%M}"


def day(seconds: int, zone: tzinfo = UTC) -> str:
    """Format a day, in UTC unless a time zone is given: "Mon 11 May"."""
    at = datetime.fromtimestamp(seconds, zone)
    return f"{at:%a} {at.day} {at:%b}"


def risk(level: int) -> str:
    """Format a performance risk level in words."""
    return f"{_RISKS[level]} risk" if 0 <= level < len(_RISKS) else f"risk {level}"


def finding(value: Finding) -> str:
    """Describe a finding in a few words."""
    return _FINDINGS[value]


_CHANGES: dict[str, Callable[[Any], str]] = {
    "ScaleTo": lambda to: f"scale to {to.replicas}",
    "Resize": lambda to: f"{_request(to.current)} to {_request(to.proposed)}",
    "MoveToSpot": lambda to: f"{'run only on' if to.only else 'prefer'} spot nodes{_in_zone(to.zone)}",
    "MoveToOnDemand": lambda _: "run on on-demand nodes",
    "StopWhenIdle": lambda to: f"scale to 0 {_without_request(to.after_s)}",
    "StopAtHours": lambda to: f"stop {_hours(to.spans)}",
    "Share": lambda to: f"share its card by {to.method.value}, {to.tenants} pods per card",
    "ChangeGpuType": lambda to: f"{to.current} to {to.proposed}",
    "CapPower": lambda to: f"cap power at {to.limit_w:.0f}{_NBSP}W per card",
    "MoveToRegion": lambda to: f"{', '.join(to.current)} to {' or '.join(to.allowed) or 'no region'}",
    "FreeNode": lambda to: f"{_moved(len(to.moves))}remove the node",
    "MakeSpace": lambda to: f"{_moved(len(to.moves))}run on {to.node}",
    "Repartition": lambda to: f"reconfigure MIG: {_slices(to.proposed)}; {to.freed_gpus} undivided",
}


def _in_zone(zone: str | None) -> str:
    return "" if zone is None else f", preferably in {zone}"


def _moved(pods: int) -> str:
    return f"move {pods} pod{'s' if pods != 1 else ''}, then " if pods else ""


def change(value: Change) -> str:
    """Describe a change in a few words."""
    return _CHANGES[value.kind](value)


def _without_request(seconds: int) -> str:
    return f"after {duration(seconds)} without a request" if seconds else "when the last request is answered"


def _hours(spans: Sequence[tuple[int, int]]) -> str:
    """Format the first of some spans of the week, and the total hours of all of them."""
    first, last = spans[0]
    total = sum(last - first for first, last in spans)
    return f"{_hour(first)} to {_hour(last)} UTC, {total}{_NBSP}h a week in total"


def _hour(of_week: int) -> str:
    return f"{_WEEK[of_week // 24 % 7]} {of_week % 24:02d}:00"


def _slices(geometry: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in geometry) or "undivided cards"


def _request(request: GpuRequest) -> str:
    name = request.resource.rpartition("/")[2]
    if name == "gpu":
        return f"{request.count} GPU{'s' if request.count != 1 else ''}"
    return f"{request.count} x {name}"


def next_step(item: Recommendation) -> str:
    """Return the command to run next: apply, or explain if only the owners can make the change, in their manifest."""
    return "apply" if enactable(item.change, item.workload) else "explain"


def applicable(report: WeeklyReport) -> list[Recommendation]:
    """List the open recommendations that `gpuwise apply` can carry out, according to the inventory."""
    blocked_ids = {item.recommendation_id for item in report.blockers}
    return [
        item for item in report.recommendations if item.id not in blocked_ids and enactable(item.change, item.workload)
    ]


def advice(report: WeeklyReport) -> list[tuple[Recommendation, str]]:
    """List the other open recommendations, each with the reason why gpuwise does not carry it out."""
    why = {item.recommendation_id: item.detail for item in report.blockers}
    can = {item.id for item in applicable(report)}
    return [(item, why.get(item.id, _MANIFEST)) for item in report.recommendations if item.id not in can]


def nothing_to_apply(report: WeeklyReport) -> str:
    """Why no action is listed first."""
    if report.predicted_usd_month is None:
        return "The recommendations of that time are no longer known."
    return "Nothing that gpuwise can apply." if advice(report) else "Nothing to recommend."


def predicted_usd(report: WeeklyReport) -> str:
    """The predicted saving: "$1,200 a month", or that it is not known."""
    known = report.predicted_usd_month
    return "not known" if known is None else f"{usd(known)} a month"


def predicted(report: WeeklyReport) -> str:
    """What the predicted saving is."""
    count, cash = len(report.recommendations), report.cash_usd_month
    if report.predicted_usd_month is None:
        which = "of some clusters" if count else "of that time"
        return f"predicted: the recommendations {which} are no longer known"
    if not count:
        return "predicted: no recommendation is open"
    whole = f"all {count} open recommendations are" if count > 1 else "the one open recommendation is"
    of_cash = "" if cash is None else f"; {usd(cash)} of it is cash: nodes that are removed"
    return f"predicted, if {whole} applied{of_cash}"


_MANIFEST = "gpuwise does not write this change; its owners make it"


def data(item: Recommendation) -> str:
    """Describe the data behind a recommendation: "14 d, 98 % of the samples"."""
    if item.observed_s is None and item.workload.kind == "Node":
        return "its pods' requests"
    length = "" if item.observed_s is None else f"{duration(item.observed_s)}, "
    return f"{length}{percent(item.coverage)} of the samples"


def sentence(text: str) -> str:
    """Begin a text with a capital letter; acronyms in it and the name gpuwise keep their case."""
    return text if text.startswith("gpuwise") else f"{text[:1].upper()}{text[1:]}"


def evidence(value: Evidence) -> str:
    """Format one piece of evidence with its number and its threshold."""
    if value.value is None and value.threshold is None:
        return value.text
    limit = "" if value.threshold is None else f", limit {_quantity(value.threshold, value.unit)}"
    return f"{value.text} ({value.statistic} {_quantity(value.value, value.unit)}{limit})"


def _quantity(value: float | None, unit: str) -> str:
    if value is None or _missing(value):
        return UNKNOWN
    if unit == "ratio":
        return percent(value)
    if unit == "bytes":
        return f"{value / 2**30:.1f}{_NBSP}GiB"
    if unit in {"s", "seconds"}:
        return duration(value)
    return f"{value:,.4g}{_NBSP}{unit}".rstrip()


def duration(seconds: float) -> str:
    """Format a length of time in its largest fitting unit."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g}{_NBSP}{name}"
    return f"{seconds:.0f}{_NBSP}s"


def span(report: WeeklyReport) -> str:
    """Return the first and the last day of a report; in another time zone than UTC with its name."""
    zone = ZoneInfo(report.time_zone)
    first, last = (day(seconds, zone) for seconds in (report.start_s, report.end_s - 1))
    return f"{first} to {last}{'' if report.time_zone == 'UTC' else f' ({report.time_zone})'}"


def period(report: WeeklyReport) -> str:
    """Return the week's name, or the days of another window."""
    return report.week or span(report)


def unmeasured(report: WeeklyReport) -> bool:
    """Whether the fleet has GPUs and none of their time was measured."""
    return report.bill.capacity_gpu_s > 0 and report.bill.unknown_gpu_s >= report.bill.capacity_gpu_s


def headline(report: WeeklyReport) -> str:
    """Return the subject line, which contains the main number."""
    bill, whole, when_ = report.bill, "the bill", period(report)
    if report.selection is not None:
        whole = f"the GPUs allocated to {report.selection}"
    if unmeasured(report):
        return f"No GPU was measured in {when_}: {gpu_hours(bill.unknown_gpu_s / 3600)} are unknown"
    price = f"; {gpu_hours(bill.unpriced_gpu_s / 3600)} have no price" if bill.unpriced_gpu_s > 0 else ""
    if bill.idle_gpu_s <= 0:
        return f"No allocated GPU time was idle in {when_}{price}{_of_bill_unknown(report)}"
    of_time, hours = percent(share(bill.idle_gpu_s, bill.capacity_gpu_s)), gpu_hours(bill.idle_gpu_s / 3600)
    of_bill = share(bill.idle_usd, bill.capacity_usd)
    if bill.unpriced_gpu_s > 0 or of_bill is None:
        amount = f"{usd(bill.idle_usd)} and {gpu_hours(bill.unpriced_idle_gpu_h)} without a price"
        subject = amount if bill.unpriced_idle_gpu_h > 0 and bill.idle_usd > 0 else hours
        return f"{subject} were idle in {when_}: {of_time} of the capacity{price}{_of_bill_unknown(report)}"
    return (
        f"{usd(bill.idle_usd)} of GPU time was idle in {when_}: {percent(of_bill)} of {whole}{_of_bill_unknown(report)}"
    )


def _of_bill_unknown(report: WeeklyReport) -> str:
    """The part of the time that nobody measured, for the headline."""
    unknown = share(report.bill.unknown_gpu_s, report.bill.capacity_gpu_s)
    return f"; {percent(unknown)} of the time is unknown" if unknown else ""


@dataclass(frozen=True, slots=True)
class ClassLine:
    """One class of the bill, or its total.

    Attributes:
        name: the class, as in a chart.
        text: its words.
        usd: its dollars, None if no price is known.
        share: its share of the bill, of the time where a part of the bill has no price; None for the total.
        hours: its GPU-hours.
    """

    name: str
    text: str
    usd: float | None
    share: float | None
    hours: float


_CLASSES = (
    ("used", "used"),
    ("idle", "allocated but idle"),
    ("outside", "used outside Kubernetes"),
    ("unallocated", "unallocated"),
    ("unknown", "unknown: nobody measured it"),
    ("stranded", "stranded beside MIG instances"),
)


CLASS_NAMES = tuple(name for name, _ in _CLASSES)


def classes(report: WeeklyReport) -> list[ClassLine]:
    """List the classes of the bill; unknown and stranded time only if there is any."""
    bill = report.bill
    lines = []
    for name, text in _CLASSES:
        seconds, dollars = getattr(bill, f"{name}_gpu_s"), getattr(bill, f"{name}_usd")
        always = name in ("used", "idle") or (name in ("outside", "unallocated") and report.selection is None)
        if not always and not seconds:
            continue
        part = share(seconds, bill.capacity_gpu_s) if by_time(report) else share(dollars, bill.capacity_usd)
        known = None if not dollars and seconds and bill.unpriced_gpu_s > 0 else dollars
        lines.append(ClassLine(name, text, known, part, seconds / 3600))
    return lines


def by_time(report: WeeklyReport) -> bool:
    """Whether shares are of the time: where a part of the bill has no price, or nothing costs anything."""
    return report.bill.unpriced_gpu_s > 0 or report.bill.capacity_usd <= 0


def total(report: WeeklyReport) -> ClassLine:
    """Return the sum of the classes; its dollars are of the time that has a price."""
    bill = report.bill
    nothing = bill.unpriced_gpu_s >= bill.capacity_gpu_s and not bill.capacity_usd
    dollars = None if nothing and bill.capacity_gpu_s else bill.capacity_usd
    text = "allocated to them" if report.selection is not None else "total bill"
    return ClassLine("total", text, dollars, None, bill.capacity_gpu_s / 3600)


def status(value: OutcomeStatus | None) -> str:
    """Describe the outcome of an action in a word or two."""
    return "in progress" if value is None else value.value.replace("-", " ")


def undoable(outcome: Outcome | None) -> bool:
    """Return whether an action may have left something that `gpuwise undo` restores.

    A change that is being watched is in place. One whose response was lost may be; one whose check failed was not
    restored, or its node stays cordoned.
    """
    if outcome is None or outcome.status in (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING, OutcomeStatus.UNKNOWN):
        return True
    return outcome.status is OutcomeStatus.FAILED and outcome.reason in (Reason.CHECK_FAILED, Reason.NO_EVIDENCE)
