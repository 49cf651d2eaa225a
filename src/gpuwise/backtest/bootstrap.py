"""Bootstrap intervals: how far a figure may be from that of a longer trace."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.contract import Figure

# Enough that the interval's ends move by less than a tenth of its width from seed to seed.
_DRAWS = 1_000
_LOW, _HIGH = 0.05, 0.95
_SEED = 20_261_122


def ratio_of_sums(over: NDArray[np.float64], under: NDArray[np.float64], *, less: float = 0.0) -> Figure:
    """sum(over) / sum(under) - less, with an interval from drawing units with replacement.

    Args:
        over: numerator by unit (window, endpoint, pod), shape (n,).
        under: denominator by unit, shape (n,).
        less: subtracted from the ratio, 1.0 for "above the optimum".
    """
    return figure(np.stack([over, under], axis=1), lambda sums: sums[..., 0] / sums[..., 1] - less)


def figure(units: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Figure:
    """A statistic of column sums over units, with its 90 % interval (Efron's percentile bootstrap).

    Args:
        units: one row per unit, shape (n, k).
        statistic: function from sums of shape (..., k) to values of shape (...).
    """
    count = len(units)
    # 0 / 0 is NaN and has no interval. A draw may also be NaN if it contains no unit with a denominator.
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(units.sum(axis=0)))
        if count < 2 or np.isnan(value):
            return Figure(value)
        drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), size=_DRAWS)
        low, high = np.nanquantile(statistic(drawn @ units), [_LOW, _HIGH])
    return Figure(value, float(low), float(high))
