"""Models fitted without the part of the public trace on which they are judged, for figures that are out of sample.

The `folds.npz` of a backtest is written by the script in benchmarks/ that fits the shipped constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Model = TypeVar("Model")

_LEFT_OUT = "left_out"


def write_folds(path: Path, folds: Sequence[tuple[Sequence[str], Any]]) -> None:
    """Write models together with the names that were left out of each fit.

    Args:
        path: the file, folds.npz in the folder of a backtest.
        folds: the names left out, and the model: a dataclass of arrays and numbers.
    """
    kept: dict[str, Any] = {}
    for index, (left_out, model) in enumerate(folds):
        kept[f"{index}/{_LEFT_OUT}"] = np.array(left_out, dtype=np.str_)
        kept |= {f"{index}/{one.name}": getattr(model, one.name) for one in fields(model)}
    np.savez_compressed(path, **kept)


@cache
def read_folds(name: str, kind: type[Model]) -> Mapping[str, Model]:
    """The models by the names that were left out of their fits.

    Args:
        name: name of the backtest's folder: "idle_between_uses".
        kind: the models' dataclass.
    """
    models: dict[str, Model] = {}
    with np.load(Path(__file__).parent / name / "folds.npz") as kept:
        for key in (key for key in kept.files if key.endswith(_LEFT_OUT)):
            index = key.partition("/")[0]
            values = {one.name: kept[f"{index}/{one.name}"][()] for one in fields(kind)}  # type: ignore[arg-type]
            models |= dict.fromkeys(kept[key].tolist(), kind(**values))
    return models
