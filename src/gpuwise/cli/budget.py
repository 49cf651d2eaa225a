"""`gpuwise budget`: the cost of the month beside its budgets, with a forecast."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.config import Config
from gpuwise.model.codec import to_json
from gpuwise.model.errors import InputError
from gpuwise.model.report import BudgetStatus
from gpuwise.report import wording as written
from gpuwise.report.spending_wording import budget_state, budget_subject
from gpuwise.spending import SCAN
from gpuwise.weekly import budgets
from gpuwise.wiring import cost_history, open_ledger


@command()
@ledger_only
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def budget(context: click.Context, config: Config, now_s: int | None, form: str) -> None:
    """Compare the budgets in finops.budgets with the month's cost and its forecast."""
    if not config.finops.budgets:
        raise InputError("there is no budget", hint="add finops.budgets to the configuration: docs/cost.md")
    at_s = now_s or int(time.time())
    with cost_history(config) as history, open_ledger(config) as ledger:
        if not history.days(0, at_s):
            raise InputError("the cost history has no day", hint=SCAN)
        found = budgets(ledger, config.finops.budgets, at_s)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        _table(found)
    if any(one.state in ("over", "breach") for one in found):
        context.exit(2)


def _table(found: tuple[BudgetStatus, ...]) -> None:
    columns = (
        Column("Budget", right=True),
        Column("Spent", right=True),
        Column("Forecast", right=True),
        Column("State"),
    )
    rows = [
        Row(
            f"{one.name}: {budget_subject(one)}, {one.month}",
            (written.usd(one.usd), _spent(one), _forecast(one), budget_state(one)),
            tuple(f"gpuwise explain {name}" for name in one.remedies[:3]),
        )
        for one in found
    ]
    show.put(listing(f"Budgets ({len(rows)})", columns, rows, width=out.width))
    unpriced = [one for one in found if one.unpriced_gpu_h > 0]
    for one in unpriced:
        hours = written.gpu_hours(one.unpriced_gpu_h)
        show.put(Text(f"{one.name}: {hours} have no price and are not part of the dollars.", "yellow"))


def _spent(one: BudgetStatus) -> str:
    return "none recorded" if one.actual_usd is None else written.usd(one.actual_usd)


def _forecast(one: BudgetStatus) -> str:
    return "none" if one.forecast_usd is None else written.usd(one.forecast_usd)
