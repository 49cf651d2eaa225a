"""Forecasts a cost or use from its own past, with an interval for each step and for the sum of the next steps.

A set of simple forecasts (seasonal smoothing with and without a level, last values, medians) is played from every
earlier origin. Each gets a weight by its errors there, and the errors of the weighted mean are the interval
(conformal prediction on rolling origins: Vovk et al., Algorithmic Learning in a Random World, ch. 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COVERAGE = 0.9
"""Share of future values that an interval is meant to contain."""

# docs/backtests.md, "forecast", says on which series the constants below were chosen.
# Weight of the newest block in a mean of blocks; 1 is the last block alone, 0.02 nearly the plain mean.
_SEASONS = (1.0, 0.5, 0.25, 0.1, 0.02)
_LEVELS = ((0.5, (0.25, 0.1, 0.02)), (0.25, (0.1, 0.02)), (1.0, (0.25, 0.1, 0.02)))
_LONG = (1.0, 0.3)
_MEDIANS = (3, 7)
# (steps, share kept per step): the mean residual of the last steps, carried on.
_CARRIES = ((3, 0.9), (6, 0.97))
# Forecasts are made in ln(value + offset), offset as a share of the mean: errors of costs are proportional.
_OFFSET = 0.05
# An earlier origin counts half as much for each so many blocks, and less the more the level of its last block over the
# usual one differs from today's: a normal kernel, in standard deviations of that level and a share of all values'.
_HALF_LIFE = 20.0
_ALIKE, _SPREAD, _USUAL = 0.3, 0.1, 7
# Weights are the relative error to this power, after one block of equal errors has been added.
_POWER = 12.0
# The median of all candidates is one more, and counts as this many: it is the safest where past errors mislead.
_MEDIAN = 30.0
_EQUAL = 1.0
_WORST = 5.0
# A value below this share of its neighbours and of the same phase of other seasons is a gap of the source.
_DROPOUT = 0.15
_SMALLEST = 1e-12
# With a season this short every step is an origin; with a longer one, two in each season.
_SHORT = 12
# Errors at earlier origins are smaller than later ones, because the weights were chosen on them.
_STEPS, _FEW = 0.76, 12.5
_SUMS, _FEW_SUMS, _SHARED = 0.9, 3.0, 1.5
_LEAST_ORIGINS = 5
# Fewer errors than this are often all on one side; the other side may then be as wrong.
_BOTH_SIDES = 10
# Less history, and errors of which the largest may be among the missing: with 1, one of five test series got narrower.
_MISSING = 2.0
_TAIL = (1 - COVERAGE) / 2
_ERROR_HALF_LIFE = 20.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next steps of a series, in the unit of the history; arrays have shape (horizon,).

    Attributes:
        mean: expected values.
        low: lower ends of the 90 % intervals of the single steps.
        high: upper ends.
    """

    mean: Floats
    low: Floats
    high: Floats
    _sums: "tuple[Floats, Floats]" = field(repr=False)

    def sum_of(self, steps: int) -> "Sum":
        """The sum of the next steps, with its own interval.

        Args:
            steps: 0 to horizon.

        Raises:
            ValueError: the forecast is shorter.
        """
        if not 0 <= steps <= len(self.mean):
            raise ValueError(f"{steps} steps of a forecast of {len(self.mean)}")
        if steps == 0:
            return Sum(0.0, 0.0, 0.0)
        low, high = self._sums
        return Sum(float(self.mean[:steps].sum()), float(low[steps - 1]), float(high[steps - 1]))


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of several steps, with a 90 % interval from the errors of such sums at earlier origins.

    Attributes:
        mean: expected value.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TooShort:
    """No forecast: the history does not say enough.

    Attributes:
        reason: what is missing, for a reader.
    """

    reason: str


