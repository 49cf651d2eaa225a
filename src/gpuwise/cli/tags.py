"""`gpuwise tags`: how much of the cost has the required tags, and who created what lacks them."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.cli.windows import HELP, Days, days_of, known_days
from gpuwise.config import Config
from gpuwise.finops.tagging import TagCoverage, Tagging, Untagged
from gpuwise.model.codec import to_json
from gpuwise.report import wording as written
from gpuwise.report.spending_wording import date
from gpuwise.spending import tagging
from gpuwise.wiring import cost_history

_SHOWN = 20


@command()
@ledger_only
@click.option("--window", "window", default="month", show_default=True, help=HELP)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def tags(config: Config, window: str, now_s: int | None, form: str) -> None:
    """Show how much of the cost has the required tags, and who created what lacks them."""
    at_s = now_s or int(time.time())
    asked = days_of(window, at_s)
    with cost_history(config) as history:
        missing, several = known_days(history, asked, at_s), len(history.clusters()) > 1
        found = tagging(history, config.finops.required_tags, asked.start_s, asked.end_s, at_s)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        _table(found, asked, missing, several=several)


def _table(found: Tagging, asked: Days, missing: str, *, several: bool) -> None:
    columns = (Column("Tagged", right=True), Column("Not tagged", right=True), Column("Coverage"))
    rows = [
        Row(one.key, (_part(one, one.usd), _part(one, one.total_usd - one.usd), _share(one))) for one in found.coverage
    ]
    show.put(listing(f"Cost with the required tags, {asked.name}", columns, rows, width=out.width))
    if missing:
        show.put(Text(f"{missing}: the sums are of what is known.", "yellow"))
    if not found.untagged:
        return
    each = (Column("USD", right=True), Column("GPU-hours", right=True), Column("Since"), Column("What is missing"))
    shown = found.untagged[:_SHOWN]
    rows = [
        Row(
            f"{one.cluster}/{one.workload}" if several else one.workload,
            (_usd(one.usd), f"{one.gpu_h:,.1f}", date(one.first_day_s), _missing(one)),
        )
        for one in shown
    ]
    show.put(listing(f"Without a required tag ({len(found.untagged)})", each, rows, width=out.width))
    if len(found.untagged) > _SHOWN:
        show.put(Text(f"{len(found.untagged) - _SHOWN} more: -o json has all of them.", "yellow"))


def _part(one: TagCoverage, usd: float) -> str:
    return _usd(usd if one.total_usd else None)


def _usd(amount: float | None) -> str:
    return "no price" if amount is None else written.usd(amount)


def _share(one: TagCoverage) -> str:
    if not one.total_gpu_h:
        return "no GPU time"
    by_time = f"{written.percent(one.gpu_h / one.total_gpu_h)} of the time"
    return f"{written.percent(one.usd / one.total_usd)} of the cost, {by_time}" if one.total_usd else by_time


def _missing(one: Untagged) -> str:
    parts = [f"no {', '.join(one.missing)}"] if one.missing else []
    parts += [f"{key} {value!r} is not allowed" for key, value in one.wrong.items()]
    return "; ".join(
        [*parts, f"created by {' and '.join(one.creators)}" if one.creators else "its creator is not known"]
    )
