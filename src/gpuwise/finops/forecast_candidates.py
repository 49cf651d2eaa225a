"""Simple forecasts of a series, played from every earlier origin: seasonal smoothing, levels, last values, medians."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.finops.series import Floats

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
USUAL = 7
"""Blocks whose mean is the usual level."""
SMALLEST = 1e-12
"""Below it a sum of weights, or an error, is none."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale in which forecasts are made: logarithmic, unless some value is negative.

    Attributes:
        offset: added to a value before its logarithm; None for the plain scale.
    """

    offset: float | None

    @classmethod
    def of(cls, values: Floats) -> "Scale":
        """The scale for some values."""
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


@dataclass(frozen=True, slots=True)
class Played:
    """Every candidate at every origin: after each block of one season, the last block ends at the newest value.

    The last candidate is the median of the others.

    Attributes:
        forecasts: shape (candidates, origins, horizon), in the unit of the values; NaN where nothing is known.
        truth: what followed, shape (origins, horizon).
        age: of the origin in seasons before the end of the history, shape (origins,).
        level: scaled mean of the last block less that of the last `USUAL` ones, 0 if unknown, shape (origins,).
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
        return np.where(total > SMALLEST, found / np.maximum(total, SMALLEST), np.nan)


def play(values: Floats, shifts: Sequence[int], scale: Scale, m: int, cycle: int, horizon: int) -> list[Played]:
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
    made = np.concatenate([made, median(made.reshape(len(made), -1)).reshape(made.shape[1:])[None]])
    level = _level(z)
    follows = np.lib.stride_tricks.sliding_window_view(ahead, horizon)
    found = []
    for row, shift in enumerate(shifts):
        first = blocks - -(-(len(values) - shift) // m)  # a shift may leave no value in the first block
        age = np.arange(blocks - first - 1, -1, -1, dtype=np.float64) + shift / m
        truth = follows[np.arange(first + 1, blocks + 1) * m - shift]
        found.append(Played(made[:, row, first:], truth, age, level[row, first:], float(np.nanstd(z[row]))))
    return found


def _level(z: Floats) -> Floats:
    """The mean of each block less that of the last blocks up to it; shape (rows, blocks)."""
    level = row_mean(z)
    found: Floats = np.nan_to_num(level - row_mean(_up_to(level[..., None], USUAL)[..., 0, :]))
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
    level = row_mean(z)[..., None]
    season = {a: _smooth(z, a) for a in _SEASONS}
    levels = {a: _smooth(level, a) for a in _SEASONS}
    short = [*season.values()]
    short += [levels[up] + season[a] - levels[a] for up, slower in _LEVELS for a in slower]
    short += [median(_up_to(z, n).reshape(-1, n).T).reshape(z.shape) for n in _MEDIANS]
    made = [np.tile(np.stack(short), (1, 1, 1, ahead))]
    if cycle:
        made.append(_long(z, level, ahead, cycle))
    found = np.concatenate(made)
    carried = [found + _carried(z, found[..., :m], steps, kept, ahead * m) for steps, kept in _CARRIES]
    flat = np.broadcast_to(np.stack([_last(z), level]), (2, rows, blocks, ahead * m))
    return np.concatenate([found, *carried, flat])


def row_mean(rows: Floats) -> Floats:
    """The mean along the last axis of what is known; NaN where nothing is."""
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
    return np.where(weight > SMALLEST, total / np.maximum(weight, SMALLEST), np.nan)


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
            change[:, cycle:] = level[:, cycle:] - row_mean(same[:, :-cycle])[..., None]
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
    last[:, :, 1:] = total / np.maximum((known * newer).sum(axis=-1), SMALLEST)
    return last[..., None] * kept ** np.arange(1, horizon + 1)


def _last(z: Floats) -> Floats:
    """The last known value of each block, or the one before."""
    found = z[..., -1:].copy()
    return np.where(np.isnan(found), z[..., -2:-1], found)


def median(rows: Floats) -> Floats:
    """The median by column of what is known; NaN where nothing is."""
    ordered = np.sort(rows, axis=0)  # NaN last
    known = (~np.isnan(rows)).sum(axis=0)
    last = np.maximum(known - 1, 0)
    columns = np.arange(rows.shape[1])
    found: Floats = (ordered[last // 2, columns] + ordered[(last + 1) // 2, columns]) / 2
    return found
