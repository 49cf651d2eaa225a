"""Weights of forecasts, by their errors at earlier origins."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpuwise.finops.forecast_candidates import SMALLEST, Played, median, row_mean
from gpuwise.finops.series import Floats

# docs/backtests.md, "forecast", says on which series the constants below were chosen.
# An earlier origin counts half as much for each so many blocks, and less the more the level of its last block over the
# usual one differs from today's: a normal kernel, in standard deviations of that level and a share of all values'.
_HALF_LIFE = 20.0
_ALIKE, _SPREAD = 0.3, 0.1
# Weights are the relative error to this power, after one block of equal errors has been added.
_POWER = 12.0
# The median of all candidates is one more, and counts as this many: it is the safest where past errors mislead.
_MEDIAN = 30.0
_EQUAL = 1.0
_WORST = 5.0


def edges(m: int, horizon: int) -> list[int]:
    """Stretches of the horizon with errors of their own: the first hours, half a season, a season, all after it."""
    return sorted({0, *(min(edge, horizon) for edge in (round(m / 6), round(m / 2), m)), horizon})


def weights_of(played: Sequence[Played], m: int, horizon: int, *, positive: bool) -> Floats:
    """Weights by the errors at earlier origins, by stretch of the horizon; shape (candidates, horizon)."""
    stretches = [slice(a, b) for a, b in pairwise(edges(m, horizon))]
    lengths = np.array([one.stop - one.start for one in stretches], dtype=np.float64)[:, None]
    forecasts = np.concatenate([one.forecasts for one in played], axis=1)
    truth = np.concatenate([one.truth for one in played])
    age = np.concatenate([one.age for one in played])
    recent = 0.5 ** (age / _HALF_LIFE) / len(played)
    recent *= _alike(played, ~np.isnan(truth).all(axis=1), recent)
    error = np.abs(forecasts - truth)
    share = error / np.maximum(np.abs(forecasts) + np.abs(truth), SMALLEST) if positive else error
    usable = ~np.isnan(forecasts[:, played[0].forecasts.shape[1] - 1]).any(axis=1)
    relative = np.ones((len(stretches), len(forecasts)))
    for measure in (error, share):
        by = np.stack([row_mean(measure[:, :, one]) for one in stretches])
        relative *= np.sqrt(_relative(by, recent, lengths))
    weights = relative**-_POWER
    weights[:, -1] *= _MEDIAN
    if usable.any():  # else some phase was never seen: each step takes what there is
        weights = np.where(usable, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.repeat(weights, lengths[:, 0].astype(int), axis=0).T


def _alike(played: Sequence[Played], seen: NDArray[np.bool_], recent: Floats) -> Floats:
    """How much each origin resembles today, shape (origins,); their weighted sum is that of origins all alike.

    Args:
        played: the first ends today.
        seen: whether something is known of what followed each origin.
        recent: weights of origins.
    """
    level = np.concatenate([one.level for one in played])
    width = _ALIKE * (float(level.std()) + _SPREAD * played[0].spread) + SMALLEST
    alike = np.exp(-0.5 * ((level - played[0].level[-1]) / width) ** 2)
    total = float((recent * alike)[seen].sum())
    # Where nothing resembles today, the nearest origin would decide alone: all of them count then.
    return alike * (float(recent[seen].sum()) / total) if total > SMALLEST else np.ones_like(level)


def _relative(errors: Floats, recent: Floats, lengths: Floats) -> Floats:
    """Errors over the median candidate's: half of this stretch, half of all; shape (stretches, candidates).

    Args:
        errors: shape (stretches, candidates, origins), NaN if unknown.
        recent: weights of origins.
        lengths: of stretches, shape (stretches, 1).
    """
    usual = np.stack([median(one) for one in errors])[:, None, :]
    known = ~np.isnan(errors) & (usual > SMALLEST)
    weight = recent * np.where(np.isnan(usual), 0.0, usual)
    typical = weight.sum(axis=2, keepdims=True) / np.maximum(
        (recent * ~np.isnan(usual)).sum(axis=2, keepdims=True), SMALLEST
    )
    weight = weight / np.maximum(typical, SMALLEST)
    ratio = np.where(known, np.minimum(errors / np.where(known, usual, 1.0), _WORST), 0.0)
    over, under = (ratio * weight).sum(axis=2), (known * weight).sum(axis=2)
    here = (over + _EQUAL) / (under + _EQUAL)
    whole = ((over * lengths).sum(axis=0) + lengths.sum() * _EQUAL) / (
        (under * lengths).sum(axis=0) + lengths.sum() * _EQUAL
    )
    found: Floats = np.sqrt(here * whole)
    return found
