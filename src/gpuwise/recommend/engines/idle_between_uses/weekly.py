"""One wait for a week: the constant of an activator, such as KEDA's `cooldownPeriod`.

An activator stops an endpoint T seconds after its last request, with the same T for every gap, until someone sets
another one. `weekly_wait` chooses T once a week: the wait that would have cost least in the gaps of the past weeks
(follow the leader, Kalai and Vempala 2005), with a few invented gaps so that an endpoint with hardly any gaps of its
own does not follow chance.

With B the cost of a cold start, a gap of g seconds costs g if g <= T, else T + B, and the optimum in hindsight is
min(g, B).

**Resolution.** Requests are known by the step in which a sample shows them. A gap whose silent steps last s has a
length between s and s + 2 steps. For two independent times within their steps it has the triangular distribution on
this interval, over which the cost is averaged. Two neighbouring steps with requests may be one burst, or have a gap of
up to 2 steps between them: they count as half a gap.

**Worst case.** Theorem: for gaps of at least m seconds, in any number and order, the cost of a constant T is at most

    (T + B) / min(B, max(T, m))

times the optimum. Proof: cost and optimum are sums over the gaps, so their ratio is at most the largest ratio of one
gap. If g <= T, it is g / min(g, B) = max(1, g / B) <= max(1, T / B), which is at most the bound because min(B, .) <= B
and (T + B) / B >= max(1, T / B). If g > T, it is (T + B) / min(g, B), and g > T and g >= m. The bound is reached in the
limit by gaps slightly longer than max(T, m). For T >= m the gaps may be of any length, and the bound is
1 + max(T / B, B / T): 2 for T = B, as in Karlin et al., "Competitive snoopy caching" (1988).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError
from gpuwise.model.gaps import RequestGaps
from gpuwise.model.usage import DAY_S

Floats = NDArray[np.float64]

WEEK_S = 7 * DAY_S

# Quantiles of the triangular distribution on (0, 2), at the middles of 16 equal shares.
_SHARES = (np.arange(16) + 0.5) / 16
_TRIANGLE: Floats = np.where(_SHARES < 0.5, np.sqrt(2 * _SHARES), 2 - np.sqrt(2 * (1 - _SHARES)))

_PAIR_WEIGHT = 0.5
"""Weight of two neighbouring steps with requests: 0.25 to 0.5 give the same waits on GenTD26; with 1, waits of 0 are
never chosen where a cold start costs two steps."""

# The invented gaps: lognormal with a median of a minute, from seconds to days, as the gaps of any endpoint may be.
# Nothing is fitted: 1 to 30 gaps, and medians of 30 to 300 s, change the mean cost on GenTD26 by less than 0.6 %.
_INVENTED, _MEDIAN_S, _SIGMA = 10.0, 60.0, 2.2

# Candidates: 30 s to 18 h, each 12 % longer than the one before.
_CANDIDATES_S: Floats = np.round(np.geomspace(30.0, 64_800.0, 70))

_LEAD = 0.05
"""Another wait than B is chosen only if it would have cost this much less: B is at most twice the optimum, whatever
comes, and a smaller gain in the past says little about the next week."""

_SEEN_S = 60
"""With longer steps, the gaps within a session are not seen, and a wait of 0 would stop in each of them: on GenTD26
with steps of 300 s it costs up to 2.7 times what break-even costs."""


# The epoch began on a Thursday; weeks begin on a Monday, as in `gpuwise.model.profile.Rhythm`.
_FIRST_MONDAY_S = 4 * DAY_S


@dataclass(frozen=True, slots=True)
class Spent:
    """What gaps cost with some waits, and what they would have cost at least.

    Attributes:
        cost_s: idle seconds and cold starts, in seconds of an idle GPU.
        optimum_s: sum of min(gap, B).
    """

    cost_s: float
    optimum_s: float

    @property
    def ratio(self) -> float | None:
        """Cost over optimum; None without a gap."""
        return self.cost_s / self.optimum_s if self.optimum_s > 0.0 else None

    def __add__(self, other: "Spent") -> "Spent":
        """The cost of both."""
        return Spent(self.cost_s + other.cost_s, self.optimum_s + other.optimum_s)


def weekly_wait(gaps: RequestGaps, cold_start_cost_s: float) -> int:
    """Choose one wait for the coming week from the gaps so far.

    Args:
        gaps: the gaps before the week, and none of the week itself.
        cold_start_cost_s: B.

    Returns:
        Seconds after the last request: 0 if steps are at most 60 s, else at least one step or B.

    Raises:
        InputError: the cost of a cold start is not a positive number.
    """
    if not (0 < cold_start_cost_s < np.inf):
        told = f"the cost of a cold start is {cold_start_cost_s:g} s"
        raise InputError(told, hint="give a positive number of seconds")
    waits_s, pair, invented = _candidates(gaps.step_s, cold_start_cost_s)
    cost = _past_cost(gaps, waits_s, cold_start_cost_s, pair) + invented
    cost[0] *= 1 - _LEAD
    return math.ceil(float(waits_s[np.argmin(cost)]))


@lru_cache(maxsize=1_000)
def _candidates(step_s: int, cold_start_cost_s: float) -> tuple[Floats, Floats, Floats]:
    """The waits to choose from, B first, and with each the cost of a pair of requests and of the invented gaps."""
    least_s = min(step_s, cold_start_cost_s)
    never = [0.0] if step_s <= _SEEN_S else []
    waits_s = np.concatenate(([cold_start_cost_s, least_s], _CANDIDATES_S[least_s < _CANDIDATES_S], never))
    pair = _cost(_lengths_of_pair(step_s), waits_s, cold_start_cost_s)
    return waits_s, pair, _INVENTED * _invented_cost(waits_s, cold_start_cost_s)


def worst_ratio(wait_s: float, cold_start_cost_s: float, least_gap_s: float) -> float:
    """Upper bound on cost over optimum for any gaps of at least some length: the theorem above.

    Args:
        wait_s: T, the same for all gaps.
        cold_start_cost_s: B.
        least_gap_s: m, above 0.
    """
    return (wait_s + cold_start_cost_s) / min(cold_start_cost_s, max(wait_s, least_gap_s))


def spent(gaps: RequestGaps, wait_s: float, cold_start_cost_s: float) -> Spent:
    """What gaps cost with one wait.

    Args:
        gaps: the gaps; one that is still open counts with its length so far.
        wait_s: T.
        cold_start_cost_s: B.
    """
    waits_s, starts_s, pair = _beside_optimum(gaps.step_s, wait_s, cold_start_cost_s)
    return Spent(*_past_cost(gaps, waits_s, starts_s, pair).tolist())


@lru_cache(maxsize=1_000)
def _beside_optimum(step_s: int, wait_s: float, cold_start_cost_s: float) -> tuple[Floats, Floats, Floats]:
    """A wait and that of the optimum, and with each the cost of a start and that of a pair of requests."""
    # min(g, B) is what a gap costs with T = B, less the cold start.
    waits_s, starts_s = np.array([wait_s, cold_start_cost_s]), np.array([cold_start_cost_s, 0.0])
    return waits_s, starts_s, _cost(_lengths_of_pair(step_s), waits_s, starts_s)


def replayed(gaps: RequestGaps, cold_start_cost_s: float) -> Spent | None:
    """What the past weeks cost, each with the wait that was chosen from all before it; None for a week or less.

    Args:
        gaps: of the past weeks; weeks are counted back from the end, and the first may be a part of one.
        cold_start_cost_s: B.
    """
    weeks = -(-(gaps.end_s - gaps.start_s) // WEEK_S)
    total: Spent | None = None
    for back in range(weeks - 1, 0, -1):
        from_s = gaps.end_s - back * WEEK_S
        wait_s = weekly_wait(gaps.between(gaps.start_s, from_s), cold_start_cost_s)
        cost = spent(gaps.between(from_s, from_s + WEEK_S), wait_s, cold_start_cost_s)
        total = cost if total is None else total + cost
    return total


def past_weeks(gaps: RequestGaps, look_back_from_s: int) -> RequestGaps:
    """The past before the last revision, from which the present wait follows.

    The wait is revised on Mondays at 00:00 UTC, and at each midnight until a week lies before a Monday. A look-back
    moves by a day each day: of an endpoint that existed at its beginning, only as many whole weeks count as are in it
    on each day of the week.

    Args:
        gaps: up to now.
        look_back_from_s: beginning of the look-back.
    """
    monday_s = gaps.end_s - (gaps.end_s - _FIRST_MONDAY_S) % WEEK_S
    start_s = gaps.start_s
    if start_s < look_back_from_s + WEEK_S:
        weeks = (gaps.end_s - look_back_from_s - (WEEK_S - DAY_S)) // WEEK_S
        start_s = max(start_s, monday_s - WEEK_S * weeks)
    if monday_s - start_s >= WEEK_S:
        return gaps.between(start_s, monday_s)
    return gaps.between(gaps.start_s, gaps.end_s - gaps.end_s % DAY_S)


def _past_cost(gaps: RequestGaps, waits_s: Floats, cold_start_cost_s: float | Floats, pair: Floats) -> Floats:
    """Cost of all gaps with each wait, averaged over what their lengths may be; `pair` is that of two requests."""
    whole = _cost(_lengths(gaps.lasted_s, gaps.step_s), waits_s, cold_start_cost_s)
    return np.asarray(whole + _PAIR_WEIGHT * float(np.add.reduce(gaps.pairs)) * pair)


def _lengths(lasted_s: NDArray[Any], step_s: int) -> tuple[Floats, Floats]:
    """What the lengths of gaps may be, ascending, and the sum of those before each, so also before none."""
    lengths_s = (lasted_s[:, None] + step_s * _TRIANGLE).ravel()
    lengths_s.sort()
    below_s = np.zeros(lengths_s.size + 1)
    lengths_s.cumsum(out=below_s[1:])
    return lengths_s, below_s


@lru_cache(maxsize=1_000)
def _lengths_of_pair(step_s: int) -> tuple[Floats, Floats]:
    return _lengths(np.zeros(1), step_s)


def _cost(lengths: tuple[Floats, Floats], waits_s: Floats, cold_start_cost_s: float | Floats) -> Floats:
    lengths_s, below_s = lengths
    ended = lengths_s.searchsorted(waits_s, side="right")
    return np.asarray((below_s[ended] + (lengths_s.size - ended) * (waits_s + cold_start_cost_s)) / _TRIANGLE.size)


def _invented_cost(waits_s: Floats, cold_start_cost_s: float) -> Floats:
    """Expected cost of one invented gap with each wait."""
    z = np.log(np.maximum(waits_s, 1e-9) / _MEDIAN_S) / _SIGMA
    mean_below_s = _MEDIAN_S * np.exp(_SIGMA**2 / 2) * _normal(z - _SIGMA)
    return np.asarray(mean_below_s + (1 - _normal(z)) * (waits_s + cold_start_cost_s))


def _normal(z: Floats) -> Floats:
    """Distribution function of the standard normal distribution."""
    return np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z.tolist()])
