"""Hourly series of several names, for the backtests of forecasts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import Option
from gpuwise.model.errors import InputError

Floats = NDArray[np.float64]

HOUR_S = 3600.0
HALVES = ("chosen-on", "held-out")
SERIES = Option("--series", "CSV with series, t_s, value, one row an hour; a blank value is missing.")
HALF = Option("--half", f"Only one half of the series: {' or '.join(HALVES)}.", kind=str, optional=True)
_SEED = 7


def read_series(path: Path, half: str | None = None) -> dict[str, tuple[float, Floats]]:
    """Read hourly series.

    Args:
        path: CSV with series, t_s, value.
        half: one of `HALVES`: the names, sorted, are drawn into two halves with a fixed seed; None for all.

    Returns:
        By name, the time of the first value, and the values by hour, NaN where there is none.

    Raises:
        InputError: the file cannot be read, two rows have the same hour, or rows are not a whole number of hours apart.
    """
    if half not in {None, *HALVES}:
        raise InputError(f"--half is {half!r}", hint=f"write {' or '.join(HALVES)}")
    columns = read_columns(path, {"series": str, "t_s": float, "value": float}, blank=True)
    if np.isnan(columns["t_s"]).any():
        line = int(np.argmax(np.isnan(columns["t_s"]))) + 2
        raise InputError(f"{path}, line {line}: t_s is blank", hint="write seconds")
    found = {}
    names, which = np.unique(columns["series"].astype(str), return_inverse=True)
    kept = set(names.tolist()) if half is None else _half(names.tolist(), half)
    for number, name in enumerate(names.tolist()):
        if name not in kept:
            continue
        rows = np.flatnonzero(which == number)
        t_s = columns["t_s"][rows]
        hours = (t_s - t_s.min()) / HOUR_S
        if (hours != np.round(hours)).any():
            raise InputError(f"{path}: rows of {name} are not whole hours apart", hint="give hourly values")
        at = hours.astype(np.int64)
        if len(np.unique(at)) < len(at):
            raise InputError(f"{path}: {name} has two rows with the same t_s", hint="keep one of them")
        values = np.full(int(at.max()) + 1, np.nan)
        values[at] = columns["value"][rows]
        found[name] = (float(t_s.min()), values)
    if not found:
        raise InputError(f"{path} has no series", hint="give series, t_s, value")
    return found


def joined(given: Mapping[str, Any]) -> dict[str, tuple[float, Floats]]:
    """The series of "series", followed by their later values in "actual", if that is given."""
    first = read_series(given["series"], given.get("half"))
    if given.get("actual") is None:
        return first
    later = read_series(given["actual"], given.get("half"))
    for name, (start_s, values) in later.items():
        if name not in first:
            raise InputError(f"{given['actual']}: {name} is not in --series", hint="give both files of one trace")
        from_s, known = first[name]
        if start_s != from_s + len(known) * HOUR_S:
            raise InputError(f"{given['actual']}: {name} does not go on where --series ends", hint="check t_s")
        first[name] = (from_s, np.concatenate([known, values]))
    return first


def _half(names: list[str], half: str) -> set[str]:
    order = np.random.default_rng(_SEED).permutation(len(names))
    chosen = order[: len(names) // 2] if half == HALVES[0] else order[len(names) // 2 :]
    return {names[one] for one in chosen}


def interval_score(low: Floats, high: Floats, actual: Floats, share: float) -> Floats:
    """Width plus a penalty for what is outside (Gneiting and Raftery, JASA 2007, eq. 43), in the unit of the values.

    Args:
        low: lower ends.
        high: upper ends.
        actual: values.
        share: coverage of the interval, 0.9.
    """
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    found: Floats = high - low + 2 / (1 - share) * outside
    return found
