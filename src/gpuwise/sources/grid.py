"""What a kilowatt-hour of each region's grid emits, from a CSV file: region, kg_co2e_per_kwh.

The shipped file holds Google Cloud's published location-based grid intensities of 2024 and, for regions of AWS and
Azure in the same place, those of the same grid; each row says so. A region that is not in it has none: its carbon is
unknown, not 0. A file of one's own replaces the shipped one as a whole.
"""

from pathlib import Path

from gpuwise.model.errors import InputError
from gpuwise.sources.tables import rows, shipped, text_of

_COLUMNS = ("region", "kg_co2e_per_kwh")


def read_grid(path: Path | None) -> dict[str, float]:
    """Read a file of grid intensities.

    Args:
        path: a CSV file; None means the figures shipped with gpuwise.

    Returns:
        Kilograms of CO2 equivalent per kWh, by region.

    Raises:
        InputError: it cannot be read as such; names file, line, field, the text and the hint.
    """
    name = "the shipped grid.csv" if path is None else str(path)
    text = shipped("grid.csv") if path is None else text_of(path, "grid file")
    found: dict[str, float] = {}
    for row in rows(name, text, _COLUMNS):
        region = row.text("region")
        if not region or region in found:
            row.refuse("region", "name each region once, as nodes' topology.kubernetes.io/region does")
        found[region] = row.positive("kg_co2e_per_kwh", "write kilograms per kWh above 0, such as 0.323")
    if not found:
        raise InputError(f"{name} holds no region", hint="add a row such as us-east-1,0.323")
    return found
