"""What the days after an action would have cost without it: ordinary least squares on the days before.

The daily cost before is a mean for each day of the week, a part that follows the demand of the day where that was
measured, and a trend where it is plain. Where one step in it is plain, only the days since then count. Its errors are
independent from day to day; that is the limit of the interval.
Formulas: Draper and Smith, Applied Regression Analysis, 3rd edition, sections 1.4, 5.1 and 8.1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK_D = 7
RECENT_D = 28
"""Days before an action whose weekdays are its counterfactual: four weeks."""
LONG_D = 56
"""Days before an action from which a trend is measured."""
LEAST_D = 7
_TREND_D = 42
"""Known days that a trend needs: six weeks. With four, the trend of a flat series cost more than it told."""
_PLAIN = 3.0
"""Standard errors from which a trend is plain: 0.3 % of the series without one have it."""
_DEMAND_D = 14
"""Days before with a known demand that a slope needs: two of each day of the week."""
_UNSEEN = 0.1
"""Share of the cost by which a demand may move it if nothing is known of how the cost follows demand."""
_Z = 1.7
"""Half width of a 90 % interval in standard deviations: 1.645 of a normal distribution, with which 89.6 % of 12,000
intervals were right, because a trend is looked for first."""
_SMALL = 1e-9
_TREND_ERROR = 0.1
"""Least standard error of a trend, as a share of it: also one without noise goes on only about as it was."""
_STEP = 6.0
"""Standard errors from which a step is plain: the largest of 23 cuts of four weeks of noise has it once in 17,000."""
_STEP_D = 3
"""Known days on each side of a step."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Dollars saved by the days after an action.

    Attributes:
        saved_usd: the cost that they would have had, less the one that they had; None if that is not known.
        low_usd, high_usd: its 90 % interval.
        method: what the days after were compared with.
        why_none: why the saving is not known, "" if it is.
    """

    saved_usd: float | None
    low_usd: float | None
    high_usd: float | None
    method: str
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """The daily demand of a workload.

    Attributes:
        name: what measures it, for people: "requests".
        before: of the days before, as the cost; NaN if unknown.
        after: of the days after.
        why_none: why it cannot be used, "" if it can.
    """

    name: str
    before: Floats
    after: Floats
    why_none: str = ""


def compare(before: Floats, after: Floats, demand: Demand, *, gap_d: int) -> Counterfactual:
    """Compare days with those before them.

    Args:
        before: daily dollars, the last one next to the action, shape (up to `LONG_D`,); NaN if unknown.
        after: daily dollars since the action, shape (n,); at least one is known.
        demand: the demand of both.
        gap_d: days from the first one before to the first one after.
    """
    recent = before.copy()
    recent[:-RECENT_D] = np.nan
    whole = recent
    why = demand.why_none or _unusable(demand, recent, after)
    columns: list[tuple[Floats, Floats]] = [] if why else [(demand.before, demand.after)]
    method = f"same days of the week, at the demand ({demand.name})" if not why else "same days of the week"
    fit = _with_trend(before, after, columns, gap_d)
    if fit is not None:
        known = ~np.isnan(after)
        return _saved(fit, fit.expected(known), after, f"{method}, with the trend before{_because(why)}")
    recent = _since_step(recent, after, columns, gap_d)
    if recent is not whole:
        method = f"{method}, since its cost changed"
        if int((~np.isnan(recent)).sum()) < LEAST_D:
            why = f"its cost had changed by itself, and fewer than {LEAST_D} days between that and the action are known"
            return Counterfactual(None, None, None, method, why)
        why = demand.why_none or _unusable(demand, recent, after)
        columns = [] if why else columns
    fit = _fit(recent, after, columns, gap_d)
    if fit is None:
        return _saved(None, np.zeros(0), after, method + _because(why))
    known = ~np.isnan(after)
    if not columns:
        return _saved(fit, fit.expected(known), after, method + _because(why))
    return _at_demand(fit, after, demand, recent, method)


def _with_trend(before: Floats, after: Floats, columns: list[tuple[Floats, Floats]], gap_d: int) -> "_Fit | None":
    """A fit with a trend, None where there is none: too few days, not plain, or better explained by one step."""
    since = int(np.argmax(np.nan_to_num(before) > 0.0))  # the days before the workload existed are no part of a trend
    alive = before.copy()
    alive[:since] = np.nan
    if int((~np.isnan(alive)).sum()) < _TREND_D:
        return None
    at = np.arange(len(before), dtype=np.float64)
    ahead = np.arange(len(after), dtype=np.float64) + gap_d
    # A trend goes on for as long as it was seen, and no longer.
    fit = _fit(alive, after, [*columns, (at, np.minimum(ahead, at[-1] + len(at) - since))], gap_d)
    without = _fit(alive, after, columns, gap_d)
    if fit is None or without is None:
        return None
    if abs(fit.slopes[-1]) <= _PLAIN * math.sqrt(fit.covariance[-1, -1]) + _SMALL * float(np.nanmean(alive)):
        return None
    left = without.residuals
    if float((fit.residuals**2).sum()) >= min(_within(left, cut) for cut in range(1, len(left))):
        return None
    fit.covariance[-1, -1] = max(fit.covariance[-1, -1], (_TREND_ERROR * fit.slopes[-1]) ** 2)
    return fit


def _within(values: Floats, cut: int) -> float:
    """The sum of squares around two means, before and after a cut."""
    return float(sum(((part - part.mean()) ** 2).sum() for part in (values[:cut], values[cut:])))


def _since_step(before: Floats, after: Floats, columns: list[tuple[Floats, Floats]], gap_d: int) -> Floats:
    """The days before, without those earlier than a plain step in their cost; the same array if there is none."""
    fit = _fit(before, after, columns, gap_d)
    if fit is None:
        return before
    left, used = fit.residuals, np.flatnonzero(_used(before, columns))
    cuts = range(_STEP_D, len(left) - _STEP_D + 1)
    if len(left) <= WEEK_D or not cuts:
        return before
    cut = min(cuts, key=lambda at: _within(left, at))
    size = abs(float(left[cut:].mean() - left[:cut].mean()))
    error = math.sqrt(_within(left, cut) / (len(left) - 2) * (1 / cut + 1 / (len(left) - cut)))
    if size <= _STEP * error + _SMALL * float(np.nanmean(before)):
        return before
    since = before.copy()
    since[: used[cut]] = np.nan
    return _since_step(since, after, columns, gap_d)


def _because(why: str) -> str:
    return f"; demand: {why}" if why else ""


def _unusable(demand: Demand, before: Floats, after: Floats) -> str:
    seen = int((~np.isnan(demand.before) & ~np.isnan(before)).sum())
    if seen < _DEMAND_D:
        return f"{demand.name} of {seen} days before are known, {_DEMAND_D} are needed"
    lacking = int((np.isnan(demand.after) & ~np.isnan(after)).sum())
    return f"{demand.name} of {lacking} days after are not known" if lacking else ""


@dataclass(frozen=True, slots=True)
class _Fit:
    """A mean for each day of the week, and slopes.

    Attributes:
        means: of the days after, without slopes, shape (n,).
        shares: sum over the weekdays of the squares of (days after) / (days before), for the error of their means.
        moves: columns of the days after, less the means of their weekdays before, shape (n, slopes).
        slopes: dollars for each unit.
        covariance: of the slopes.
        residuals: of the known days before.
        sigma: standard deviation of a day.
        free: degrees of freedom.
    """

    means: Floats
    shares: float
    moves: Floats
    slopes: Floats
    covariance: Floats
    residuals: Floats
    sigma: float
    free: int

    def expected(self, known: NDArray[np.bool_]) -> Floats:
        """The cost of the known days after, never below 0."""
        found: Floats = np.maximum((self.means + self.moves @ self.slopes)[known], 0.0)
        return found


def _fit(before: Floats, after: Floats, columns: list[tuple[Floats, Floats]], gap_d: int) -> _Fit | None:
    """Fit the known days before; None if they leave no degree of freedom."""
    x = np.stack([one for one, _ in columns], axis=1) if columns else np.zeros((len(before), 0))
    ahead = np.stack([one for _, one in columns], axis=1) if columns else np.zeros((len(after), 0))
    used = _used(before, columns)
    weekday, later = np.arange(len(before)) % WEEK_D, (np.arange(len(after)) + gap_d) % WEEK_D
    known = ~np.isnan(after)
    y_mean, x_mean = np.zeros(WEEK_D), np.zeros((WEEK_D, x.shape[1]))
    shares = 0.0
    for day in range(WEEK_D):
        same = used & (weekday == day)
        same = same if same.any() else used  # a day of the week that is not known has the mean of all
        y_mean[day], x_mean[day] = before[same].mean(), x[same].mean(axis=0)
        shares += float((known & (later == day)).sum()) ** 2 / float(same.sum())
    y, moved = (before - y_mean[weekday])[used], (x - x_mean[weekday])[used]
    free = len(y) - WEEK_D - x.shape[1]
    if free < 1 and (x.shape[1] or len(y) < LEAST_D):
        return None
    squares = moved.T @ moved
    # A column that never moved beside the weekday tells nothing: its slope is 0, and anything within its error.
    inverse: Floats = np.linalg.pinv(squares, rcond=1e-10, hermitian=True).astype(np.float64)
    slopes = inverse @ (moved.T @ y)
    residuals = y - moved @ slopes
    # Seven days show no error of their own: it is taken for as large as a day.
    sigma = math.sqrt(float((residuals**2).sum()) / free) if free > 0 else abs(float(before[used].mean()))
    return _Fit(
        y_mean[later], shares, ahead - x_mean[later], slopes, sigma**2 * inverse, residuals, sigma, max(free, 1)
    )


def _used(before: Floats, columns: list[tuple[Floats, Floats]]) -> NDArray[np.bool_]:
    """The days whose cost and columns are known."""
    used: NDArray[np.bool_] = ~np.isnan(before)
    for one, _ in columns:
        used &= ~np.isnan(one)
    return used


def _t(free: int) -> float:
    """Half width of a 90 % interval by Student's distribution (Abramowitz and Stegun 26.7.5)."""
    z = _Z
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)


