"""Prices from a file with gpu_type, capacity_type and usd_per_gpu_h: CSV, or YAML with a list of such entries.

With the optional columns region and zone, a row that names one is for that region or zone only. A row that names none
is for all others. A price in another currency has the columns price_per_gpu_h and currency, and needs a rate.

Without a file, a price in a region is that of the shipped catalogue (`sources.catalogue`), where it has one. Elsewhere
the shipped prices.csv counts: AWS's list prices (us-east-1, largest instance of each GPU, per GPU). The spot prices
are estimates from AWS's published average savings. The reserved prices are estimates: GCP's 1-year discount on the same
GPU, applied to the on-demand price. Each row has its source. A user's file replaces catalogue and prices.csv.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES, named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.price import Place, PriceBook
from gpuwise.model.pricing import PricingSettings
from gpuwise.sources.catalogue import read_catalogue
from gpuwise.sources.dates import date_s
from gpuwise.sources.grid import read_grid
from gpuwise.sources.rates import read_rates
from gpuwise.sources.tables import Row, rows, shipped, text_of

_COLUMNS = ("gpu_type", "capacity_type")
_DOLLARS, _PRICE = "usd_per_gpu_h", "price_per_gpu_h"
_PLACE = ("region", "zone")
_ALL = "all"
_MOST_USD = 100_000.0
"""Above it a price is a typing error: the most expensive node costs some hundred dollars an hour."""


class _Known(NamedTuple):
    """Dollars per GPU-hour, and the date of the price; None if it is not known."""

    usd_per_gpu_h: float
    as_of_s: int | None


def read_prices(
    path: Path | None,
    grid: Path | None = None,
    pricing: PricingSettings | None = None,
    rates: Path | None = None,
    now_s: int | None = None,
) -> PriceBook:
    """Read a price file, and the carbon intensities of the grids.

    Args:
        path: a CSV or YAML file; None means the list prices shipped with gpuwise.
        grid: a CSV file of grid intensities; None means the file shipped with gpuwise.
        pricing: discounts and hardware of one's own; None means none of these.
        rates: a CSV file of exchange rates; None means none, so that every price is in dollars.
        now_s: exchange rates of later dates do not count, epoch seconds; None counts all.

    Returns:
        Dollars per whole GPU and hour by GPU type, capacity type and place; kilograms of CO2 equivalent per kWh by
        region.

    Raises:
        InputError: a file is not valid; the error names file, line, field, text and hint.
    """
    given = pricing or PricingSettings()
    dollars = read_rates(rates, now_s)
    if path is not None:
        found = _parse(str(path), _entries(path), dollars)
        source = f"price file {path.name}"
    else:
        text = shipped("prices.csv")
        dates = {row.text("as_of") for row in rows("prices", text, ()) if _capacity(row) is CapacityType.ON_DEMAND}
        found = dict(_listed())
        found |= _parse("the shipped prices.csv", rows("the shipped prices.csv", text, (*_COLUMNS, _DOLLARS)), dollars)
        source = (
            f"list prices shipped with gpuwise (AWS us-east-1, as of {max(dates)}; spot and reserved are estimates)"
        )
    found = {place: _Known(known[0] * (1.0 - share), known[1]) for place, known, share in _discounted(found, given)}
    found |= _own(given)
    places = {key: known.usd_per_gpu_h for key, known in found.items() if any(key[2:])}
    everywhere = {key[:2]: known.usd_per_gpu_h for key, known in found.items() if key not in places}
    as_of_s = {key: known.as_of_s for key, known in found.items() if known.as_of_s is not None}
    return PriceBook(everywhere, source, read_grid(grid), places, as_of_s, given.stale_after_days)


def _listed() -> Iterator[tuple[Place, _Known]]:
    """Yield the prices of the catalogue by region; reserved is a commitment for one year."""
    for one in read_catalogue():
        yield (one.gpu_type, CapacityType.ON_DEMAND, one.region, ""), _Known(one.on_demand, one.as_of_s)
        if one.spot is not None:
            yield (one.gpu_type, CapacityType.SPOT, one.region, ""), _Known(one.spot, one.spot_as_of_s)
        if one.commit_1y is not None:
            yield (one.gpu_type, CapacityType.RESERVED, one.region, ""), _Known(one.commit_1y, one.as_of_s)


def _entries(path: Path) -> Iterator[Row]:
    """The entries of a price file, of YAML as of CSV."""
    text = text_of(path, "price file")
    if path.suffix.lower() not in (".yaml", ".yml"):
        header = text.partition("\n")[0].lower()
        yield from rows(str(path), text, (*_COLUMNS, _PRICE if _PRICE in header else _DOLLARS))
        return
    hint = "write a list of entries: - {gpu_type: H100-80GB, capacity_type: on-demand, usd_per_gpu_h: 6.88}"
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}", hint=hint) from error
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise InputError(f"{path} is not a list of prices", hint=hint)
    for at, entry in enumerate(entries, start=1):
        cells = {str(name).strip().lower(): "" if value is None else str(value) for name, value in entry.items()}
        missing = [name for name in _COLUMNS if name not in cells]
        if missing or not cells.keys() & {_DOLLARS, _PRICE}:
            raise InputError(f"{path}, entry {at}: {(*missing, _DOLLARS)[0]} is missing", hint=hint)
        yield Row(f"{path}, entry {at}", cells)


def _parse(name: str, entries: Iterator[Row], rates: Mapping[str, float]) -> dict[Place, _Known]:
    """Return the prices by place; the place of rows without one is everywhere."""
    prices: dict[Place, _Known] = {}
    for row in entries:
        region, zone = (row.text(column) if column in row.cells else "" for column in _PLACE)
        key = (_gpu(row), _capacity(row), region, zone)
        if key in prices:
            raise InputError(
                f"{row.where}: {' '.join(filter(None, key))} already has a price",
                hint="keep one row per GPU type, capacity type, region and zone",
            )
        prices[key] = _Known(_dollars(row, rates), date_s(row.text("as_of")) if "as_of" in row.cells else None)
    if not prices:
        raise InputError(f"{name} contains no price", hint="add a row such as H100-80GB,on-demand,6.88")
    return prices


def _dollars(row: Row, rates: Mapping[str, float]) -> float:
    """The price of a row in dollars; one in another currency needs a rate."""
    code, where = "USD", ""
    for column in row.cells:
        if "currency" in column and row.text(column):
            code, where = row.text(column).upper(), column
    column = _PRICE if _PRICE in row.cells else _DOLLARS
    if code != "USD" and column == _DOLLARS:
        row.refuse(where, f"{_DOLLARS} is in US dollars: write the amount in the column {_PRICE}, or convert it")
    if code not in rates:
        hint = f"add {code} to the file of `rates`, or convert the price to US dollars"
        raise InputError(f"{row.where}: there is no exchange rate of {code}", hint=hint)
    usd = row.amount(column, "write an amount per GPU and hour, such as 6.88; 0 for no cost") * rates[code]
    if usd > _MOST_USD:
        row.refuse(column, f"it is more than {_MOST_USD:,.0f} US dollars for one GPU and hour")
    return usd


def _discounted(found: Mapping[Place, _Known], given: PricingSettings) -> Iterator[tuple[Place, _Known, float]]:
    """Yield each price with its discount."""
    known = {*(gpu.name for gpu in GPU_TYPES), *CapacityType, _ALL}
    known |= {f"{gpu.name}/{kind}" for gpu in GPU_TYPES for kind in CapacityType}
    for name, share in given.discounts.items():
        if name not in known:
            hint = 'write a GPU type, a capacity type, both as "H100-80GB/spot", or all'
            raise InputError(f"pricing.discounts: {name!r} is not known", hint=hint)
        if not 0.0 <= share < 1.0:
            raise InputError(f"pricing.discounts: {name} is {share}", hint="write a share of the price, such as 0.15")
    for place, price in found.items():
        gpu_type, kind = place[:2]
        names = (f"{gpu_type}/{kind}", gpu_type, kind, _ALL)
        yield place, price, next((given.discounts[name] for name in names if name in given.discounts), 0.0)


def _own(given: PricingSettings) -> dict[Place, _Known]:
    """What GPU-hours of one's own hardware cost, on-demand and reserved: nobody reclaims it."""
    found: dict[Place, _Known] = {}
    for name, server in given.on_premises.items():
        if named(server.gpu_type) is None:
            hint = "use one of " + ", ".join(gpu.name for gpu in GPU_TYPES)
            raise InputError(f"pricing.on_premises.{name}.gpu_type is {server.gpu_type!r}", hint=hint)
        for kind in (CapacityType.ON_DEMAND, CapacityType.RESERVED):
            place = (server.gpu_type, kind, server.region, "")
            if place in found:
                problem = f"pricing.on_premises.{name}: {server.gpu_type} {server.region} already has a price"
                raise InputError(problem.replace("  ", " "), hint="keep one server per GPU type and region")
            found[place] = _Known(server.usd_per_gpu_h, None)
    return found


def _gpu(row: Row) -> str:
    text = row.text("gpu_type")
    if named(text) is None:
        row.refuse("gpu_type", "use one of " + ", ".join(gpu.name for gpu in GPU_TYPES))
    return text


def _capacity(row: Row) -> CapacityType:
    text = row.text("capacity_type")
    if text not in set(CapacityType):
        row.refuse("capacity_type", "use one of " + ", ".join(CapacityType))
    return CapacityType(text)
