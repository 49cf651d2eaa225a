"""Intervals from the errors of a forecast at earlier origins.

Conformal prediction on rolling origins: Vovk et al., Algorithmic Learning in a Random World, ch. 2.
"""

from itertools import pairwise

import numpy as np

from gpuwise.finops.forecast_candidates import SMALLEST
from gpuwise.finops.forecast_weights import edges
from gpuwise.finops.series import Floats

COVERAGE = 0.9
"""Share of future values that an interval is meant to contain."""

# docs/backtests.md, "forecast", says on which series the constants below were chosen.
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


def of_steps(error: Floats, age: Floats, m: int, present: float) -> tuple[Floats, Floats]:
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
    for a, b in pairwise(edges(m, horizon)):
        known = ~np.isnan(error[:, a:b])
        if known.any():
            centres.append((a + b - 1) / 2)
            ends = _quantiles(error[:, a:b][known][:, None], recent[:, a:b][known])
            low.append(float(ends[0][0]))
            high.append(float(ends[1][0]))
    steps = np.arange(horizon)
    widen = (_STEPS + _FEW / len(error)) / present**_MISSING
    return np.interp(steps, centres, low) * widen, np.interp(steps, centres, high) * widen


def of_sums(error: Floats, age: Floats, apart: float, present: float) -> tuple[Floats, Floats]:
    """The same for the sums of the next 1, 2, ... steps, from the origins that saw all of them.

    Args:
        error: as in `of_steps`; the sum of a stretch that is half known counts by its mean.
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
    above = np.minimum((up < (1 - _TAIL) * total - SMALLEST).sum(axis=0), last)
    below = np.maximum((down >= (1 - _TAIL) * total - SMALLEST).sum(axis=0) - 1, 0)
    ends = ordered[below, columns], ordered[above, columns]
    low, high = (np.where(np.isnan(end), 0.0, end) for end in ends)
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    few = known.sum(axis=0) < _BOTH_SIDES
    either = np.maximum(-low, high)
    return np.where(few, -either, low), np.where(few, either, high)
