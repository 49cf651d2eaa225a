"""Reports as tables, JSON, YAML, CSV or HTML."""

import csv
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence

import yaml
from rich.text import Text

from gpuwise.cli.console import out
from gpuwise.cli.csv_cells import safe
from gpuwise.cli.listing import Column, Row, listing, wrapped
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.profile import Limit
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import WeeklyReport, WorkloadCost
from gpuwise.report import blocked_groups, render_html
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason

FORMATS = ("table", "json", "yaml", "csv", "html")
_TOP, _FEW = 15, 5


def document(report: WeeklyReport, form: str) -> None:
    """Write a report to stdout in one of FORMATS."""
    views: dict[str, Callable[[WeeklyReport], None]] = {
        "table": table,
        "json": lambda r: print_raw(to_json(r, indent=2)),
        "yaml": lambda r: print_raw(yaml.safe_dump(to_plain(r), sort_keys=False, allow_unicode=True)),
        "csv": _csv,
        "html": lambda r: print_raw(render_html(r)),
    }
    views[form](report)


def print_raw(text: str) -> None:
    """Write text to stdout unchanged."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def table(report: WeeklyReport) -> None:
    """Write a report as tables for a terminal."""
    put(_headline(report))
    first, advice = written.applicable(report), written.advice(report)
    if first:
        put(recommendations("Do these first", first))
    if advice:
        put(_advice(advice))
    idle = [cost for cost in report.workloads if cost.idle_gpu_h > 0]
    if idle:
        put(_workloads(idle))
    put(blocked(report.blocked))


def put(text: Text) -> None:
    """Write a part of a table and an empty line; its lines are wrapped already."""
    out.print(text, soft_wrap=True)
    out.print()


def _headline(report: WeeklyReport) -> Text:
    if report.selection is not None:
        return _of_selection(report)
    bill = report.bill
    text = Text()
    text.append(f"{report.cluster}, {written.when(report.start_s)} to {written.when(report.end_s)}\n", style="dim")
    lines = {one.name: one for one in written.classes(report)}
    if written.unmeasured(report):
        text.append("No GPU was measured.\n", style="bold")
    else:
        text.append(f"{_wasted(report)}:\n", style="bold")
        text.append(f"{_amount(lines['idle'])} on allocated but idle GPUs, ")
        text.append(f"{_amount(lines['unallocated'])} on unallocated GPUs.\n")
    if "unknown" in lines:
        text.append(f"{_amount(lines['unknown'])} is unknown: nobody measured it.\n", style="yellow")
    if "stranded" in lines:
        text.append(f"{_amount(lines['stranded'])} is stranded beside MIG instances.\n")
    if bill.outside_gpu_s > 0:
        text.append(f"{_amount(lines['outside'])} was used outside Kubernetes.\n")
    if bill.unpriced_gpu_s > 0:
        hours, part = written.gpu_hours(bill.unpriced_gpu_s / 3600), bill.unpriced_gpu_s / bill.capacity_gpu_s
        text.append(f"{hours} ({part:.0%} of the capacity) have no price and are not part of the dollars.\n", "yellow")
    return text.append(_worth(report))


def _wasted(report: WeeklyReport) -> str:
    """The unused part: of the bill, or of the time where a part of the bill has no price."""
    bill = report.bill
    if written.by_time(report):
        wasted, whole = (bill.idle_gpu_s + bill.unallocated_gpu_s) / 3600, bill.capacity_gpu_s / 3600
        amounts = written.gpu_hours(wasted), written.gpu_hours(whole)
    else:
        wasted, whole = bill.idle_usd + bill.unallocated_usd, bill.capacity_usd
        amounts = written.usd(wasted), written.usd(whole)
    return f"{amounts[0]} of {amounts[1]} went to unused GPUs ({wasted / whole if whole else 0.0:.0%})"


def _amount(line: written.ClassLine) -> str:
    """Dollars, with the time where it says more than the dollars."""
    hours = written.gpu_hours(line.hours)
    if line.usd is None:
        return f"{hours} without a price"
    return f"{written.usd(line.usd)} ({hours})" if line.name not in ("idle", "unallocated") else written.usd(line.usd)


def _of_selection(report: WeeklyReport) -> Text:
    """The headline of a selection: allocated GPUs only, because unallocated GPUs belong to nodes."""
    bill, count = report.bill, report.quality.workloads
    text = Text(f"{report.selection}: {count} GPU workload{'s' if count != 1 else ''},\n", style="dim")
    text.append(f"{written.when(report.start_s)} to {written.when(report.end_s)}\n")
    if not count and not bill.capacity_gpu_s:
        return text.append("No GPU workload is selected.")
    if written.unmeasured(report):
        text.append(f"Nothing was measured: {written.gpu_hours(bill.unknown_gpu_s / 3600)} are unknown.\n", "bold")
        return text.append(_worth(report))
    share = written.percent(written.share(bill.idle_gpu_s, bill.capacity_gpu_s))
    timed = written.by_time(report)
    allocated = "allocated GPU time" if timed else f"{written.usd(bill.capacity_usd)} of allocated GPUs"
    idle = written.gpu_hours(bill.idle_gpu_s / 3600) if timed else written.usd(bill.idle_usd)
    text.append(f"{idle} of {allocated} was idle ({share})\n", style="bold")
    text.append("Unallocated GPUs belong to nodes, not to workloads: they are not included.\n")
    return text.append(_worth(report))


def _worth(report: WeeklyReport) -> str:
    count, can = len(report.recommendations), written.applicable(report)
    if not count:
        return "Nothing is recommended."
    worth = written.usd(report.predicted_usd_month)
    total = f"{count} recommendation{'s are' if count != 1 else ' is'} worth {worth} a month"
    done = written.usd(sum(item.saving.usd_month for item in can))
    cash = (
        f" Of the total, {written.usd(report.cash_usd_month)} is cash (nodes that go)." if report.cash_usd_month else ""
    )
    return f"{total};\n`gpuwise apply` can carry out {len(can)} of them, worth {done} a month.{cash}"


def recommendations(title: str, items: Sequence[Recommendation]) -> Text:
    """List the recommendations with the largest savings."""
    columns = (Column("ID"), Column("USD/month", right=True), Column("Risk"), Column("What to do"))
    rows = [
        Row(
            str(item.workload),
            (item.id, written.usd(item.saving.usd_month), written.risk(item.risk), _what(item)),
        )
        for item in items[:_TOP]
    ]
    return listing(_title(title, len(items), _TOP), columns, rows, width=out.width)


def _what(item: Recommendation) -> str:
    return f"{written.finding(item.finding)}: {written.change(item.change)}; owner: {item.owner or 'none'}"


def _advice(items: Sequence[tuple[Recommendation, str]]) -> Text:
    columns = (Column("ID"), Column("USD/month", right=True), Column("What to do, and why gpuwise does not do it"))
    rows = [
        Row(
            str(item.workload),
            (item.id, written.usd(item.saving.usd_month), f"{_what(item)}. {written.sentence(why)}"),
        )
        for item, why in items[:_FEW]
    ]
    return listing(_title("Advice: you carry these out", len(items), _FEW), columns, rows, width=out.width)


def _workloads(idle: Sequence[WorkloadCost]) -> Text:
    columns = (
        *(Column("Cost of idle", right=True), Column("Idle", right=True), Column("Allocated", right=True)),
        *(Column("Activity", right=True), Column("GPU type, owner, bottleneck")),
    )
    rows = [
        Row(
            cost.workload,
            (
                written.usd(cost.idle_usd),
                written.gpu_hours(cost.idle_gpu_h),
                written.gpu_hours(cost.allocated_gpu_h),
                written.percent(cost.activity_ratio),
                ", ".join(_about(cost)),
            ),
        )
        for cost in idle[:_TOP]
    ]
    return listing(_title("Allocated but idle", len(idle), _TOP), columns, rows, width=out.width)


def _about(cost: WorkloadCost) -> Iterator[str]:
    yield cost.gpu_type or "GPU type mixed or unknown"
    yield cost.team or "no owner"
    if cost.limit not in (Limit.UNKNOWN, Limit.IDLE):
        yield cost.limit.value


def _title(name: str, count: int, most: int) -> str:
    return f"{name} ({count})" if count <= most else f"{name} (the {most} most expensive of {count})"


def blocked(items: Sequence[Blocked]) -> Text:
    """List what blocked changes: each reason in plain words, with its count."""
    groups, title = blocked_groups.blocked(items), "Blocked, by reason"
    text = Text(title if groups else f"{title}: nothing", style="dim")
    size = max((len(str(group.count)) for group in groups), default=0)
    for group in groups:
        lines = wrapped(f"{reason(group.code)} ({group.reason})", out.width, indent=size + 4)
        text.append(f"\n  {group.count:>{size}}  " + "\n".join(lines).lstrip())
    fine = ", ".join(f"{reason(group.code)} {group.count}" for group in blocked_groups.nothing_to_do(items))
    if fine:
        text.append("\n" + "\n".join(wrapped(f"No change needed: {fine}.", out.width, indent=2)))
    return text


def _csv(report: WeeklyReport) -> None:
    names = [field.name for field in dataclasses.fields(WorkloadCost)]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe(cell) for name, cell in to_plain(cost).items()} for cost in report.workloads)
