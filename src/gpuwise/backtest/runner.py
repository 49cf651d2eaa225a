"""Replays policies on a trace and writes the results."""

import csv
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuwise.backtest.contract import OURS, Backtest, Played, Result
from gpuwise.model.errors import InputError

SCHEMA = "gpuwise.dev/backtest/v1"


def play(backtest: Backtest[Any], given: Mapping[str, Any], *, policies: Sequence[str] = (), label: str = "") -> Result:
    """Replay policies on one trace.

    Args:
        backtest: the backtest.
        given: option values by key.
        policies: names of the policies; empty for all.
        label: label of the trial.

    Raises:
        InputError: the trace cannot be read, or a policy does not exist.
    """
    names = tuple(policies) or tuple(backtest.policies)
    unknown = [name for name in names if name not in backtest.policies]
    if unknown:
        known = ", ".join((*backtest.policies, "all"))
        raise InputError(f"--policy is {unknown[0]!r}", hint=f"name one of {known}")
    trace = backtest.load(given)
    played = {name: _played(backtest, name, trace) for name in names}
    return Result(backtest.name, label, played, backtest.bound(trace))


def _played(backtest: Backtest[Any], name: str, trace: Any) -> Played:
    start = time.perf_counter()
    decisions = backtest.policies[name](trace)
    seconds = time.perf_counter() - start
    return Played(backtest.judge(trace, decisions), seconds, decisions)


def write_decisions(path: Path, result: Result) -> None:
    """Write the decisions of gpuwise's policy, or of the first one that was replayed.

    Args:
        path: a CSV file, overwritten.
        result: result of `play`.

    Raises:
        InputError: the file cannot be written.
    """
    decisions = (result.played.get(OURS) or next(iter(result.played.values()))).decisions
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(decisions.columns)
            writer.writerows(decisions.rows)
    except OSError as error:
        raise InputError(
            f"--decisions: {path} cannot be written: {error.strerror}", hint="name another file"
        ) from error


def plain(result: Result) -> dict[str, Any]:
    """A result as dicts, lists and scalars for JSON."""
    return {
        "schema": SCHEMA,
        "backtest": result.backtest,
        "label": result.label,
        "policies": {
            name: {
                "figures": {
                    figure: {"value": None if math.isnan(one.value) else one.value, "low": one.low, "high": one.high}
                    for figure, one in played.figures.items()
                },
                "seconds": played.seconds,
                "decisions": len(played.decisions.rows),
            }
            for name, played in result.played.items()
        },
        "bound": dict(result.bound),
    }
