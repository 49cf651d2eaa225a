"""Carbon intensity of each region's grid, from a CSV file with the columns region and kg_co2e_per_kwh.

The shipped file contains Google Cloud's published location-based grid intensities of 2024. AWS and Azure regions in the
same place have the value of the same grid; each row has its source. The carbon of a region that is not in the file is
unknown, not 0. A user's file replaces the whole shipped file. Its columns as_of and source are shown beside the carbon;
with a column hour (0 to 23, UTC) a region has one more row for each hour that differs.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuwise.model.errors import InputError
from gpuwise.sources.tables import Row, rows, shipped, text_of

_COLUMNS = ("region", "kg_co2e_per_kwh")
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Intensity:
    """The carbon intensity of one region's grid.

    Attributes:
        kg_co2e_per_kwh: mean over the hours of a day: energy is kept by day.
        as_of: date of the figure, "" if the file has none.
        source: where it was published, "" if the file has none.
        by_hour: whether some hours have a figure of their own.
    """

    kg_co2e_per_kwh: float
    as_of: str
    source: str
    by_hour: bool


def read_grid(path: Path | None) -> dict[str, float]:
    """Read a file of grid intensities.

    Args:
        path: a CSV file; None means the file shipped with gpuwise.

    Returns:
        Kilograms of CO2 equivalent per kWh, by region.

    Raises:
        InputError: the file is not valid; the error names file, line, field, text and hint.
    """
    return {region: one.kg_co2e_per_kwh for region, one in read_intensities(path).items()}


def read_intensities(path: Path | None) -> dict[str, Intensity]:
    """Read a file of grid intensities with their dates and sources, by region.

    Args:
        path: as for `read_grid`.

    Raises:
        InputError: as `read_grid`.
    """
    name = "the shipped grid.csv" if path is None else str(path)
    text = shipped("grid.csv") if path is None else text_of(path, "grid file")
    found: dict[str, Intensity] = {}
    hours: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for row in rows(name, text, _COLUMNS):
        region, hour = row.text("region"), _hour(row)
        if not region or (region in found if hour is None else hour in hours[region]):
            row.refuse("region", "list each region once, by the name in the nodes' label topology.kubernetes.io/region")
        value = row.positive("kg_co2e_per_kwh", "write kilograms per kWh above 0, such as 0.323")
        if hour is None:
            found[region] = Intensity(value, _cell(row, "as_of"), _cell(row, "source"), by_hour=False)
        else:
            hours[region][hour] = value
    if not found and not hours:
        raise InputError(f"{name} contains no region", hint="add a row such as us-east-1,0.323")
    for region, own in hours.items():
        if own:
            found[region] = _with_hours(name, region, found.get(region), own)
    return found


def _cell(row: Row, column: str) -> str:
    return (row.cells.get(column) or "").strip()


def _hour(row: Row) -> int | None:
    text = _cell(row, "hour")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < _HOURS):
        row.refuse("hour", "write an hour of the day in UTC, 0 to 23, or leave it empty for all other hours")
    return int(text)


def _with_hours(name: str, region: str, all_day: Intensity | None, own: Mapping[int, float]) -> Intensity:
    """The mean of a day; hours without a figure of their own have that of the region."""
    if all_day is None and len(own) < _HOURS:
        raise InputError(
            f"{name}: region {region!r} has {len(own)} of 24 hours",
            hint="add a row of the region with an empty hour, for all other hours",
        )
    other = 0.0 if all_day is None else all_day.kg_co2e_per_kwh
    mean = (sum(own.values()) + other * (_HOURS - len(own))) / _HOURS
    return Intensity(mean, all_day.as_of if all_day else "", all_day.source if all_day else "", by_hour=True)


def stated(grid: Mapping[str, Intensity]) -> str:
    """Name the sources of intensities and their dates, for people.

    Args:
        grid: by region, of the regions in question.
    """
    if not grid:
        return "Grid intensity: not known for any of these regions"
    named = sorted(
        {", as of ".join(filter(None, (one.source, one.as_of))) for one in grid.values() if one.source or one.as_of}
    )
    shown = "; ".join(named[:3]) + ("; ..." if len(named) > 3 else "")
    hourly = ", of hours by the mean of a day" if any(one.by_hour for one in grid.values()) else ""
    return f"Grid intensity: {shown or 'the file names no source'}{hourly}"
