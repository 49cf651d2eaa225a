"""Prices from a CSV file with the columns gpu_type, capacity_type and usd_per_gpu_h, by default the shipped file.

With the optional columns region and zone, a row that names one is for that region or zone only. A row that names none
is for all others.

The shipped on-demand prices are AWS's list prices (us-east-1, largest instance of each GPU, per GPU). The spot prices
are estimates from AWS's published average savings. The reserved prices are estimates: GCP's 1-year discount on the same
GPU, applied to the on-demand price. Each row has its source. A user's file replaces the whole shipped file.
"""

from pathlib import Path

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES, named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.price import Place, PriceBook
from gpuwise.sources.grid import read_grid
from gpuwise.sources.tables import Row, rows, shipped, text_of

_COLUMNS = ("gpu_type", "capacity_type", "usd_per_gpu_h")
_PLACE = ("region", "zone")


def read_prices(path: Path | None, grid: Path | None = None) -> PriceBook:
    """Read a price file, and the carbon intensities of the grids.

    Args:
        path: a CSV file; None means the list prices shipped with gpuwise.
        grid: a CSV file of grid intensities; None means the file shipped with gpuwise.

    Returns:
        Dollars per whole GPU and hour by GPU type, capacity type and place; kilograms of CO2 equivalent per kWh by
        region.

    Raises:
        InputError: a file is not valid; the error names file, line, field, text and hint.
    """
    if path is not None:
        text = text_of(path, "price file")
        everywhere, places = _parse(str(path), text)
        return PriceBook(everywhere, f"price file {path.name}", read_grid(grid), places)
    text = shipped("prices.csv")
    dates = {row.text("as_of") for row in rows("prices", text, ()) if _capacity(row) is CapacityType.ON_DEMAND}
    source = f"list prices shipped with gpuwise (AWS us-east-1, as of {max(dates)}; spot and reserved are estimates)"
    return PriceBook(_parse("the shipped prices.csv", text)[0], source, read_grid(grid))


def _parse(name: str, text: str) -> tuple[dict[tuple[str, CapacityType], float], dict[Place, float]]:
    """Return the prices of rows without a place, and those of rows with one."""
    prices: dict[Place, float] = {}
    for row in rows(name, text, _COLUMNS):
        region, zone = (row.text(column) if column in row.cells else "" for column in _PLACE)
        key = (_gpu(row), _capacity(row), region, zone)
        if key in prices:
            raise InputError(
                f"{row.where}: {' '.join(filter(None, key))} already has a price",
                hint="keep one row per GPU type, capacity type, region and zone",
            )
        _check_dollars(row)
        prices[key] = row.amount("usd_per_gpu_h", "write dollars per GPU and hour, such as 6.88; 0 for no cost")
    if not prices:
        raise InputError(f"{name} contains no price", hint="add a row such as H100-80GB,on-demand,6.88")
    places = {key: usd for key, usd in prices.items() if any(key[2:])}
    return {key[:2]: usd for key, usd in prices.items() if key not in places}, places


def _check_dollars(row: Row) -> None:
    """Refuse a price in another currency: every sum is in dollars."""
    for column in row.cells:
        if "currency" in column and row.text(column).upper() not in ("", "USD"):
            row.refuse(column, "gpuwise computes in US dollars: convert the prices, and write USD or no currency")


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
