"""Backtests `forecast` and `budget`: the next 48 hours of hourly series, and their sum to the end of a period."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.bootstrap import figure
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
from gpuwise.backtest.series import HALF, HALVES, HOUR_S, SERIES, Floats, interval_score, joined, read_series
from gpuwise.finops.forecast import TooShort, forecast
from gpuwise.finops.forecast_intervals import COVERAGE
from gpuwise.model.errors import InputError

DAY_H, WEEK_H = 24, 168
AHEAD_H = 48
NAIVE_DAY, NAIVE_WEEK, NAIVE2 = "seasonal-naive-24", "seasonal-naive-168", "naive2"
COLUMNS = ("series", "t_s", "forecast", "lo", "hi")
BUDGET_COLUMNS = ("series", "t_s", "to_s", "forecast", "lo", "hi")
_TAIL = (1 - COVERAGE) / 2
# Two-sided 90 %: the test of a season in the M4 competition's Naive2 (Makridakis et al., IJF 2020).
_SEASON_TEST = 1.645


@dataclass(frozen=True, slots=True)
class Hours:
    """Hourly series, and what followed.

    Attributes:
        series: by name, time of the first value and the values.
        actual: the next `AHEAD_H` values by name; empty if they are not known.
    """

    series: Mapping[str, tuple[float, Floats]]
    actual: Mapping[str, Floats]


Guess = tuple[Floats, Floats, Floats] | None
"""Forecast, low and high of the next hours; None if the history is too short."""


def _load(given: Mapping[str, Any]) -> Hours:
    series = read_series(given["series"], given.get("half"))
    if given.get("actual") is None:
        return Hours(series, {})
    actual = {}
    for name, (_, values) in joined(given).items():
        after = values[len(series[name][1]) :]
        if len(after) < AHEAD_H:
            raise InputError(f"{given['actual']}: {name} has {len(after)} hours", hint=f"give {AHEAD_H}")
        actual[name] = after[:AHEAD_H]
    return Hours(series, actual)


def _ours(history: Floats) -> Guess:
    found = forecast(history, seasons=(DAY_H, WEEK_H), horizon=AHEAD_H)
    return None if isinstance(found, TooShort) else (found.mean, found.low, found.high)


def _naive(season: int) -> Callable[[Floats], Guess]:
    """The value of one season ago; the interval is that of the differences over one season so far."""

    def guess(history: Floats) -> Guess:
        if len(history) <= season:
            return None
        mean = history[len(history) - season + np.arange(AHEAD_H) % season]
        low, high = np.nanquantile(history[season:] - history[:-season], [_TAIL, 1 - _TAIL])
        return mean, mean + low, mean + high

    return guess


def naive2(history: Floats, horizon: int, season: int = DAY_H) -> Floats:
    """Naive2 of the M4 competition: the last value, seasonally adjusted if a test finds a season.

    The classical decomposition is multiplicative, additive where a value is 0 or less.

    Args:
        history: values, shape (n,); NaN is replaced by the value before.
        horizon: number of steps.
        season: steps of a season.
    """
    values = history[np.maximum.accumulate(np.where(np.isnan(history), 0, np.arange(len(history))))]
    if not _seasonal(values, season):
        return np.full(horizon, values[-1])
    ends = np.ones(season + 1) / season
    ends[[0, -1]] /= 2
    trend = np.convolve(values, ends, "valid")
    middle = values[season // 2 : season // 2 + len(trend)]
    phase = (np.arange(len(trend)) + season // 2) % season
    ahead, last = np.arange(len(values), len(values) + horizon) % season, (len(values) - 1) % season
    if values.min() > 0:
        index = np.array([np.mean((middle / trend)[phase == one]) for one in range(season)])
        index /= index.mean()
        multiplied: Floats = values[-1] / index[last] * index[ahead]
        return multiplied
    index = np.array([np.mean((middle - trend)[phase == one]) for one in range(season)])
    found: Floats = values[-1] - index[last] + index[ahead]
    return np.maximum(found, 0.0) if values.min() >= 0 else found


def _seasonal(values: Floats, season: int) -> bool:
    if len(values) < 3 * season:
        return False
    around = values - values.mean()
    total = float(around @ around)
    if total <= 0:
        return False
    correlation = np.array([around[lag:] @ around[:-lag] for lag in range(1, season + 1)]) / total
    limit = _SEASON_TEST * np.sqrt((1 + 2 * (correlation[:-1] ** 2).sum()) / len(values))
    return bool(abs(correlation[-1]) > limit)


def _naive2(history: Floats) -> Guess:
    if np.isnan(history).all():
        return None
    mean = naive2(history[int(np.argmax(~np.isnan(history))) :], AHEAD_H)
    return mean, np.full(AHEAD_H, np.nan), np.full(AHEAD_H, np.nan)


def _policy(guess: Callable[[Floats], Guess]) -> Callable[[Hours], Decisions]:
    def decide(trace: Hours) -> Decisions:
        rows: list[tuple[Any, ...]] = []
        for name, (start_s, values) in trace.series.items():
            found = guess(values)
            for step in range(AHEAD_H):
                numbers = [None] * 3 if found is None else [_known(one[step]) for one in found]
                rows.append((name, start_s + (len(values) + step) * HOUR_S, *numbers))
        return Decisions(COLUMNS, rows)

    return decide


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _judge(trace: Hours, decisions: Decisions) -> dict[str, Figure]:
    """Figures of the decisions; none if what followed is not known."""
    by_name: dict[str, list[tuple[Any, ...]]] = {}
    for row in decisions.rows:
        by_name.setdefault(row[0], []).append(row)
    units, refused = [], 0
    for name, actual in trace.actual.items():
        start_s, history = trace.series[name]
        rows = by_name.get(name, [])
        if [row[1] for row in rows] != [start_s + (len(history) + step) * HOUR_S for step in range(AHEAD_H)]:
            raise InputError(
                f"decisions of {name} are not the {AHEAD_H} hours after its last row", hint="forecast each"
            )
        made = np.array([[np.nan if cell is None else cell for cell in row[2:]] for row in rows], dtype=np.float64)
        if np.isnan(made[:, 0]).any():
            refused += 1
            continue
        units.append(_unit(history, actual, made))
    if not units:
        return {}
    found = np.array(units)
    both = np.isfinite(found[:, 4:]).all(axis=1)
    figures = {
        "owa": figure(found[:, :4], lambda sums: (sums[..., 0] / sums[..., 1] + sums[..., 2] / sums[..., 3]) / 2),
        "smape": figure(_with_count(found[:, 0]), lambda sums: sums[..., 0] / sums[..., 1]),
        "mase": figure(_with_count(found[:, 2]), lambda sums: sums[..., 0] / sums[..., 1]),
    }
    if both.any():
        for number, name in ((4, "coverage"), (5, "interval_score")):
            figures[name] = figure(_with_count(found[both, number]), lambda sums: sums[..., 0] / sums[..., 1])
    return {**figures, "too_short": Figure(float(refused))}


def _with_count(values: Floats) -> Floats:
    return np.stack([values, np.ones(len(values))], axis=1)


def _unit(history: Floats, actual: Floats, made: Floats) -> tuple[float, ...]:
    """The sMAPE and MASE of a forecast, each beside Naive2's, coverage, and interval score in units of MASE."""
    reference = naive2(history[int(np.argmax(~np.isnan(history))) :], AHEAD_H)
    scale = float(np.nanmean(np.abs(history[DAY_H:] - history[:-DAY_H]))) or float(np.finfo(np.float64).tiny)
    covered = np.where(np.isnan(made[:, 1]), np.nan, (made[:, 1] <= actual) & (actual <= made[:, 2]))
    return (
        _smape(made[:, 0], actual),
        _smape(reference, actual),
        float(np.nanmean(np.abs(made[:, 0] - actual))) / scale,
        float(np.nanmean(np.abs(reference - actual))) / scale,
        float(np.mean(covered)),
        float(np.mean(interval_score(made[:, 1], made[:, 2], actual, COVERAGE))) / scale,
    )


