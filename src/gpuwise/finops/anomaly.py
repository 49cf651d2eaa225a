"""Finds what is unusual in a series: scores of a stream, and persistent steps of a daily cost.

Both know only the past of the value that they judge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.finops.forecast import TooShort

Floats = NDArray[np.float64]

ALARM = 0.5
"""A score of at least this is an alarm."""

# Constants of `scores` were chosen on the public half of NAB (docs/backtests.md, "anomaly").
# Steps of a day at five minutes; series with other steps lose little, because two more measures need no season.
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


# Page's CUSUM: a step of one sigma is found after ten days on average, a false one in over a year (Montgomery,
# Statistical Quality Control, ch. 9: k = 0.5, h = 5 has an average run length of 465).
_SLACK, _DECISION = 0.5, 5.0
# The median absolute deviation of a normal distribution is sigma / 1.4826.
_MAD = 1.4826
# One day counts at most this much, so that a single outlier is no step; two half as high are none either.
_ONE_DAY = 3.0
_LEAST_DAYS, _REFERENCE_DAYS = 14, 28
# Costs that hardly vary still vary by rounding and by the hour at which a node came.
_LEAST_SIGMA = 0.01


@dataclass(frozen=True, slots=True)
class Step:
    """A level that changed and stayed changed; in the unit of the history.

    Attributes:
        start: index of the first day at the new level.
        found: index of the day on which it was certain.
        before: daily level before, a median.
        after: daily level from `start` to the next step or the end of the history, a median.
        sigma: usual deviation of a day before the step.
    """

    start: int
    found: int
    before: float
    after: float
    sigma: float


def steps(history: Floats, *, season: int = 7) -> tuple[Step, ...] | TooShort:
    """Find the persistent steps of a daily series, oldest first.

    Each day is compared with the median of up to 28 days before, in robust deviations, and the excess is added up
    (CUSUM). A step raises one `Step`; days after it are compared with the new level. A step already found does not
    change when days are added, but for its `after`.

    Args:
        history: daily values, oldest first, shape (n,); NaN is a missing day, which neither raises nor delays a step.
        season: days of the pattern that is removed first; it is learnt from the days before each day.

    Returns:
        The steps; empty if there are none; `TooShort` if fewer than 14 days are known.
    """
    days = np.flatnonzero(~np.isnan(history))
    if len(days) < _LEAST_DAYS:
        return TooShort(f"{len(days)} days are known; steps are found from {_LEAST_DAYS} on")
    return tuple(_Search(history[days], days, season).steps())


class _Search:
    """The search for steps in the known days of one series."""

    def __init__(self, values: Floats, days: NDArray[np.int64], season: int) -> None:
        self._values = values
        self._phase = days % season
        self._days = days
        self._season = season

    def steps(self) -> list[Step]:
        """All steps, oldest first."""
        found: list[tuple[int, int, float, float]] = []
        start, sigma = 0, None
        while (one := self._next(start, sigma)) is not None:
            found.append(one)
            start, sigma = one[0], one[3]
        ends = [*(one[0] for one in found), len(self._values)][1:]
        return [
            Step(int(self._days[at]), int(self._days[known]), before, float(np.median(self._values[at:end])), sigma)
            for (at, known, before, sigma), end in zip(found, ends, strict=True)
        ]

    def _next(self, start: int, sigma: float | None) -> tuple[int, int, float, float] | None:
        """The next step of a level that began at `start`: its start, when it was found, level and sigma before.

        Until the level has 14 days of its own, sigma is that of the level before.
        """
        first = start + (_LEAST_DAYS if sigma is None else 3)
        up, down = 0.0, 0.0
        rise, fall = first, first
        for at in range(first, len(self._values)):
            quiet = min(rise if up > 0 else at, fall if down > 0 else at)
            before = self._reference(start, max(quiet, first))
            level = float(np.median(before))
            usual = self._sigma(before, sigma)
            # The median of n days has an error of its own: pi / 2 / n of the variance.
            z = (self._plain(at, start, quiet) - level) / (usual * np.sqrt(1 + np.pi / 2 / len(before)))
            z = float(np.clip(z, -_ONE_DAY, _ONE_DAY))
            if up <= 0:
                rise = at
            if down <= 0:
                fall = at
            up, down = max(0.0, up + z - _SLACK), max(0.0, down - z - _SLACK)
            if max(up, down) > _DECISION:
                return (rise if up > down else fall), at, level, usual
        return None

    def _effects(self, start: int, end: int) -> Floats:
        """What each phase of the season adds, from at least two whole seasons of one level; shape (season,)."""
        effect = np.zeros(self._season)
        begin = max(start, end - 4 * self._season)
        if end - begin >= 2 * self._season:
            values, phase = self._values[begin:end], self._phase[begin:end]
            middle = np.median(values)
            for one in range(self._season):
                if (phase == one).sum() >= 2:
                    effect[one] = np.median(values[phase == one]) - middle
        return effect

    def _plain(self, at: int, start: int, end: int) -> float:
        return float(self._values[at] - self._effects(start, end)[self._phase[at]])

    def _reference(self, start: int, end: int) -> Floats:
        """The days of the level without the season's pattern, the newest 28."""
        begin = max(start, end - _REFERENCE_DAYS)
        found: Floats = self._values[begin:end] - self._effects(start, end)[self._phase[begin:end]]
        return found

    def _sigma(self, before: Floats, known: float | None) -> float:
        if known is not None and len(before) < _LEAST_DAYS:
            return known
        spread = _MAD * float(np.median(np.abs(before - np.median(before))))
        # A MAD of few days is too small as often as too large, and too small is what raises false steps.
        spread *= 1 + _FEW_DAYS / len(before)
        return max(spread, _LEAST_SIGMA * abs(float(np.median(before))), float(np.finfo(np.float64).tiny))


_FEW_DAYS = 6.0
