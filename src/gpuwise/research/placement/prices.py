"""The capacity that a GPU is expected to leave unused in the end, by its free capacity: duals of a linear program.

An arc-flow program (Valério de Carvalho, Annals of Operations Research 86, 1999): its nodes are amounts of free
capacity on a GPU, its arcs are pods. Pods are assumed to arrive at the same rates as so far, and a pod that fits is
never refused. So time is divided into periods: in each period but the last, every arriving pod is placed, until no GPU
fits the largest size that still arrived; in the last period the remaining sizes fill the rest. The program minimises
the capacity that is then left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, coo_array, csr_array, eye_array, hstack, vstack

from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, Ints

UNIT = 10
"""Milli of one step: 101 levels of free capacity; pods are rounded up."""
_LEVELS = WHOLE // UNIT + 1
# How many of the largest sizes end a period: with 2 instead of 1, gpushare100 ends 0.2 % fuller; 3 adds nothing.
_CUTS = 2
# The periods end when pods for this many times the fleet's GPUs have arrived. Without an end, small pods would finally
# fill any hole, and whole GPUs would have no value.
_HORIZON = 2.0


@dataclass(frozen=True, slots=True)
class _Period:
    """A period in which the same sizes are placed.

    Attributes:
        sizes: sizes of the arriving pods, units.
        rates: rate of each size, pods.
        end: at the end of the period no GPU has this much free capacity, units.
        level: free capacity before the pod, for each arc, units.
        kind: index of the size, for each arc.
    """

    sizes: Ints
    rates: Floats
    end: int
    level: Ints
    kind: Ints


def leftover(free: Ints, rates: Mapping[int, float]) -> Floats:
    """Expected unused capacity of a GPU by its free capacity, relative to other GPUs.

    Args:
        free: number of GPUs by free capacity in units of 10 milli, full GPUs included, shape (101,).
        rates: rate of requests for GPUs or shares of one, by size in units.

    Returns:
        GPU-milli, shape (1001,); smaller is better.
    """
    periods = _periods(rates)
    horizon = _horizon(periods, free)
    prices = _duals(periods, free, horizon) or _duals(periods, free, max(horizon, _longest(periods, free)))
    if prices is None:  # pragma: no cover - with the longest horizon, each period can end
        raise RuntimeError("the prices of free capacity have no solution")
    value = np.arange(_LEVELS, dtype=np.float64)
    for period, price in zip(reversed(periods), reversed(prices), strict=True):
        value = _before(value, period, price)
    return UNIT * value[np.arange(WHOLE + 1) // UNIT]


def _periods(rates: Mapping[int, float]) -> list[_Period]:
    sizes = sorted(rates, reverse=True)
    ends = [*sizes[: min(_CUTS, len(sizes) - 1)], _LEVELS]
    periods = []
    for number, end in enumerate(ends):
        coming = np.array(sizes[number:])
        level, kind = np.nonzero(np.arange(_LEVELS)[:, None] >= coming)
        periods.append(_Period(coming, np.array([rates[size] for size in sizes[number:]]), end, level, kind))
    return periods


def _horizon(periods: Sequence[_Period], free: Ints) -> float:
    """Number of pods until the end."""
    mean = float(periods[0].sizes @ periods[0].rates)
    needed = sum(float(free[period.end :].sum() / period.rates.sum()) for period in periods)
    return max(_HORIZON * float(free.sum() * (_LEVELS - 1)) / mean, needed)


def _longest(periods: Sequence[_Period], free: Ints) -> float:
    """Number of pods that is enough for each period to end: its pods fill all capacity that there is."""
    capacity = float(free @ np.arange(_LEVELS))
    return sum(capacity / float(one.sizes @ one.rates) for one in periods)


def _duals(periods: Sequence[_Period], free: Ints, horizon: float) -> list[Floats] | None:
    """The price of placing a pod, by period and size; None if the periods cannot end before the horizon.

    Columns by period: pods placed by arc, GPUs passed to the next period by level, length of the period. Rows by
    period: the balance of free capacity, and the arrival rates of pods.
    """
    last = periods[-1]
    blocks: list[list[csr_array | None]] = [[None] * (3 * len(periods)) for _ in range(2 * len(periods))]
    for number, period in enumerate(periods):
        keep, come = blocks[2 * number], blocks[2 * number + 1]
        keep[3 * number : 3 * number + 3] = _flow(period), csr_array(eye_array(_LEVELS)), csr_array((_LEVELS, 1))
        if number:
            keep[3 * number - 2] = csr_array(-eye_array(_LEVELS))
        come[3 * number], come[3 * number + 2] = _placed(period), csr_array(-period.rates[:, None])
    equal = block_array(blocks[:-1], format="csr")
    most = np.concatenate([_limits(one) for one in periods])
    supply = np.zeros(equal.shape[0])
    supply[:_LEVELS] = free
    cost = np.zeros(len(most))
    cost[-1 - _LEVELS : -1] = np.arange(_LEVELS)
    solved = linprog(  # type: ignore[call-overload]  # the stubs know no sparse constraints
        cost,
        A_eq=equal,
        b_eq=supply,
        A_ub=_at_most(periods),
        b_ub=np.r_[np.zeros(len(last.sizes)), horizon],
        bounds=np.stack([np.zeros(len(most)), most], axis=1),
        method="highs-ds",
    )
    if solved.x is None:
        return None
    return _by_period(periods, solved.eqlin.marginals, solved.ineqlin.marginals)


def _at_most(periods: Sequence[_Period]) -> csr_array:
    """In the last period at most the arriving pods are placed, and all periods together end at the horizon."""
    last = periods[-1]
    lengths = [np.r_[np.zeros(len(one.level) + _LEVELS), 1.0] for one in periods]
    come = [_placed(last), csr_array((len(last.sizes), _LEVELS)), csr_array(-last.rates[:, None])]
    before = csr_array((len(last.sizes), sum(map(len, lengths[:-1]))))
    return csr_array(vstack([hstack([before, *come]), csr_array(np.concatenate(lengths)[None, :])]))


def _limits(period: _Period) -> Floats:
    """Upper bounds of a period's columns."""
    go_on = np.where(np.arange(_LEVELS) < period.end, np.inf, 0.0)
    return np.concatenate([np.full(len(period.level), np.inf), go_on, [np.inf]])