def forecast(history: Floats, *, seasons: tuple[int, ...], horizon: int) -> Forecast | TooShort:
    """Forecast the next steps of a series.

    Args:
        history: values at equal steps, oldest first, shape (n,); NaN is a missing value, which widens the intervals.
        seasons: lengths of the seasons in steps, the shortest first: (24, 168) for hours, (7,) for days; at most two,
            the second a multiple of the first.
        horizon: number of steps, at least 1.

    Returns:
        The forecast; never below 0 if the history never is. `TooShort` if the history, from its first value on, has
        fewer than two of the shortest seasons, or if less than half of its values are known.

    Raises:
        ValueError: seasons, horizon or history are invalid.
    """
    m, cycle = _checked(history, seasons, horizon)
    known = np.flatnonzero(~np.isnan(history))
    values = history[known[0] :] if len(known) else history[:0]
    if len(values) < 2 * m:
        return TooShort(f"{len(values)} steps are known; a forecast needs {2 * m}")
    present = len(known) / len(values)
    if present < 0.5:
        return TooShort(f"{len(known)} of {len(values)} values are known; a forecast needs half of them")
    unit = float(np.nanmean(np.abs(values))) or 1.0
    return _forecast(_without_dropouts(values / unit, m), unit, m, cycle, horizon, present)


