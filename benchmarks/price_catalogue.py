"""Write src/gpuwise/sources/catalogue.csv: what a GPU-hour costs in each region of AWS, Azure and GCP.

python benchmarks/price_catalogue.py gpu_instance_prices.csv.gz > src/gpuwise/sources/catalogue.csv

The table has one line per instance type and region, with the columns cloud, region, instance_type, gpu_model,
gpu_count, gpu_mem_mib, on_demand_usd_h, spot_usd_h, spot_basis, commit1y_usd_h, commit3y_usd_h, as_of and price_source.
Of each GPU type in a region the largest instance counts: its price is the least distorted by processors and disks.
"""

import csv
import gzip
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpuwise.model.gpu import gpu_type

PRICES = {
    "on_demand": "on_demand_usd_h",
    "spot": "spot_usd_h",
    "commit_1y": "commit1y_usd_h",
    "commit_3y": "commit3y_usd_h",
}
COLUMNS = ("cloud", "region", "gpu_type", "instance_type", *PRICES, "as_of", "spot_as_of", "source")
SOURCES = {
    "karpenter-provider-aws": "karpenter-aws",
    "tsaol/aws-gpu(vantage)": "vantage",
    "karpenter-provider-azure": "karpenter-azure",
    "google-cloud-pricing-cost-calculator@fd66b26": "gcp-calculator",
}
"""Short names of the sources; docs/prices.md explains them."""

ESTIMATED_SPOT = "2025-06"
"""Date of the Spot Advisor's savings, by which AWS's spot prices are estimated."""


def name_of(row: dict[str, str]) -> str | None:
    """The canonical name of the GPU, None if gpuwise does not know it."""
    model = row["gpu_model"]
    if model == "H100" and row["instance_type"].startswith("Standard_ND"):
        return "H100-80GB"  # Microsoft, "ND-H100-v5 size series": eight H100 with 80 GB; the table has the NVL's 94 GB
    found = gpu_type(model if "-" in model else f"{model} {round(float(row['gpu_mem_mib']) / 1024)}GB") or gpu_type(
        model
    )
    return None if found is None else found.name


def catalogue(rows: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """The lines of the catalogue, by cloud, region and GPU type."""
    largest: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        name = name_of(row)
        if name is None or float(row["gpu_count"]) < 1.0 or not row["on_demand_usd_h"]:
            continue
        key = (row["cloud"], row["region"], name)
        before = largest.get(key)
        if before is None or _size(row) > _size(before):
            largest[key] = row
    return [_line(key, row) for key, row in sorted(largest.items())]


def _size(row: dict[str, str]) -> tuple[float, float, str]:
    """More GPUs first; of instances with as many, the one with the lowest price."""
    return float(row["gpu_count"]), -float(row["on_demand_usd_h"]), row["instance_type"]


def _line(key: tuple[str, str, str], row: dict[str, str]) -> dict[str, Any]:
    gpus = float(row["gpu_count"])
    cloud, region, name = key
    prices = {column: f"{float(row[of]) / gpus:.4f}" if row[of] else "" for column, of in PRICES.items()}
    estimated = row["spot_basis"].startswith("estimated")
    spot_as_of = "" if not row["spot_usd_h"] else ESTIMATED_SPOT if estimated else row["as_of"]
    about = {"instance_type": row["instance_type"], "as_of": row["as_of"], "source": SOURCES[row["price_source"]]}
    return {"cloud": cloud, "region": region, "gpu_type": name, "spot_as_of": spot_as_of, **prices, **about}


if __name__ == "__main__":
    with gzip.open(Path(sys.argv[1]), "rt", encoding="utf-8") as table:
        lines = catalogue(csv.DictReader(table))
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
