"""`gpuwise apis`: what external model APIs cost, by the metrics of an AI gateway."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import connection, now
from gpuwise.cli.windows import HELP, days_of
from gpuwise.config import Config
from gpuwise.finops.apis import BY, ApiLine, api_costs
from gpuwise.model.codec import to_json
from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S
from gpuwise.report import wording as written
from gpuwise.report.spending_wording import date
from gpuwise.wiring import gateway_use


@command()
@connection
@click.option("--by", type=click.Choice(BY), default="team", show_default=True, help="Whose use, or of what.")
@click.option("--window", "window", default="month", show_default=True, help=HELP)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def apis(config: Config, by: str, window: str, now_s: int | None, form: str) -> None:
    """Show what external model APIs cost, by the metrics of LiteLLM or Envoy AI Gateway."""
    at_s = now_s or int(time.time())
    asked = days_of(window, at_s)
    if asked.start_s >= at_s:
        raise InputError(f"{asked.name} is in the future", hint=f"write {HELP}")
    gateway, end_s = gateway_use(config), min(asked.end_s, at_s)
    uses = gateway.read(asked.start_s, end_s)
    found = api_costs(uses, (by,), config.finops.api_prices)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
        return
    if found:
        columns = (Column("USD", right=True), Column("Tokens", right=True), Column("Note"))
        rows = [Row(one.keys[0] or f"no {by}", (_usd(one), f"{one.tokens:,.0f}", _note(one))) for one in found]
        show.put(listing(f"External model APIs by {by}, {asked.name}", columns, rows, width=out.width))
    else:
        show.put(Text(f"No gateway has counted any use of external models in {asked.name}.", "bold"))
    show.put(Text(_known(gateway.days(asked.start_s, end_s), -(-(end_s - asked.start_s) // DAY_S))))


def _known(days: tuple[int, ...], asked: int) -> str:
    """Which days the server has data for: use on a day without any is unknown."""
    if not days:
        return f"Prometheus has no metrics of a gateway on any of the {asked} days, so use on these days is unknown."
    part = "each day" if len(days) == asked else f"{len(days)} of {asked} days"
    return f"Prometheus has metrics of a gateway on {part}, from {date(days[0])} to {date(days[-1])}."


def _usd(one: ApiLine) -> str:
    return "no price" if one.usd is None else written.usd(one.usd)


def _note(one: ApiLine) -> str:
    if not one.unpriced_tokens:
        return ""
    return f"{one.unpriced_tokens:,.0f} tokens have no price in finops.api_prices and are not part of the dollars"