def _flow(period: _Period) -> csr_array:
    """A pod on an arc moves a GPU from one level to another, shape (101, arcs)."""
    arcs = np.arange(len(period.level))
    after = period.level - period.sizes[period.kind]
    ones = np.ones(len(arcs))
    rows = np.r_[period.level, after]
    return csr_array(coo_array((np.r_[ones, -ones], (rows, np.r_[arcs, arcs])), shape=(_LEVELS, len(arcs))))


def _placed(period: _Period) -> csr_array:
    """The size that is placed on each arc, shape (sizes, arcs)."""
    arcs = np.arange(len(period.kind))
    shape = (len(period.sizes), len(arcs))
    return csr_array(coo_array((np.ones(len(arcs)), (period.kind, arcs)), shape=shape))


def _by_period(periods: Sequence[_Period], equal: Floats, unequal: Floats) -> list[Floats]:
    """The prices of sizes among the duals: from each period's last rows, and from the inequalities for the last one."""
    prices, row = [], 0
    for period in periods[:-1]:
        row += _LEVELS
        prices.append(equal[row : row + len(period.sizes)])
        row += len(period.sizes)
    return [*prices, unequal[: len(periods[-1].sizes)]]


def _before(value: Floats, period: _Period, prices: Floats) -> Floats:
    """Expected unused capacity at the start of a period, from that at its end: the cheapest path through its arcs."""
    cost = np.where(np.arange(_LEVELS) < period.end, value, np.inf)
    for level in range(_LEVELS):
        fits = period.sizes <= level
        cost[level] = min([cost[level], *(cost[level - period.sizes[fits]] - prices[fits])])
    return cost
