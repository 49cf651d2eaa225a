"""`gpuwise kpis`: the KPIs of FinOps for AI, from the cost history."""

import json
import time
from dataclasses import asdict

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.cli.windows import HELP, Days, days_of, known_days
from gpuwise.config import Config
from gpuwise.model.report import Kpi
from gpuwise.report.kpis import kpi_value, kpis_html, kpis_markdown
from gpuwise.spending import kpis as computed
from gpuwise.wiring import cost_history, open_ledger

_FORMS = ["table", "json", "markdown", "html"]


@command()
@ledger_only
@click.option("--window", default="month", show_default=True, help=HELP)
@now
@click.option("-o", "--output", "form", type=click.Choice(_FORMS), default="table", show_default=True)
def kpis(config: Config, window: str, now_s: int | None, form: str) -> None:
    """Show the KPIs of FinOps for AI: utilisation, idle and unallocated share, coverage, realised savings."""
    at_s = now_s or int(time.time())
    asked = days_of(window, at_s)
    end_s = min(asked.end_s, at_s)
    with cost_history(config) as history, open_ledger(config) as ledger:
        missing = known_days(history, asked, at_s)
        attempts = ledger.attempts(since_s=asked.start_s)
        found = computed(history, attempts, asked.start_s, asked.end_s, end_s, config.finops.tool_usd_month)
    if form == "json":
        body = {"window": asked.name, "kpis": [asdict(one) for one in found], "missing": missing or None}
        show.print_raw(json.dumps(body, indent=2))
    elif form == "table":
        _table(found, asked, missing)
    else:
        write = kpis_markdown if form == "markdown" else kpis_html
        show.print_raw(write(found, f"KPIs, {asked.name}", missing).rstrip("\n"))


def _table(found: tuple[Kpi, ...], asked: Days, missing: str) -> None:
    columns = (Column("Value", right=True), Column("Meaning"))
    rows = [Row(one.name, (kpi_value(one), one.why_none or f"{one.basis}: {one.detail}")) for one in found]
    show.put(listing(f"KPIs, {asked.name}", columns, rows, width=out.width))
    if missing:
        show.put(Text(f"{missing}: the shares are of what is known.", "yellow"))
