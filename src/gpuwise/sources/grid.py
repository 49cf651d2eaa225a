"""Carbon intensity of each region's grid, from a CSV file with the columns region and kg_co2e_per_kwh.

The shipped file contains Google Cloud's published location-based grid intensities of 2024. AWS and Azure regions in the
same place have the value of the same grid; each row has its source. The carbon of a region that is not in the file is
unknown, not 0. A user's file replaces the whole shipped file.
"""

from pathlib import Path

from gpuwise.model.errors import InputError
from gpuwise.sources.tables import rows, shipped, text_of

_COLUMNS = ("region", "kg_co2e_per_kwh")


def read_grid(path: Path | None) -> dict[str, float]:
    """Read a file of grid intensities.

    Args:
        path: a CSV file; None means the file shipped with gpuwise.

    Returns:
        Kilograms of CO2 equivalent per kWh, by region.

    Raises:
        InputError: the file is not valid; the error names file, line, field, text and hint.
    """
    name = "the shipped grid.csv" if path is None else str(path)
    text = shipped("grid.csv") if path is None else text_of(path, "grid file")
    found: dict[str, float] = {}
    for row in rows(name, text, _COLUMNS):
        region = row.text("region")
        if not region or region in found:
            row.refuse("region", "list each region once, by the name in the nodes' label topology.kubernetes.io/region")
        found[region] = row.positive("kg_co2e_per_kwh", "write kilograms per kWh above 0, such as 0.323")
    if not found:
        raise InputError(f"{name} contains no region", hint="add a row such as us-east-1,0.323")
    return found