def _smape(made: Floats, actual: Floats) -> float:
    """Symmetric mean absolute percentage error, as in M4: 0 where both are 0."""
    total = np.abs(made) + np.abs(actual)
    return float(np.nanmean(200 * np.abs(made - actual) / np.where(total > 0, total, 1.0)))


def _given(data: Path, **more: Any) -> dict[str, Any]:
    folder = data / "forecast_series"
    return {"series": folder / "train.csv.gz", "actual": folder / "test.csv.gz", **more}


def _trials(data: Path) -> list[Trial]:
    halves = [Trial(f"half {half}", _given(data, half=half)) for half in HALVES]
    return [Trial("all series", _given(data)), *halves]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    whole, _, held_out = results
    series = len(whole.played[OURS].decisions.rows) / AHEAD_H
    return [
        at_most("OWA against Naive2, all series", whole.value("owa"), 0.70),
        at_most("OWA against Naive2, series not chosen on", held_out.value("owa"), 0.70),
        at_least("coverage of the 90 % interval", whole.value("coverage"), 0.88),
        at_most("coverage of the 90 % interval", whole.value("coverage"), 0.92),
        at_least("coverage, series not chosen on", held_out.value("coverage"), 0.88),
        at_most("coverage, series not chosen on", held_out.value("coverage"), 0.92),
        at_most("ms for each series", 1e3 * whole.played[OURS].seconds / series, 20),
    ]


