"""Backtest `anomaly`: NAB's standard score of a stream's alarms (Lavin and Ahmad, ICMLA 2015)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gpuwise.backtest.bootstrap import figure
from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import (
    OURS,
    Backtest,
    Decisions,
    Figure,
    Option,
    Result,
    Trial,
    Verdict,
    at_least,
    at_most,
)
from gpuwise.finops.anomaly import ALARM, scores
from gpuwise.model.errors import InputError

Floats = NDArray[np.float64]

COLUMNS = ("series", "t_s", "score")
# NAB's profile "standard": weights of a false alarm and of a missed window, relative to a window found at its start.
_FALSE, _MISSED = 0.11, 1.0
# No score counts in the first 15 % of a series, at most 750 rows.
_PROBATION, _MOST_PROBATION = 0.15, 750
_TRIED = 200


@dataclass(frozen=True, slots=True)
class Labelled:
    """Series with labelled windows.

    Attributes:
        series: name of each row, in the file's order.
        t_s: time of each row.
        values: value of each row.
        rows: row numbers by series.
        windows: by series, first and last position of each window within the series.
    """

    series: NDArray[Any]
    t_s: Floats
    values: Floats
    rows: Mapping[str, NDArray[np.int64]]
    windows: Mapping[str, Sequence[tuple[int, int]]]


def _load(given: Mapping[str, Any]) -> Labelled:
    path = given["series"]
    columns = read_columns(path, {"series": str, "t_s": float, "value": float}, blank=True)
    names, which = np.unique(columns["series"].astype(str), return_inverse=True)
    order = np.argsort(which, kind="stable")
    rows = dict(zip(names.tolist(), np.split(order, np.cumsum(np.bincount(which))[:-1]), strict=True))
    spans = _spans(given["windows"])
    unknown = [name for name in spans if name not in rows]
    if unknown:
        raise InputError(f"{given['windows']}: {unknown[0]} is not in --series", hint="give both files of one trace")
    windows = {
        name: _positions(columns["t_s"][at], spans.get(name, ()), given["windows"], name) for name, at in rows.items()
    }
    if not any(windows.values()):
        raise InputError(f"{given['windows']} has no window", hint="give series: [[from_s, to_s], ...]")
    return Labelled(columns["series"], columns["t_s"], columns["value"], rows, windows)


def _spans(path: Path) -> dict[str, list[tuple[float, float]]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [(float(a), float(b)) for a, b in spans] for name, spans in found.items()}
    except OSError as error:
        raise InputError(f"--windows: {path} cannot be read: {error.strerror}", hint="name a JSON file") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"--windows: {path} is not a JSON object of windows", hint="series: [[from_s, to_s]]"
        ) from error


def _positions(t_s: Floats, spans: Sequence[tuple[float, float]], path: Path, name: str) -> list[tuple[int, int]]:
    found = []
    for from_s, to_s in sorted(spans):
        inside = np.flatnonzero((t_s >= from_s) & (t_s <= to_s))
        if not len(inside):
            raise InputError(f"{path}: a window of {name} has no row", hint="check its times")
        found.append((int(inside[0]), int(inside[-1])))
    return found


def _policy(score: Callable[[Floats], Floats]) -> Callable[[Labelled], Decisions]:
    def decide(trace: Labelled) -> Decisions:
        found = np.full(len(trace.values), np.nan)
        for at in trace.rows.values():
            found[at] = score(trace.values[at])
        rows = zip(trace.series.tolist(), trace.t_s.tolist(), np.nan_to_num(found).tolist(), strict=True)
        return Decisions(COLUMNS, list(rows))

    return decide


def _normal(window: int) -> Callable[[Floats], Floats]:
    """How improbable a value is if the last ones are normal."""

    def score(values: Floats) -> Floats:
        plain = np.nan_to_num(values - values[0])
        at = np.arange(len(plain))
        start = np.maximum(at - window, 0)
        count = np.maximum(at - start, 1)
        sums, squares = (np.concatenate([[0.0], np.cumsum(one)]) for one in (plain, plain**2))
        mean = (sums[at] - sums[start]) / count
        spread = np.sqrt(np.maximum((squares[at] - squares[start]) / count - mean**2, 1e-12))
        found: Floats = 2 * ndtr(np.abs(plain - mean) / spread) - 1
        found[:2] = 0.0
        return found

    return score


def _weights(count: int, windows: Sequence[tuple[int, int]]) -> tuple[Floats, NDArray[np.int64]]:
    """What an alarm at each row is worth, and in which window it is (-1: in none)."""
    worth, inside = np.full(count, -_FALSE), np.full(count, -1)
    for number, (first, last) in enumerate(windows):
        end = windows[number + 1][0] if number + 1 < len(windows) else count
        after = np.arange(last + 1, end)
        worth[after] = _FALSE * _sigmoid((after - last) / max(last - first, 1))
    for number, (first, last) in enumerate(windows):
        at = np.arange(first, last + 1)
        worth[at] = _sigmoid((at - last - 1) / (last - first + 1)) / float(_sigmoid(np.array(-1.0)))
        inside[at] = number
    return worth, inside


def _sigmoid(position: Floats) -> Floats:
    """NAB's scaled sigmoid of a position relative to a window's end, in windows; -1 from three windows on."""
    found: Floats = np.where(position > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3.0))) - 1)
    return found


def raw_scores(found: Floats, windows: Sequence[tuple[int, int]], thresholds: Floats) -> Floats:
    """NAB's raw score of one series by threshold: windows found, by how early, less false alarms and missed windows.

    Args:
        found: scores by row.
        windows: first and last row of each window.
        thresholds: shape (k,).
    """
    count = len(found)
    probation = min(int(_PROBATION * count), _MOST_PROBATION)
    worth, inside = _weights(count, windows)
    outside = inside < 0
    outside[:probation] = False
    order = np.argsort(-found[outside])
    falling = found[outside][order]
    cost = np.concatenate([[0.0], np.cumsum(worth[outside][order])])
    total: Floats = cost[np.searchsorted(-falling, -thresholds, side="right")]
    for first, last in windows:
        start = max(first, probation)
        highest = np.maximum.accumulate(found[start : last + 1])
        by_first = np.append(worth[start : last + 1], -_MISSED)
        total = total + by_first[np.searchsorted(highest, thresholds, side="left")]
    return total


def _judge(trace: Labelled, decisions: Decisions) -> dict[str, Figure]:
    if len(decisions.rows) != len(trace.values):
        raise InputError(f"{len(decisions.rows)} decisions of {len(trace.values)} rows", hint="score each row")
    found = np.array([row[2] for row in decisions.rows], dtype=np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        raise InputError("a score is not from 0 to 1", hint="scale the scores")
    positive = np.sort(found[found > 0])[::-1]
    if not len(positive):
        positive = np.array([1.0])
    # By rank, closer where alarms are few, and the threshold that ours names.
    ranks = np.unique(np.geomspace(1, len(positive), _TRIED).astype(np.int64)) - 1
    thresholds = np.unique(np.append(positive[ranks], ALARM))
    raw = np.array([raw_scores(found[at], trace.windows[name], thresholds) for name, at in trace.rows.items()])
    windows = np.array([len(trace.windows[name]) for name in trace.rows], dtype=np.float64)
    best = int(np.argmax(raw.sum(axis=0)))
    fixed = int(np.searchsorted(thresholds, ALARM))

    def of(column: int) -> Figure:
        return figure(
            np.stack([raw[:, column], windows], axis=1),
            lambda sums: 100 * (sums[..., 0] + _MISSED * sums[..., 1]) / ((1 + _MISSED) * sums[..., 1]),
        )

    return {
        "nab_standard": of(best),
        "at_score_0.5": of(fixed),
        "threshold": Figure(float(thresholds[best])),
    }


def _trials(data: Path) -> list[Trial]:
    folder = data / "nab"
    return [Trial("NAB, one half", {"series": folder / "series.csv.gz", "windows": folder / "windows.json"})]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    (one,) = results
    ours = one.played[OURS]
    return [
        at_least("NAB standard score, alarms at 0.5", one.value("at_score_0.5"), 65),
        at_most("us for each value", 1e6 * ours.seconds / len(ours.decisions.rows), 5),
    ]


ANOMALY: Backtest[Labelled] = Backtest(
    name="anomaly",
    about="NAB's standard score of the alarms of a stream at one threshold.",
    options=(
        Option("--series", "CSV with series, t_s, value, in the order of the stream."),
        Option("--windows", "JSON with the labelled windows: series to [[from_s, to_s], ...]."),
    ),
    load=_load,
    policies={
        OURS: _policy(scores),
        "windowed-gaussian": _policy(_normal(6_400)),
        "day-gaussian": _policy(_normal(288)),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"nab_standard": 100.0},
    higher_is_better=True,
)
