"""The shipped catalogue: what a GPU-hour costs in each region of AWS, Azure and GCP, on demand, on spot and committed.

`benchmarks/price_catalogue.py` wrote it from public tables; docs/prices.md names them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gpuwise.sources.dates import date_s
from gpuwise.sources.tables import Row, rows, shipped

CLOUDS = {"aws": "Amazon Web Services", "azure": "Microsoft Azure", "gcp": "Google Cloud"}
"""Names of the providers."""

_COLUMNS = ("cloud", "region", "gpu_type", "on_demand", "spot", "commit_1y", "commit_3y", "as_of", "spot_as_of")


@dataclass(frozen=True, slots=True)
class Listed:
    """List prices of one GPU type in one region, dollars per GPU and hour; None where none is known.

    Attributes:
        cloud: key of `CLOUDS`.
        region: as in the label topology.kubernetes.io/region.
        gpu_type: canonical name.
        on_demand: without a commitment.
        spot: of spot instances; of AWS an estimate.
        commit_1y, commit_3y: with a commitment for one and for three years.
        as_of_s: when the prices were read, epoch seconds.
        spot_as_of_s: the same of the spot price.
    """

    cloud: str
    region: str
    gpu_type: str
    on_demand: float
    spot: float | None
    commit_1y: float | None
    commit_3y: float | None
    as_of_s: int
    spot_as_of_s: int | None


def read_catalogue() -> Iterator[Listed]:
    """Yield the lines of the shipped catalogue."""
    for row in rows("the shipped catalogue.csv", shipped("catalogue.csv"), _COLUMNS):
        as_of_s, on_demand = date_s(row.text("as_of")), _price(row, "on_demand")
        assert as_of_s is not None
        assert on_demand is not None
        yield Listed(
            cloud=row.text("cloud"),
            region=row.text("region"),
            gpu_type=row.text("gpu_type"),
            on_demand=on_demand,
            spot=_price(row, "spot"),
            commit_1y=_price(row, "commit_1y"),
            commit_3y=_price(row, "commit_3y"),
            as_of_s=as_of_s,
            spot_as_of_s=date_s(row.text("spot_as_of")),
        )


def _price(row: Row, column: str) -> float | None:
    return row.positive(column, "dollars per GPU and hour") if row.text(column) else None
