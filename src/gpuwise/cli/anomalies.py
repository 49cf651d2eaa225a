"""`gpuwise anomalies`: lasting steps in somebody's daily cost, with their cause."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.config import Config
from gpuwise.finops.anomaly import LEAST_DAYS
from gpuwise.model.codec import to_json
from gpuwise.model.cost import KEYS
from gpuwise.model.errors import InputError
from gpuwise.model.report import CostAnomaly
from gpuwise.model.usage import DAY_S
from gpuwise.report import spending_wording as written
from gpuwise.report.wording import usd
from gpuwise.spending import SCAN
from gpuwise.spending import anomalies as find
from gpuwise.wiring import cost_history


@command()
@ledger_only
@click.option("--by", type=click.Choice(KEYS), default="team", show_default=True, metavar="KEY", help="Whose cost.")
@click.option("--days", type=click.IntRange(1, 90), default=28, show_default=True, help="Steps that began in these.")
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def anomalies(config: Config, by: str, days: int, now_s: int | None, form: str) -> None:
    """Find lasting steps in the daily cost of teams or others, and their cause."""
    at_s = now_s or int(time.time())
    with cost_history(config) as history:
        whole = {day.day_s for day in history.days(0, at_s) if day.closed}
        if not whole:
            raise InputError("the cost history has no complete day", hint=SCAN)
        if max(whole) < at_s - days * DAY_S:
            raise InputError(f"the cost history has no complete day of the last {days}", hint=SCAN)
        if len(whole) < LEAST_DAYS:
            _too_short(len(whole), form)
            return
        found = find(history, by, at_s - days * DAY_S, at_s)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        _table(found, days)


def _too_short(days: int, form: str) -> None:
    """Say that steps are not known yet: for a person this is no error, but an empty list would say that there are none.

    Raises:
        InputError: a program asked.
    """
    known = f"cost history has {days} complete days; steps are found from {LEAST_DAYS} on"
    if form == "json":
        raise InputError(f"the {known}", hint="ask again when it has more days")
    show.put(Text(f"The {known}.", "bold"))


def _table(found: tuple[CostAnomaly, ...], days: int) -> None:
    if not found:
        show.put(Text(f"No lasting step in the last {days} days.", "bold"))
        return
    columns = (Column("Since"), Column("USD/month", right=True), Column("Cause"))
    rows = [Row(one.subject, (written.date(one.since_s), usd(one.usd_month), written.cause(one))) for one in found]
    show.put(listing(f"Lasting steps in cost ({len(rows)})", columns, rows, width=out.width))
