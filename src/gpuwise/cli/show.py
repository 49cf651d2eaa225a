"""Documents as tables, JSON, YAML, CSV or HTML."""

import csv
import dataclasses
import sys
from collections.abc import Callable, Sequence

import yaml
from rich.table import Table
from rich.text import Text

from gpuwise.cli.console import out
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.recommendation import Hold, Recommendation
from gpuwise.model.report import WeeklyReport, WorkloadCost
from gpuwise.report import render_html
from gpuwise.report import wording as written

FORMATS = ("table", "json", "yaml", "csv", "html")
_TOP = 15


def document(report: WeeklyReport, form: str) -> None:
    """Write a report to stdout in the form asked for."""
    views: dict[str, Callable[[WeeklyReport], None]] = {
        "table": table,
        "json": lambda r: print_raw(to_json(r, indent=2)),
        "yaml": lambda r: print_raw(yaml.safe_dump(to_plain(r), sort_keys=False, allow_unicode=True)),
        "csv": _csv,
        "html": lambda r: print_raw(render_html(r)),
    }
    views[form](report)


def print_raw(text: str) -> None:
    """To stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def table(report: WeeklyReport) -> None:
    """For people on a terminal."""
    out.print(_headline(report))
    if report.recommendations:
        out.print(recommendations(report.recommendations))
    idle = [cost for cost in report.workloads if cost.idle_gpu_h > 0]
    if idle:
        out.print(_workloads(report))
    out.print(_held(report.holds))


def _headline(report: WeeklyReport) -> Text:
    if report.selection is not None:
        return _of_selection(report)
    bill = report.bill
    wasted = bill.idle_usd + bill.unallocated_usd
    share = wasted / bill.capacity_usd if bill.capacity_usd else 0.0
    text = Text()
    text.append(f"{report.cluster}, {written.when(report.start_s)} to {written.when(report.end_s)}\n", style="dim")
    text.append(f"{written.usd(wasted)} of {written.usd(bill.capacity_usd)} bought nothing ({share:.0%})", style="bold")
    text.append(f": {written.usd(bill.idle_usd)} on allocated but idle GPUs, ")
    text.append(f"{written.usd(bill.unallocated_usd)} on GPUs that nobody held.\n")
    if bill.outside_gpu_s > 0:
        outside = written.gpu_hours(bill.outside_gpu_s / 3600)
        text.append(f"{written.usd(bill.outside_usd)} ({outside}) went to work outside Kubernetes.\n")
    return text.append(_worth(report))


def _of_selection(report: WeeklyReport) -> Text:
    """Of some workloads: what they held themselves, for what nobody held belongs to nodes."""
    bill, count = report.bill, report.quality.workloads
    text = Text(f"{report.selection}: {count} GPU workload{'s' if count != 1 else ''}, ", style="dim")
    text.append(f"{written.when(report.start_s)} to {written.when(report.end_s)}\n")
    if not count:
        return text.append("No GPU workload is selected.")
    share = written.percent(written.share(bill.idle_gpu_s, bill.capacity_gpu_s))
    held = f"{written.usd(bill.capacity_usd)} that they held" if bill.capacity_usd else "what they held"
    idle = written.usd(bill.idle_usd) if bill.capacity_usd else written.gpu_hours(bill.idle_gpu_s / 3600)
    text.append(f"{idle} of {held} stood idle ({share})\n", style="bold")
    text.append("GPUs that nobody held belong to nodes, not to workloads: they are left out.\n")
    return text.append(_worth(report))


def _worth(report: WeeklyReport) -> str:
    count = len(report.recommendations)
    return (
        f"{count} recommendation{'s are' if count != 1 else ' is'} worth "
        f"{written.usd(report.predicted_usd_month)} a month."
    )


def recommendations(items: Sequence[Recommendation]) -> Table:
    """The dearest ones."""
    shown = Table(title=_title("Recommendations", len(items)), title_justify="left")
    shown.add_column("ID", no_wrap=True)
    for name in ("Workload", "Owner", "Finding", "Do"):
        shown.add_column(name, overflow="fold")
    for name in ("USD/month", "Risk"):
        shown.add_column(name, justify="right")
    for item in items[:_TOP]:
        owner = item.owner or "nobody"
        cells = (item.id, str(item.workload), owner, item.finding.value, written.change(item.change))
        shown.add_row(*map(Text, cells), Text(written.usd(item.saving.usd_month)), Text(f"{item.risk}/4"))
    return shown


def _workloads(report: WeeklyReport) -> Table:
    idle = [cost for cost in report.workloads if cost.idle_gpu_h > 0]
    shown = Table(title=_title("Allocated but idle", len(idle)), title_justify="left")
    for name in ("Workload", "Team", "GPU", "At work"):
        shown.add_column(name, overflow="fold")
    for name in ("Held", "Idle", "Activity", "Cost of idle"):
        shown.add_column(name, justify="right")
    for cost in idle[:_TOP]:
        cells = (cost.workload, cost.team or "nobody", cost.gpu_type or "mixed or unknown", cost.limit.value)
        used = written.gpu_hours(cost.allocated_gpu_h), written.gpu_hours(cost.idle_gpu_h)
        numbers = (*used, written.percent(cost.activity_ratio), written.usd(cost.idle_usd))
        shown.add_row(*map(Text, cells), *map(Text, numbers))
    return shown


def _title(name: str, count: int) -> str:
    return f"{name} ({count})" if count <= _TOP else f"{name} (the {_TOP} dearest of {count})"


def _held(holds: Sequence[Hold]) -> Text:
    counts: dict[str, int] = {}
    for hold in holds:
        counts[hold.reason.value] = counts.get(hold.reason.value, 0) + 1
    ordered = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    words = ", ".join(f"{reason} {count}" for reason, count in ordered)
    return Text(f"Held back: {words or 'nothing'}.", style="dim")


def _csv(report: WeeklyReport) -> None:
    names = [field.name for field in dataclasses.fields(WorkloadCost)]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_plain(cost) for cost in report.workloads)
