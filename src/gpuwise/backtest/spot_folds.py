"""Models of availability that have not seen a part of the public trace, for figures that are not of a fit to itself.

`spot_folds.npz` is written by benchmarks/fit_spot.py beside the shipped constants and is used by backtests alone.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from gpuwise.recommend.spot_schedule.availability import AvailabilityModel


@cache
def folds() -> Mapping[str, AvailabilityModel]:
    """By what was left out: "zone/us-east-1a", "area/us-east-1", "half/first" and "union/first", of windows."""
    with np.load(Path(__file__).with_name("spot_folds.npz")) as kept:
        names = {name.rpartition("/")[0] for name in kept.files}
        return {
            name: AvailabilityModel(kept[f"{name}/rate_h"], kept[f"{name}/up"], kept[f"{name}/start"]) for name in names
        }
