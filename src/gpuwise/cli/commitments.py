"""`gpuwise commitments`: utilisation, coverage and break-even of commitments, by the cost history."""

import csv
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, out, say
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import history, now
from gpuwise.config import Config
from gpuwise.finops.commitments import Commitment, Offer, Pool, whole_days
from gpuwise.finops.commitments import commitments as compared
from gpuwise.model.inventory import CapacityType
from gpuwise.model.price import PriceBook
from gpuwise.model.usage import DAY_S
from gpuwise.report import wording as written
from gpuwise.sources.catalogue import read_catalogue
from gpuwise.wiring import must_exist, open_ledger, prices

_NAMES = [field.name for field in dataclasses.fields(Commitment)]
_TERMS = {1: "one-year", 3: "three-year"}


@command()
@history
@click.option(
    "--days", "asked", type=click.IntRange(1, 3_660), default=90, show_default=True, help="Days to look back."
)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def commitments(config: Config, asked: int, now_s: int | None, form: str) -> None:
    """Show from which day a one- or three-year commitment would have paid, by the cost history."""
    end_s = (now_s or int(time.time())) // DAY_S * DAY_S
    start_s = end_s - asked * DAY_S
    must_exist(config)
    with open_ledger(config) as ledger:
        known = ledger.costs()
        days = whole_days((day.day_s, day.from_s, day.until_s) for day in known.days(start_s, end_s))
        costs = list(known.rows(start_s, end_s))
    pools = {(row.price.gpu_type, row.price.region) for row in costs if row.price.gpu_type is not None}
    offers = dict(_offers(prices(config), sorted(pools, key=str), own=config.prices is not None))
    found = compared(costs, offers, days)
    {"table": _table, "json": _json, "csv": _csv}[form](found)
    if without := sorted(
        f"{gpu_type} in {region or 'an unknown region'}" for gpu_type, region in pools - offers.keys()
    ):
        say(f"no price of a commitment is known for {', '.join(without)}; see docs/prices.md", to=err)
    if len(set(days)) < asked:
        say(f"the history has {len(set(days))} of these {asked} days in full", to=err)


def _offers(book: PriceBook, pools: Sequence[Pool], *, own: bool) -> Iterator[tuple[Pool, list[Offer]]]:
    """Yield the commitments of each pool: reserved prices for one year, and those of the catalogue for three years.

    A reserved price of all places counts only where on-demand has the price of all places, too: the on-demand price of
    one region and the commitment of another are no comparison.
    """
    three = {} if own else {(one.gpu_type, one.region): one.commit_3y for one in read_catalogue()}
    for gpu_type, region in pools:
        on_demand = book.price(gpu_type, CapacityType.ON_DEMAND, region=region)
        one = book.price(gpu_type, CapacityType.RESERVED, region=region)
        place = book.place(gpu_type, CapacityType.RESERVED, region=region)
        everywhere = place is not None and not any(place[2:])
        if everywhere and on_demand != book.usd_per_gpu_h.get((gpu_type, CapacityType.ON_DEMAND)):
            one = None
        terms = ((1, one), (3, three.get((gpu_type, region or ""))))
        if on_demand and (offers := [Offer(years, on_demand, usd) for years, usd in terms if usd is not None]):
            yield (gpu_type, region), offers


def _table(found: Sequence[Commitment]) -> None:
    title = "Commitments"
    columns = (Column("USD/year", right=True), Column("What the history says"))
    rows = [
        Row(
            f"{one.gpu_type} in {one.region or 'an unknown region'}, {_TERMS[one.years]}",
            ("-" if one.usd_year is None else written.usd(one.usd_year), _sentence(one)),
        )
        for one in found
    ]
    show.put(listing(title, columns, rows, width=out.width) if rows else Text(f"{title}: none to compare", "bold"))


def _sentence(one: Commitment) -> str:
    prices_ = f"{one.committed:.4g} USD instead of {one.on_demand:.4g} USD per GPU-hour"
    if not one.gpus or one.utilisation is None or one.coverage is None:
        text = f"No GPU ran long enough on demand in {one.days} days for {prices_}."
    else:
        text = (
            f"{one.gpus} GPU{'s' if one.gpus != 1 else ''} ran {one.hours_a_day:.1f} h a day for {one.days} days: "
            f"a {_TERMS[one.years]} commitment pays from day {one.break_even_day}, at {prices_}. "
            f"Utilisation {one.utilisation:.0%}, coverage {one.coverage:.0%} of use on demand."
        )
    if one.reserved_utilisation is not None:
        text += f" Of nodes that are reserved already {one.reserved_utilisation:.0%} was allocated."
    return text


def _json(found: Sequence[Commitment]) -> None:
    show.print_raw(json.dumps([dataclasses.asdict(one) for one in found], indent=2))


def _csv(found: Sequence[Commitment]) -> None:
    writer = csv.DictWriter(sys.stdout, _NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(one) for one in found)