def _checked(history: Floats, seasons: tuple[int, ...], horizon: int) -> tuple[int, int]:
    """The steps of the short season, and how many of them make the long one (0 if there is none)."""
    if history.ndim != 1 or np.isinf(history).any():
        raise ValueError("the history must be one row of finite values or NaN")
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; it must be at least 1")
    if len(seasons) not in {1, 2} or seasons[0] < 2:
        raise ValueError(f"seasons are {seasons}; give one or two lengths of at least 2 steps")
    if len(seasons) == 1:
        return seasons[0], 0
    cycle, rest = divmod(seasons[1], seasons[0])
    if rest or cycle < 2:
        raise ValueError(f"the season of {seasons[1]} steps is no multiple of that of {seasons[0]}")
    return seasons[0], cycle


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale in which forecasts are made: logarithmic, unless some value is negative.

    Attributes:
        offset: added to a value before its logarithm; None for the plain scale.
    """

    offset: float | None

    @classmethod
    def of(cls, values: Floats) -> "_Scale":
        if np.nanmin(values) < 0:
            return cls(None)
        return cls(_OFFSET * float(np.nanmean(values)) or 1.0)

    def to(self, values: Floats) -> Floats:
        """Values in this scale."""
        return values if self.offset is None else np.log(values + self.offset)

    def back(self, scaled: Floats) -> Floats:
        """The inverse of `to`."""
        if self.offset is None:
            return scaled
        # 700 is the largest exponent of a double; a forecast that high has run away and gets no weight.
        found: Floats = np.maximum(np.exp(np.minimum(scaled, 700.0)) - self.offset, 0.0)
        return found


def _without_dropouts(values: Floats, m: int) -> Floats:
    """Single values far below their neighbours and their usual level become missing."""
    if np.nanmin(values) < 0:
        return values
    count = len(values)
    around = np.full(count + 4, np.nan)
    around[2:-2] = values
    before, after = np.fmax(around[1:-3], around[:-4]), np.fmax(around[3:-1], around[4:])
    before[0], after[-1] = np.nan, np.nan
    phases = np.full(-(-count // m) * m, np.nan)
    phases[len(phases) - count :] = values
    usual = np.tile(_median(phases.reshape(-1, m)[-7:]), len(phases) // m)[len(phases) - count :]
    # At either end there are neighbours on one side only.
    low = np.fmin(np.fmin(before, after), usual)
    found = values.copy()
    found[values < _DROPOUT * low] = np.nan
    return found


def _median(rows: Floats) -> Floats:
    """The median by column of what is known; NaN where nothing is."""
    ordered = np.sort(rows, axis=0)  # NaN last
    known = (~np.isnan(rows)).sum(axis=0)
    last = np.maximum(known - 1, 0)
    columns = np.arange(rows.shape[1])
    found: Floats = (ordered[last // 2, columns] + ordered[(last + 1) // 2, columns]) / 2
    return found


def _forecast(values: Floats, unit: float, m: int, cycle: int, horizon: int, present: float) -> Forecast:
    scale = _Scale.of(values)
    played = _play(values, _shifts(m), scale, m, cycle, horizon)
    weights = _weights(played if m <= _SHORT else played[:1], m, horizon, positive=scale.offset is not None)
    means = [one.mean(weights) for one in played]
    error = np.concatenate([one.truth - mean for one, mean in zip(played, means, strict=True)])
    age = np.concatenate([one.age for one in played])
    mean, total = means[0][-1], np.cumsum(means[0][-1])
    least = -np.inf if np.nanmin(values) < 0 else 0.0
    steps = _of_steps(error, age, m, present)
    sums = _of_sums(error, age, m / len(played), present)
    return Forecast(
        unit * mean,
        unit * np.maximum(mean + steps[0], least),
        unit * (mean + steps[1]),
        (unit * np.maximum(total + sums[0], least), unit * (total + sums[1])),
    )


def _shifts(m: int) -> list[int]:
    return list(range(m)) if m <= _SHORT else [0, m // 2]


@dataclass(frozen=True, slots=True)
class _Played:
    """Every candidate at every origin: after each block of one season, the last block ends at the newest value.

    The last candidate is the median of the others.

    Attributes:
        forecasts: shape (candidates, origins, horizon), in the unit of the values; NaN where nothing is known.
        truth: what followed, shape (origins, horizon).
        age: of the origin in seasons before the end of the history, shape (origins,).
        level: scaled mean of the last block less that of the last `_USUAL` ones, 0 if unknown, shape (origins,).
        spread: standard deviation of the scaled values.
    """

    forecasts: Floats
    truth: Floats
    age: Floats
    level: Floats
    spread: float

    def mean(self, weights: Floats) -> Floats:
        """The weighted mean at every origin, of the candidates that exist there; shape (origins, horizon)."""
        exists = ~np.isnan(self.forecasts)
        total = np.einsum("ch,coh->oh", weights, exists.astype(np.float64))
        found = np.einsum("ch,coh->oh", weights, np.where(exists, self.forecasts, 0.0))
        return np.where(total > _SMALLEST, found / np.maximum(total, _SMALLEST), np.nan)


def _play(values: Floats, shifts: Sequence[int], scale: _Scale, m: int, cycle: int, horizon: int) -> list[_Played]:
    """Play the candidates on the values without the newest steps, once for each number of steps in `shifts`.

    All are played at once: a series of 13 weeks has so few values that the calls would cost more than the work.
    """
    blocks = -(-len(values) // m)
    ahead = np.full(blocks * m + horizon, np.nan)
    ahead[blocks * m - len(values) : blocks * m] = values
    scaled = np.full((len(shifts), blocks * m), np.nan)
    for row, shift in enumerate(shifts):
        scaled[row, shift:] = scale.to(ahead[: blocks * m - shift])
    z = scaled.reshape(len(shifts), blocks, m)
    made = scale.back(_candidates(z, -(-horizon // m), cycle)[..., :horizon])
    made = np.concatenate([made, _median(made.reshape(len(made), -1)).reshape(made.shape[1:])[None]])
    level = _level(z)
    follows = np.lib.stride_tricks.sliding_window_view(ahead, horizon)
    found = []
    for row, shift in enumerate(shifts):
        first = blocks - -(-(len(values) - shift) // m)  # a shift may leave no value in the first block
        age = np.arange(blocks - first - 1, -1, -1, dtype=np.float64) + shift / m
        truth = follows[np.arange(first + 1, blocks + 1) * m - shift]
        found.append(_Played(made[:, row, first:], truth, age, level[row, first:], float(np.nanstd(z[row]))))
    return found


def _level(z: Floats) -> Floats:
    """The mean of each block less that of the last blocks up to it; shape (rows, blocks)."""
    level = _row_mean(z)
    found: Floats = np.nan_to_num(level - _row_mean(_up_to(level[..., None], _USUAL)[..., 0, :]))
    return found


def _up_to(z: Floats, blocks: int) -> Floats:
    """Each block with the ones before it, NaN before the first; shape (rows, blocks, m, `blocks`)."""
    before = np.full((len(z), blocks - 1, z.shape[2]), np.nan)
    found: Floats = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, z], axis=1), blocks, axis=1)
    return found


def _candidates(z: Floats, ahead: int, cycle: int) -> Floats:
    """Simple forecasts after each block.

    Args:
        z: scaled values, shape (rows, blocks, m).
        ahead: number of blocks to forecast.
        cycle: blocks of the long season, or 0.

    Returns:
        Shape (candidates, rows, blocks, ahead x m).
    """
    rows, blocks, m = z.shape
    level = _row_mean(z)[..., None]
    season = {a: _smooth(z, a) for a in _SEASONS}
    levels = {a: _smooth(level, a) for a in _SEASONS}
    short = [*season.values()]
    short += [levels[up] + season[a] - levels[a] for up, slower in _LEVELS for a in slower]
    short += [_median(_up_to(z, n).reshape(-1, n).T).reshape(z.shape) for n in _MEDIANS]
    made = [np.tile(np.stack(short), (1, 1, 1, ahead))]
    if cycle:
        made.append(_long(z, level, ahead, cycle))
    found = np.concatenate(made)
    carried = [found + _carried(z, found[..., :m], steps, kept, ahead * m) for steps, kept in _CARRIES]
    flat = np.broadcast_to(np.stack([_last(z), level]), (2, rows, blocks, ahead * m))
    return np.concatenate([found, *carried, flat])


def _row_mean(rows: Floats) -> Floats:
    known = ~np.isnan(rows)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, rows, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def _decayed(rows: Floats, kept: float) -> Floats:
    """Sums along the last axis but one in which each earlier term counts `kept` as much as the one after it.

    scipy.signal.lfilter would do the same, but takes 2 s to import, and every command would wait for it.
    """
    found = np.empty_like(rows)
    sums = np.zeros_like(rows[..., 0, :])
    for at in range(rows.shape[-2]):
        sums = rows[..., at, :] + kept * sums
        found[..., at, :] = sums
    return found


def _smooth(rows: Floats, newest: float) -> Floats:
    """Exponentially weighted mean of the rows so far, NaN left out."""
    if newest >= 1:
        return rows
    known = ~np.isnan(rows)
    stacked = np.stack([np.where(known, rows, 0.0), known.astype(np.float64)])
    total, weight = _decayed(stacked, 1.0 - newest)
    return np.where(weight > _SMALLEST, total / np.maximum(weight, _SMALLEST), np.nan)


def _long(z: Floats, level: Floats, ahead: int, cycle: int) -> Floats:
    """The same block of earlier long seasons, as it was and with the level of today's.

    Its shape is (6, rows, blocks, ahead x m).
    """
    rows, blocks, m = z.shape
    made = np.full((len(_LONG), 3, rows, blocks, ahead, m), np.nan)
    if blocks > cycle:
        for number, newest in enumerate(_LONG):
            same = np.full_like(z, np.nan)
            for phase in range(cycle):
                same[:, phase::cycle] = _smooth(z[:, phase::cycle], newest)
            for step in range(1, ahead + 1):
                at = np.arange(blocks) + step - cycle * (-(-step // cycle))
                made[number, :, :, at >= 0, step - 1] = same[:, at[at >= 0]].swapaxes(0, 1)[:, None]
            change = np.full_like(level, np.nan)
            change[:, cycle:] = level[:, cycle:] - _row_mean(same[:, :-cycle])[..., None]
            made[number, 1] += _smooth(change, 0.5)[..., None]
            made[number, 2] += _smooth(change, 0.25)[..., None]
    return made.reshape(-1, rows, blocks, ahead * m)


def _carried(z: Floats, found: Floats, steps: int, kept: float, horizon: int) -> Floats:
    """The mean residual of the last steps of each block, which fades; newer steps count more."""
    steps = min(steps, z.shape[-1])
    residual = z[None, :, 1:, -steps:] - found[:, :, :-1, -steps:]
    known = ~np.isnan(residual)
    newer = 0.8 ** np.arange(steps)[::-1]
    total = (np.where(known, residual, 0.0) * newer).sum(axis=-1)
    last = np.zeros(found.shape[:-1])
    last[:, :, 1:] = total / np.maximum((known * newer).sum(axis=-1), _SMALLEST)
    return last[..., None] * kept ** np.arange(1, horizon + 1)


def _last(z: Floats) -> Floats:
    """The last known value of each block, or the one before."""
    found = z[..., -1:].copy()
    return np.where(np.isnan(found), z[..., -2:-1], found)


def _weights(played: Sequence[_Played], m: int, horizon: int, *, positive: bool) -> Floats:
    """Weights by the errors at earlier origins, by stretch of the horizon; shape (candidates, horizon)."""
    stretches = [slice(a, b) for a, b in pairwise(_edges(m, horizon))]
    lengths = np.array([one.stop - one.start for one in stretches], dtype=np.float64)[:, None]
    forecasts = np.concatenate([one.forecasts for one in played], axis=1)
    truth = np.concatenate([one.truth for one in played])
    age = np.concatenate([one.age for one in played])
    recent = 0.5 ** (age / _HALF_LIFE) / len(played)
    recent *= _alike(played, ~np.isnan(truth).all(axis=1), recent)
    error = np.abs(forecasts - truth)
    share = error / np.maximum(np.abs(forecasts) + np.abs(truth), _SMALLEST) if positive else error
    usable = ~np.isnan(forecasts[:, played[0].forecasts.shape[1] - 1]).any(axis=1)
    relative = np.ones((len(stretches), len(forecasts)))
    for measure in (error, share):
        by = np.stack([_row_mean(measure[:, :, one]) for one in stretches])
        relative *= np.sqrt(_relative(by, recent, lengths))
    weights = relative**-_POWER
    weights[:, -1] *= _MEDIAN
    if usable.any():  # else some phase was never seen: each step takes what there is
        weights = np.where(usable, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.repeat(weights, lengths[:, 0].astype(int), axis=0).T


def _alike(played: Sequence[_Played], seen: NDArray[np.bool_], recent: Floats) -> Floats:
    """How much each origin resembles today, shape (origins,); their weighted sum is that of origins all alike.

    Args:
        played: the first ends today.
        seen: whether something is known of what followed each origin.
        recent: weights of origins.
    """
    level = np.concatenate([one.level for one in played])
    width = _ALIKE * (float(level.std()) + _SPREAD * played[0].spread) + _SMALLEST
    alike = np.exp(-0.5 * ((level - played[0].level[-1]) / width) ** 2)
    total = float((recent * alike)[seen].sum())
    # Where nothing resembles today, the nearest origin would decide alone: all of them count then.
    return alike * (float(recent[seen].sum()) / total) if total > _SMALLEST else np.ones_like(level)


def _relative(errors: Floats, recent: Floats, lengths: Floats) -> Floats:
    """Errors over the median candidate's: half of this stretch, half of all; shape (stretches, candidates).

    Args:
        errors: shape (stretches, candidates, origins), NaN if unknown.
        recent: weights of origins.
        lengths: of stretches, shape (stretches, 1).
    """
    usual = np.stack([_median(one) for one in errors])[:, None, :]
    known = ~np.isnan(errors) & (usual > _SMALLEST)
    weight = recent * np.where(np.isnan(usual), 0.0, usual)
    typical = weight.sum(axis=2, keepdims=True) / np.maximum(
        (recent * ~np.isnan(usual)).sum(axis=2, keepdims=True), _SMALLEST
    )
    weight = weight / np.maximum(typical, _SMALLEST)
    ratio = np.where(known, np.minimum(errors / np.where(known, usual, 1.0), _WORST), 0.0)
    over, under = (ratio * weight).sum(axis=2), (known * weight).sum(axis=2)
    here = (over + _EQUAL) / (under + _EQUAL)
    whole = ((over * lengths).sum(axis=0) + lengths.sum() * _EQUAL) / (
        (under * lengths).sum(axis=0) + lengths.sum() * _EQUAL
    )
    found: Floats = np.sqrt(here * whole)
    return found


def _of_steps(error: Floats, age: Floats, m: int, present: float) -> tuple[Floats, Floats]:
    """Errors of single steps that are exceeded by 5 % to either side, shape (horizon,) each.

    Args:
        error: truth less forecast, shape (origins, horizon), NaN if unknown.
        age: of the origins, in seasons.
        m: steps of a season.
        present: share of the history that is known.
    """
    horizon = error.shape[1]
    recent = np.broadcast_to(0.5 ** (age / _ERROR_HALF_LIFE)[:, None], error.shape)
    centres, low, high = [], [], []
    for a, b in pairwise(_edges(m, horizon)):
        known = ~np.isnan(error[:, a:b])
        if known.any():
            centres.append((a + b - 1) / 2)
            ends = _quantiles(error[:, a:b][known][:, None], recent[:, a:b][known])
            low.append(float(ends[0][0]))
            high.append(float(ends[1][0]))
    steps = np.arange(horizon)
    widen = (_STEPS + _FEW / len(error)) / present**_MISSING
    return np.interp(steps, centres, low) * widen, np.interp(steps, centres, high) * widen


def _edges(m: int, horizon: int) -> list[int]:
    """Stretches of the horizon with errors of their own: the first hours, half a season, a season, all after it."""
    return sorted({0, *(min(edge, horizon) for edge in (round(m / 6), round(m / 2), m)), horizon})


def _of_sums(error: Floats, age: Floats, apart: float, present: float) -> tuple[Floats, Floats]:
    """The same for the sums of the next 1, 2, ... steps, from the origins that saw all of them.

    Args:
        error: as in `_of_steps`; the sum of a stretch that is half known counts by its mean.
        age: of the origins, in seasons.
        apart: steps from one origin to the next.
        present: share of the history that is known.
    """
    horizon = error.shape[1]
    count = np.arange(1.0, horizon + 1)
    known = ~np.isnan(error)
    seen = np.cumsum(known, axis=1)
    reach = np.where(known, count, 0.0).max(axis=1)
    usable = (seen > count / 2) & (count <= reach[:, None])
    sums = np.cumsum(np.where(known, error, 0.0), axis=1) * count / np.maximum(seen, 1)
    low, high = _quantiles(np.where(usable, sums, np.nan), 0.5 ** (age / _ERROR_HALF_LIFE))
    origins = usable.sum(axis=0)
    last = int(np.flatnonzero(origins >= min(_LEAST_ORIGINS, int(origins.max())))[-1])
    at = np.minimum(np.arange(horizon), last)
    # Sums of origins closer than the steps they sum share most of their errors.
    shared = count[at] / np.maximum(apart * origins[at], 1.0)
    # Beyond the longest sum seen, the error of the mean grows as that of a random walk.
    beyond = np.maximum(count / (last + 1), 1.0) ** 1.5
    widen = (_SUMS + _FEW_SUMS / len(error) + _SHARED * shared) * beyond / present**_MISSING
    return low[at] * widen, high[at] * widen


def _quantiles(residual: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted conformal quantiles by column, one more unknown residual at either end; low <= 0 <= high.

    Args:
        residual: shape (n, k), NaN if unknown.
        weight: shape (n,).
    """
    order = np.argsort(residual, axis=0)
    ordered = np.take_along_axis(residual, order, axis=0)
    known = ~np.isnan(ordered)
    share = np.where(known, weight[order], 0.0)
    total = share.sum(axis=0) + weight.max(initial=0.0)
    up = np.cumsum(share, axis=0)
    down = np.cumsum(share[::-1], axis=0)[::-1]
    last = np.maximum(known.sum(axis=0) - 1, 0)
    columns = np.arange(residual.shape[1])
    above = np.minimum((up < (1 - _TAIL) * total - _SMALLEST).sum(axis=0), last)
    below = np.maximum((down >= (1 - _TAIL) * total - _SMALLEST).sum(axis=0) - 1, 0)
    ends = ordered[below, columns], ordered[above, columns]
    low, high = (np.where(np.isnan(end), 0.0, end) for end in ends)
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    few = known.sum(axis=0) < _BOTH_SIDES
    either = np.maximum(-low, high)
    return np.where(few, -either, low), np.where(few, either, high)
