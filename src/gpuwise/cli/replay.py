"""`gpuwise replay`: what gpuwise would have recommended on a recording or a public trace."""

import csv
import re
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out, progress
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import replaying
from gpuwise.cli.paths import FILE
from gpuwise.config import Config
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.errors import InputError
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.replay import Replay, Sighting
from gpuwise.replay import replay as replayed
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason
from gpuwise.sources.bare_pods import KINDS
from gpuwise.sources.past import open_past
from gpuwise.wiring import looking_back

SCHEMA = "gpuwise.dev/replay/v1"

_TOP = 15
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_HOUR_S = 3_600
_COLUMNS = (
    *("first_seen_s", "last_seen_s", "times", "workload", "finding", "hold", "stage"),
    *("saving_usd_month", "detail"),
)


@command()
@replaying
@click.argument("source", type=FILE)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN[:UNIT]",
    help="Column that holds a field of the schema, such as gpu_util_ratio=duty:percent. Repeatable.",
)
@click.option("--gpu-type", help="GPU type, such as A100-80GB, if the file has none.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="Pod",
    show_default=True,
    help="Kind of each pod if no inventory is recorded; a bare Pod is never stopped.",
)
@click.option("--every", default="24h", show_default=True, help="Time between two passes, such as 30m, 6h or 7d.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def replay(
    config: Config, source: Path, columns: tuple[str, ...], gpu_type: str | None, kind: str, every: str, form: str
) -> None:
    """Replay a recording or a trace: what gpuwise would have recommended, and when. SOURCE: see docs/recording.md."""
    every_s = _seconds(every)
    past = open_past(source, mappings=columns, gpu_type=gpu_type, kind=kind, step_s=config.observe.step_s)
    with progress() as shown, looking_back(config, past) as pipeline:
        found = replayed(pipeline, past.everything, past.window, every_s=every_s, progress=shown)
    {"table": _table, "json": lambda f: show.print_raw(to_json(_plain(f), indent=2)), "csv": _csv}[form](found)


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d*)([smhd])", text)
    if match is None:
        raise InputError(f"--every is {text!r}", hint="write a number and s, m, h or d, such as 24h")
    return int(match[1]) * _UNITS_S[match[2]]


def _plain(found: Replay) -> dict[str, Any]:
    whole = found.whole
    return {
        "schema": SCHEMA,
        "start_s": whole.start_s,
        "end_s": whole.end_s,
        "every_s": found.every_s,
        "allocated_gpu_h": _allocated_h(found),
        "idle_gpu_h": _idle_h(found),
        "idle_usd": None if whole.quality.unpriced else whole.bill.idle_usd,
        "price_source": whole.price_source,
        "workloads": [to_plain(cost) for cost in whole.workloads],
        "findings": [_row(sighting) for sighting in found.sightings],
    }


def _allocated_h(found: Replay) -> float:
    return sum(cost.allocated_gpu_h for cost in found.whole.workloads)


def _idle_h(found: Replay) -> float:
    return sum(cost.idle_gpu_h for cost in found.whole.workloads)


def _row(sighting: Sighting) -> dict[str, Any]:
    seen = {"first_seen_s": sighting.first_s, "last_seen_s": sighting.last_s, "times": sighting.times}
    item = sighting.item
    if isinstance(item, Recommendation):
        about = {"finding": item.finding.value, "hold": None, "stage": None}
        saving, detail = item.saving.usd_month, written.change(item.change)
    else:
        about = {"finding": None, "hold": item.reason.value, "stage": item.stage}
        saving, detail = None, item.detail
    return seen | {"workload": str(item.workload)} | about | {"saving_usd_month": saving, "detail": detail}


def _csv(found: Replay) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(sighting) for sighting in found.sightings)


def _table(found: Replay) -> None:
    if found.recommended:
        show.put(_recommended(found))
    show.put(_blocked(found))
    for label, words in _summary(found):
        out.print(Text.assemble((f"{label:<12}", "bold"), words), soft_wrap=True)


def _recommended(found: Replay) -> Text:
    count = len(found.recommended)
    title = f"Would have been recommended ({count if count <= _TOP else f'the {_TOP} most expensive of {count}'})"
    rows = []
    for sighting in found.recommended[:_TOP]:
        item = sighting.item
        assert isinstance(item, Recommendation)
        what = f"{written.finding(item.finding)}: {written.change(item.change)}"
        rows.append(Row(str(item.workload), (_when(found, sighting.first_s), written.usd(item.saving.usd_month), what)))
    columns = (Column("First seen"), Column("USD/month", right=True), Column("What to do"))
    return listing(title, columns, rows, width=out.width)


def _blocked(found: Replay) -> Text:
    """One row per reason: the step that blocked, the number of workloads, and since when."""
    groups: dict[tuple[str, Reason], list[Sighting]] = {}
    for sighting in found.sightings:
        if isinstance(sighting.item, Blocked):
            groups.setdefault((sighting.item.stage, sighting.item.reason), []).append(sighting)
    rows = []
    for (stage, code), sightings in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        first = sightings[0]
        assert isinstance(first.item, Blocked)
        example = f"{first.item.workload}: {first.item.detail}"
        title = f"{stage}: {reason(code)} ({code.value})"
        rows.append(Row(title, (_when(found, first.first_s), str(len(sightings)), example)))
    columns = (Column("First seen"), Column("Workloads", right=True), Column("Example"))
    return listing("Would have been blocked", columns, rows, width=out.width)


def _when(found: Replay, at_s: int) -> str:
    hours = (at_s - found.whole.start_s) / _HOUR_S
    return f"{written.when(at_s)} (+{hours:,.0f} h)"


def _summary(found: Replay) -> list[tuple[str, str]]:
    whole = found.whole
    allocated_h, idle_h = _allocated_h(found), _idle_h(found)
    length = written.duration(whole.end_s - whole.start_s)
    unpriced = f", {whole.quality.unpriced} workloads without a price left out" if whole.quality.unpriced else ""
    idle_share = written.percent(written.share(idle_h, allocated_h))
    return [
        ("Allocated", f"{written.gpu_hours(allocated_h)} by {len(whole.workloads)} workloads in {length}"),
        ("Idle", f"{written.gpu_hours(idle_h)} ({idle_share}), {written.usd(whole.bill.idle_usd)}{unpriced}"),
        ("Recommended", _advice(found)),
        ("First", _first(found)),
    ]


def _advice(found: Replay) -> str:
    if not found.recommended:
        return "nothing; the table lists what blocked it"
    items = [one.item for one in found.recommended if isinstance(one.item, Recommendation)]
    # Two recommendations for one workload exclude each other: the one with the larger saving counts.
    best: dict[str, float] = {}
    for item in items:
        best[str(item.workload)] = max(best.get(str(item.workload), 0.0), item.saving.usd_month)
    return f"{len(items)} changes to {len(best)} workloads, up to {written.usd(sum(best.values()))} a month"


def _first(found: Replay) -> str:
    first = min(found.recommended, key=lambda one: one.first_s, default=None)
    if first is None or not isinstance(first.item, Recommendation):
        return "never"
    return f"{_when(found, first.first_s)}: {first.item.workload}, {written.change(first.item.change)}"
