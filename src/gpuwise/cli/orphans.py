"""`gpuwise orphans`: what has GPUs and has not used them for days, with its owner and cost."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.config import Config
from gpuwise.finops.orphans import Orphan
from gpuwise.model.codec import to_json
from gpuwise.report import wording as written
from gpuwise.report.spending_wording import date
from gpuwise.spending import ORPHAN_LEVELS
from gpuwise.spending import orphans as find
from gpuwise.wiring import cost_history


@command()
@ledger_only
@click.option(
    "--by",
    type=click.Choice(list(ORPHAN_LEVELS)),
    default="namespace",
    show_default=True,
    help="What may be forgotten.",
)
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True, help="Least days without use.")
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def orphans(config: Config, by: str, days: int, now_s: int | None, form: str) -> None:
    """Find clusters, namespaces or workloads that have GPUs and have not used them for days."""
    at_s = now_s or int(time.time())
    with cost_history(config) as history:
        several = len(history.clusters()) > 1 or by == "cluster"
        found = find(history, by, days, config.finops.known_owners, at_s)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        _table(found, by, days, several=several)


def _table(found: tuple[Orphan, ...], by: str, days: int, *, several: bool) -> None:
    if not found:
        show.put(Text(f"No {by} is known to have left its GPUs unused for {days} days.", "bold"))
        return
    columns = (Column("GPUs", right=True), Column("USD/month", right=True), Column("Last use"), Column("Owner"))
    rows = [
        Row(_name(one, several=several), (f"{one.gpus:,.1f}", _usd(one.usd_month), _last(one), _owner(one)))
        for one in found
    ]
    show.put(listing(f"Not used for {days} days or more ({len(rows)})", columns, rows, width=out.width))


def _name(one: Orphan, *, several: bool) -> str:
    """Its name, with its cluster if there are several."""
    named = one.name if several else one.name[1:]
    return "/".join(filter(None, named)) or "a cluster without a known uid"


def _usd(amount: float | None) -> str:
    return "no price" if amount is None else written.usd(amount)


def _last(one: Orphan) -> str:
    if one.last_use_s is None:
        return f"not since {date(one.first_day_s)}"
    return f"{'' if one.measured else 'not measured on '}{date(one.last_use_s)}"


def _owner(one: Orphan) -> str:
    gone = f"; not known any more: {', '.join(one.gone)}" if one.gone else ""
    steps = f"; its work last advanced on {date(one.progress_s)}" if one.progress_s is not None else ""
    return f"{one.owner or 'no owner is named'}; idle for {one.idle_d} days{steps}{gone}"