_ACTUAL = Option("--actual", "CSV with what followed; without it, there are no figures.", optional=True)

FORECAST: Backtest[Hours] = Backtest(
    name="forecast",
    about="Error of forecasts of the next 48 hours relative to Naive2, and coverage of their intervals.",
    options=(SERIES, _ACTUAL, HALF),
    load=_load,
    policies={
        OURS: _policy(_ours),
        NAIVE_DAY: _policy(_naive(DAY_H)),
        NAIVE_WEEK: _policy(_naive(WEEK_H)),
        NAIVE2: _policy(_naive2),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
)


@dataclass(frozen=True, slots=True)
class Periods:
    """Hourly series whose last hours are a budget's period.

    Attributes:
        series: by name, time of the first value and the values.
        period_h: hours of the period; a forecast is made at its start and after each of its days.
    """

    series: Mapping[str, tuple[float, Floats]]
    period_h: int


def _load_periods(given: Mapping[str, Any]) -> Periods:
    period = given["period_h"]
    if period < DAY_H:
        raise InputError(f"--period-h is {period}", hint=f"give at least {DAY_H}")
    series = joined(given)
    for name, (_, values) in series.items():
        if len(values) < period + 2 * DAY_H:
            raise InputError(f"{name} has {len(values)} hours", hint=f"give {2 * DAY_H} more than --period-h")
    return Periods(series, period)


def _budget_ours(history: Floats, steps: int) -> tuple[float, float, float] | None:
    found = forecast(history, seasons=(DAY_H, WEEK_H), horizon=steps)
    if isinstance(found, TooShort):
        return None
    total = found.sum_of(steps)
    return total.mean, total.low, total.high


def _budget_naive(history: Floats, steps: int) -> tuple[float, float, float] | None:
    """The sum of the last day's values, with the errors of such sums at every earlier hour."""
    filled = np.where(np.isnan(history), np.nanmean(history), history)
    mean = filled[len(filled) - DAY_H + np.arange(steps) % DAY_H].sum()
    starts = np.arange(DAY_H, len(filled) - steps + 1)
    if not len(starts):
        # Fewer hours than two days and the rest of the period: errors of one day, as if each were the same.
        starts, whole = np.arange(DAY_H, len(filled) - DAY_H + 1), DAY_H
    else:
        whole = steps
    sums = np.concatenate([[0.0], np.cumsum(filled)])
    past = np.array([filled[at - DAY_H + np.arange(whole) % DAY_H].sum() for at in starts])
    low, high = np.quantile(sums[starts + whole] - sums[starts] - past, [_TAIL, 1 - _TAIL]) * (steps / whole)
    return float(mean), float(mean + low), float(mean + high)


def _budget(guess: Callable[[Floats, int], tuple[float, float, float] | None]) -> Callable[[Periods], Decisions]:
    def decide(trace: Periods) -> Decisions:
        rows: list[tuple[Any, ...]] = []
        for name, (start_s, values) in trace.series.items():
            for done in range(0, trace.period_h, DAY_H):
                at = len(values) - trace.period_h + done
                found = guess(values[:at], trace.period_h - done)
                t_s, to_s = start_s + at * HOUR_S, start_s + len(values) * HOUR_S
                rows.append((name, t_s, to_s, *(found or (None, None, None))))
        return Decisions(BUDGET_COLUMNS, rows)

    return decide


def _judge_periods(trace: Periods, decisions: Decisions) -> dict[str, Figure]:
    """Figures of the sums, each relative to the mean of the series over the same hours."""
    by_name: dict[str, list[tuple[float, float, float]]] = {}
    refused = 0
    for name, t_s, to_s, mean, low, high in decisions.rows:
        start_s, values = trace.series[name]
        first, last = (round((at - start_s) / HOUR_S) for at in (t_s, to_s))
        if mean is None:
            refused += 1
            continue
        actual = float(np.nansum(values[first:last]))
        scale = float(np.nanmean(np.abs(values[:first]))) * (last - first) or float(np.finfo(np.float64).tiny)
        score = interval_score(np.array(low), np.array(high), np.array(actual), COVERAGE)
        by_name.setdefault(name, []).append((float(score) / scale, low <= actual <= high, abs(mean - actual) / scale))
    if not by_name:
        return {"too_short": Figure(float(refused))}
    units = np.array([[*np.sum(one, axis=0), len(one)] for one in by_name.values()], dtype=np.float64)
    figures = {
        name: figure(units[:, [number, 3]], lambda sums: sums[..., 0] / sums[..., 1])
        for number, name in enumerate(("interval_score", "coverage", "error"))
    }
    return {**figures, "too_short": Figure(float(refused))}


def _budget_trials(data: Path) -> list[Trial]:
    halves = [Trial(f"half {half}", _given(data, half=half, period_h=WEEK_H)) for half in HALVES]
    return [Trial("all series", _given(data, period_h=WEEK_H)), *halves]


def _budget_goals(results: Sequence[Result]) -> list[Verdict]:
    found = []
    for one in (results[0], results[2]):
        found += [
            at_least(f"coverage of sums to the end of the period, {one.label}", one.value("coverage"), 0.88),
            at_most(f"coverage of sums to the end of the period, {one.label}", one.value("coverage"), 0.92),
            at_most(
                f"interval score over seasonal naive's, {one.label}",
                one.value("interval_score") / one.value("interval_score", NAIVE_DAY),
                1,
            ),
        ]
    return found


BUDGET: Backtest[Periods] = Backtest(
    name="budget",
    about="Interval score and coverage of forecasts of the sum to the end of a budget's period.",
    options=(
        SERIES,
        Option("--actual", "CSV with later rows of the same series.", optional=True),
        Option("--period-h", "Hours of the period; the last ones of each series.", kind=int, default=WEEK_H),
        HALF,
    ),
    load=_load_periods,
    policies={OURS: _budget(_budget_ours), NAIVE_DAY: _budget(_budget_naive)},
    judge=_judge_periods,
    trials=_budget_trials,
    goals=_budget_goals,
)
