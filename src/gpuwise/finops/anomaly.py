"""Finds what is unusual in a series: scores of a stream, and persistent steps of a daily cost."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from gpuwise.finops.forecast import TooShort

Floats = NDArray[np.float64]

ALARM = 0.5
"""A score of at least this is an alarm."""

# Constants of `scores` were chosen on the public half of NAB (docs/backtests.md, "anomaly").
# Steps of a day at five minutes; the other two measures need no season.
SEASON = 288
_SHORT, _LONG = 12, 300
_WARM_EXTREMES, _WARM_SEASON, _WARM_MEAN, _WARM_RECORD = 50, 60, 30, 250
_SCALE_STEPS = 3_000
_FORGETTING = 0.0003
_QUIET = 60
_LIMIT = 0.46


def scores(values: Floats, *, season: int = SEASON) -> Floats:
    """Score each value of a stream by the values up to it.

    Three measures are added: how far a value is outside the range of all earlier ones; its difference to one season
    ago over the usual size of such differences; and how far the mean of an hour is from that of the day before,
    relative to the largest such distance so far, which fades. After an alarm there is none for 60 values.

    Args:
        values: shape (n,); NaN is a missing value.
        season: steps of a day.

    Returns:
        Shape (n,), from 0 to 1, `ALARM` or more for an alarm; NaN where the value is missing.
    """
    known = ~np.isnan(values)
    if not known.any():
        return np.full(len(values), np.nan)
    first = int(np.argmax(known))
    last_known = np.maximum.accumulate(np.where(known, np.arange(len(values)), first))
    filled = values[last_known] - values[first]
    strength = 0.5 * _outside(filled) / 0.1
    strength += 0.25 * _seasonal(filled, season) / np.log1p(4.0)
    strength += 0.25 * _record(filled) / np.log(2.0)
    found = strength / (strength + _LIMIT)
    found[_repeats(np.flatnonzero((found >= ALARM) & known))] *= ALARM
    return np.where(known, found, np.nan)


def _outside(values: Floats) -> Floats:
    """ln(1 + distance outside the range so far, in ranges)."""
    high = np.concatenate([values[:1], np.maximum.accumulate(values)[:-1]])
    low = np.concatenate([values[:1], np.minimum.accumulate(values)[:-1]])
    span = high - low
    out = np.maximum(np.maximum(values - high, low - values), 0.0)
    ratio = np.where(span > 0, out / np.where(span > 0, span, 1.0), (out > 0) * 1.0)
    ratio[:_WARM_EXTREMES] = 0.0
    found: Floats = np.log1p(np.minimum(ratio, 50.0))
    return found


def _seasonal(values: Floats, season: int) -> Floats:
    """ln(1 + difference to one season ago over its usual size)."""
    count = len(values)
    change = np.zeros(count)
    change[season:] = values[season:] - values[:-season] if count > season else 0.0
    at = np.arange(count)
    squares = np.concatenate([[0.0], np.cumsum(change**2)])
    total = squares[at] - squares[np.maximum(at - _SCALE_STEPS, 0)]
    usual = np.sqrt(np.maximum(total, 0.0) / np.clip(at - season, 1, _SCALE_STEPS))
    ratio = np.abs(change) / np.where(usual > 0, usual, 1.0)
    # A difference where there was none so far is as unusual as can be.
    ratio = np.where((usual <= 0) & (change != 0), 50.0, ratio)
    ratio[: season + _WARM_SEASON] = 0.0
    found: Floats = np.log1p(np.minimum(ratio, 50.0))
    return found


def _record(values: Floats) -> Floats:
    """ln(1 + distance of two means over the largest so far)."""
    count = len(values)
    end = np.arange(1, count + 1)
    start = np.maximum(end - _SHORT, 0)
    before = np.maximum(start - _LONG, 0)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    steps = np.maximum(start - before, 1)
    usual = (sums[start] - sums[before]) / steps
    spread = np.maximum((squares[start] - squares[before]) / steps - usual**2, 0.0)
    now = (sums[end] - sums[start]) / (end - start)
    # The rounding error of a variance from sums of squares is this large.
    least = 1e-12 * np.maximum(squares[end] / end, np.finfo(np.float64).tiny)
    distance = np.abs(now - usual) / np.sqrt(spread + least)
    distance[start - before < _WARM_MEAN] = 0.0
    with np.errstate(divide="ignore"):
        fading = np.log(distance) + _FORGETTING * np.arange(count)
    largest = np.concatenate([[-np.inf], np.maximum.accumulate(fading)[:-1]])
    ratio = np.zeros(count)
    comparable = np.isfinite(largest) & np.isfinite(fading)
    ratio[comparable] = np.exp(np.minimum(fading[comparable] - largest[comparable], np.log(5.0)))
    ratio[:_WARM_RECORD] = 0.0
    return np.log1p(ratio)


def _repeats(alarms: NDArray[np.int64]) -> list[int]:
    """Which alarms follow another one too closely."""
    found, last = [], -_QUIET - 1
    for at in alarms.tolist():
        if at - last <= _QUIET:
            found.append(at)
        else:
            last = at
    return found


# Page's CUSUM (Montgomery, Statistical Quality Control, ch. 9): with a slack of 0.5 sigma and a decision at 5 sigma, a
# step of one sigma is found after ten days on average, and a false one in 465.
_SLACK, _DECISION = 0.5, 5.0
# A median of n days is wrong by 1.2533 sigma / sqrt(n), on every day after; the slack covers 1.5 times that, too.
_LEVEL_ERROR = 1.5 * 1.2533
# The median absolute deviation of a normal distribution is sigma / 1.4826.
_MAD = 1.4826
# One day counts at most this much, so that a single outlier is no step.
_ONE_DAY = 3.0
LEAST_DAYS, _REFERENCE_DAYS, _AFTER_A_STEP = 14, 28, 7
# A smaller shift is more often a level learnt from few days than a step.
_LEAST_SHIFT = 2.0
# Costs that hardly vary still vary by rounding and by the hour at which a node came.
_LEAST_SIGMA = 0.01


@dataclass(frozen=True, slots=True)
class Step:
    """A level that changed and stayed changed; in the unit of the history.

    Attributes:
        start: index of the first day at the new level.
        found: index of the day on which it was certain.
        before: mean per day at the level before, whole seasons where there are some.
        after: the same from `start` to the next step or the end of the history.
    """

    start: int
    found: int
    before: float
    after: float


def steps(history: Floats, *, season: int = 7) -> tuple[Step, ...] | TooShort:
    """Find the persistent steps of a daily series, oldest first.

    The pattern of the season is removed, then each day is compared with the median of up to 28 days of its level, in
    robust deviations, and the excess is added up (CUSUM). A step raises one `Step`, after which days are compared with
    the new level. Costs that are always above 0 are compared by their logarithms.

    Args:
        history: daily values, oldest first, shape (n,); NaN is a missing day, which neither raises nor ends a step.
        season: days of the pattern.

    Returns:
        The steps; empty if there are none; `TooShort` if fewer than 14 days are known.
    """
    days = np.flatnonzero(~np.isnan(history))
    if len(days) < LEAST_DAYS:
        return TooShort(f"{len(days)} days are known; steps are found from {LEAST_DAYS} on")
    values = history[days]
    scaled = np.log(values) if values.min() > 0 else values
    plain = scaled - _pattern(scaled, days, season)
    found = _changes(plain.tolist(), _deviation(plain, logarithmic=values.min() > 0))
    bounds = [0, *(start for start, _ in found), len(values)]
    levels = [_level(values[a:b], season) for a, b in pairwise(bounds)]
    return tuple(
        Step(int(days[start]), int(days[at]), before, after)
        for (start, at), before, after in zip(found, levels, levels[1:], strict=False)
    )


def _pattern(scaled: Floats, days: NDArray[np.int64], season: int) -> Floats:
    """What the season adds to each day: the median by phase of the difference to a season around the day."""
    count = len(scaled)
    if count < 2 * season:
        return np.zeros(count)
    around = np.lib.stride_tricks.sliding_window_view(scaled, season).mean(axis=1)
    middle = np.clip(np.arange(count) - season // 2, 0, count - season)
    difference = scaled - around[middle]
    phase = days % season
    usual = {int(one): float(np.median(difference[phase == one])) for one in np.unique(phase)}
    mean = sum(usual.values()) / len(usual)
    return np.array([usual[int(one)] - mean for one in phase])


def _deviation(plain: Floats, *, logarithmic: bool) -> float:
    """Sigma of one day, from differences of two days in sequence, which a step changes once only."""
    change = np.diff(plain)
    least = _LEAST_SIGMA if logarithmic else _LEAST_SIGMA * float(np.abs(plain).mean())
    return max(_MAD * float(np.median(np.abs(change))) / np.sqrt(2.0), least) or 1.0


def _changes(plain: list[float], sigma: float) -> list[tuple[int, int]]:
    """Start of each new level, and when it was certain."""
    found: list[tuple[int, int]] = []
    start, at = 0, LEAST_DAYS
    up = down = 0.0
    rise = fall = at
    level = slack = 0.0
    while at < len(plain):
        if up <= 0 and down <= 0:
            days = plain[max(start, at - _REFERENCE_DAYS) : at]
            level, slack = median(days), _SLACK + _LEVEL_ERROR / len(days) ** 0.5
        if up <= 0:
            rise = at
        if down <= 0:
            fall = at
        z = max(-_ONE_DAY, min(_ONE_DAY, (plain[at] - level) / sigma))
        up, down = max(0.0, up + z - slack), max(0.0, down - z - slack)
        if max(up, down) > _DECISION:
            began = rise if up > down else fall
            if abs(median(plain[began : at + 1]) - median(plain[max(start, began - _REFERENCE_DAYS) : began])) > (
                _LEAST_SHIFT * sigma
            ):
                start = _start(plain, began, at, level)
                found.append((start, at))
                at = max(at, start + _AFTER_A_STEP - 1)
            up = down = 0.0
        at += 1
    return found


def _start(plain: list[float], began: int, at: int, level: float) -> int:
    """The first day that is closer to the new level than to the old one, by the likelihood of all days after it."""
    half = (median(plain[began : at + 1]) - level) / 2
    best, start, total = 0.0, at, 0.0
    for day in range(at, began - 1, -1):
        total += (plain[day] - level - half) * half
        if total > best:
            best, start = total, day
    return start


def _level(values: Floats, season: int) -> float:
    """Mean of the last whole seasons of a level, of all its days if it has no whole one."""
    whole = len(values) // season * season or len(values)
    return float(values[len(values) - whole :].mean())