def _saved(fit: _Fit | None, expected: Floats, after: Floats, method: str) -> Counterfactual:
    known = ~np.isnan(after)
    if fit is None:
        return Counterfactual(None, None, None, method, "too few days before it are known")
    saved = float((expected - after[known]).sum())
    move = fit.moves[known].sum(axis=0)
    width = _t(fit.free) * math.sqrt(
        fit.sigma**2 * (float(known.sum()) + fit.shares) + float(move @ fit.covariance @ move)
    )
    return Counterfactual(saved, saved - width, saved + width, method)


def _at_demand(fit: _Fit, after: Floats, demand: Demand, before: Floats, method: str) -> Counterfactual:
    """At the demand of each day: the cost follows it by the slope observed, between not at all and in proportion."""
    known = ~np.isnan(after)
    both = ~np.isnan(before) & ~np.isnan(demand.before)
    usual, cost = float(demand.before[both].mean()), float(before[both].mean())
    most = cost / usual if usual > 0 else 0.0
    half = _t(fit.free) * math.sqrt(float(fit.covariance[0, 0]))
    moved = float(np.nanstd(demand.before[both])) > _SMALL * usual
    ends = [min(max(float(fit.slopes[0]) + end, 0.0), most) for end in (-half, half)] if moved else [0.0, most]
    move = float(fit.moves[known, 0].sum())
    unseen = usual <= 0.0 and float(np.nansum(demand.after[known])) > 0.0
    far = abs(move) * most > _UNSEEN * float(fit.means[known].sum())
    if unseen or (far and ends[1] - ends[0] > 0.5 * most):
        why = f"the demand ({demand.name}) moved, and how the cost follows it was not observed before"
        return Counterfactual(None, None, None, method, why)
    slope = min(max(float(fit.slopes[0]), 0.0), most)
    expected = np.maximum((fit.means + fit.moves[:, 0] * slope)[known], 0.0)
    saved = float((expected - after[known]).sum())
    noise = _t(fit.free) * fit.sigma * math.sqrt(float(known.sum()) + fit.shares)
    # Both ends have the error of the slope, also where it is limited: with a limited one, 89 % of intervals were right.
    width = math.hypot(noise, move * (half if moved else most))
    return Counterfactual(saved, saved - width, saved + width, method)
