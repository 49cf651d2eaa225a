"""Forecasts a cost or use from its own past, with an interval for each step and for the sum of the next steps.

A set of simple forecasts is played from every earlier origin (forecast_candidates). Each gets a weight by its errors
there (forecast_weights), and the errors of the weighted mean are the interval (forecast_intervals).
"""

from dataclasses import dataclass, field

import numpy as np

from gpuwise.finops.forecast_candidates import Scale, median, play
from gpuwise.finops.forecast_intervals import of_steps, of_sums
from gpuwise.finops.forecast_weights import weights_of
from gpuwise.finops.series import Floats

# A value below this share of its neighbours and of the same phase of other seasons is a gap of the source.
_DROPOUT = 0.15
# With a season this short every step is an origin; with a longer one, two in each season.
_SHORT = 12


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


def _forecast(values: Floats, unit: float, m: int, cycle: int, horizon: int, present: float) -> Forecast:
    scale = Scale.of(values)
    played = play(values, _shifts(m), scale, m, cycle, horizon)
    weights = weights_of(played if m <= _SHORT else played[:1], m, horizon, positive=scale.offset is not None)
    means = [one.mean(weights) for one in played]
    error = np.concatenate([one.truth - mean for one, mean in zip(played, means, strict=True)])
    age = np.concatenate([one.age for one in played])
    mean, total = means[0][-1], np.cumsum(means[0][-1])
    least = -np.inf if np.nanmin(values) < 0 else 0.0
    steps = of_steps(error, age, m, present)
    sums = of_sums(error, age, m / len(played), present)
    return Forecast(
        unit * mean,
        unit * np.maximum(mean + steps[0], least),
        unit * (mean + steps[1]),
        (unit * np.maximum(total + sums[0], least), unit * (total + sums[1])),
    )


def _shifts(m: int) -> list[int]:
    return list(range(m)) if m <= _SHORT else [0, m // 2]


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
    usual = np.tile(median(phases.reshape(-1, m)[-7:]), len(phases) // m)[len(phases) - count :]
    # At either end there are neighbours on one side only.
    low = np.fmin(np.fmin(before, after), usual)
    found = values.copy()
    found[values < _DROPOUT * low] = np.nan
    return found
