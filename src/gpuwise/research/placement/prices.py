"""What a GPU with so much free is expected to leave unused at the end: duals of a linear program over what is free.

An arc-flow program (Valério de Carvalho, Annals of Operations Research 86, 1999): its nodes are what is free on a GPU,
its arcs are pods. Pods come as they have come so far and one that fits is never refused, so time falls into periods: in
each but the last every pod that comes is placed, until no GPU has room for the largest that still came; in the last the
rest fills what is left. Least is what is then left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, coo_array, csr_array, eye_array, hstack, vstack

from gpuwise.research.placement.nodes import WHOLE, Floats, Ints

UNIT = 10
"""Milli of one step: 101 levels of what is free; pods are rounded up."""
_LEVELS = WHOLE // UNIT + 1
# How many of the largest sizes end a period: with 2 and not 1, gpushare100 ends 0.2 % fuller; 3 adds nothing.
_CUTS = 2
# All periods last no longer than until pods for so many times the fleet's GPUs have come. Without an end, an endless
# trickle of small pods would fill any hole, and nothing would be worth keeping whole.
_HORIZON = 2.0


@dataclass(frozen=True, slots=True)
class _Period:
    """A time in which the same sizes are placed.

    Attributes:
        sizes: of the pods that come, units.
        rates: of each, pods.
        end: at its end no GPU has this much free, units.
        level: of each arc, what is free before the pod, units.
        kind: of each arc, which size.
    """

    sizes: Ints
    rates: Floats
    end: int
    level: Ints
    kind: Ints


def leftover(free: Ints, asked: Mapping[int, float]) -> Floats:
    """Expected leftover of a GPU by what is free on it, relative to other GPUs.

    Args:
        free: GPUs by what is free, in units of 10 milli, full ones too, shape (101,).
        asked: rate of GPUs, or shares of one, asked for, by size in units.

    Returns:
        GPU-milli, shape (1001,); smaller is better.
    """
    periods = _periods(asked)
    prices = _duals(periods, free, _horizon(periods, free))
    value = np.arange(_LEVELS, dtype=np.float64)
    for period, price in zip(reversed(periods), reversed(prices), strict=True):
        value = _before(value, period, price)
    return UNIT * value[np.arange(WHOLE + 1) // UNIT]


def _periods(asked: Mapping[int, float]) -> list[_Period]:
    sizes = sorted(asked, reverse=True)
    ends = [*sizes[: min(_CUTS, len(sizes) - 1)], _LEVELS]
    periods = []
    for number, end in enumerate(ends):
        coming = np.array(sizes[number:])
        level, kind = np.nonzero(np.arange(_LEVELS)[:, None] >= coming)
        periods.append(_Period(coming, np.array([asked[size] for size in sizes[number:]]), end, level, kind))
    return periods


def _horizon(periods: Sequence[_Period], free: Ints) -> float:
    """Pods until the end; at least one for each GPU that a period has to end on, so that there is a solution."""
    mean = float(periods[0].sizes @ periods[0].rates)
    needed = sum(float(free[one.end :].sum() / one.rates.sum()) for one in periods)
    return max(_HORIZON * float(free.sum() * (_LEVELS - 1)) / mean, needed)


def _duals(periods: Sequence[_Period], free: Ints, horizon: float) -> list[Floats]:
    """The price of placing a pod, by period and size.

    Columns by period: pods placed by arc, GPUs that go on by level, its length. Rows by period: what is free is kept
    count of, and pods come at their rates.
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
    if solved.x is None:  # pragma: no cover - each GPU with room for the largest may take one pod, whatever comes
        raise RuntimeError(solved.message)
    return _by_period(periods, solved.eqlin.marginals, solved.ineqlin.marginals)


def _at_most(periods: Sequence[_Period]) -> csr_array:
    """In the last period no more pods are placed than come, and all periods are no longer than the horizon."""
    last = periods[-1]
    lengths = [np.r_[np.zeros(len(one.level) + _LEVELS), 1.0] for one in periods]
    come = [_placed(last), csr_array((len(last.sizes), _LEVELS)), csr_array(-last.rates[:, None])]
    before = csr_array((len(last.sizes), sum(map(len, lengths[:-1]))))
    return csr_array(vstack([hstack([before, *come]), csr_array(np.concatenate(lengths)[None, :])]))


def _limits(period: _Period) -> Floats:
    """The most that each column of a period may be."""
    go_on = np.where(np.arange(_LEVELS) < period.end, np.inf, 0.0)
    return np.concatenate([np.full(len(period.level), np.inf), go_on, [np.inf]])


def _flow(period: _Period) -> csr_array:
    """GPUs that a pod on an arc takes from one level and adds to another, shape (101, arcs)."""
    arcs = np.arange(len(period.level))
    after = period.level - period.sizes[period.kind]
    ones = np.ones(len(arcs))
    rows = np.r_[period.level, after]
    return csr_array(coo_array((np.r_[ones, -ones], (rows, np.r_[arcs, arcs])), shape=(_LEVELS, len(arcs))))


def _placed(period: _Period) -> csr_array:
    """Which size is placed on an arc, shape (sizes, arcs)."""
    arcs = np.arange(len(period.kind))
    shape = (len(period.sizes), len(arcs))
    return csr_array(coo_array((np.ones(len(arcs)), (period.kind, arcs)), shape=shape))


def _by_period(periods: Sequence[_Period], equal: Floats, unequal: Floats) -> list[Floats]:
    """The prices of sizes among the duals: those of each period's last rows, and of the inequalities for the last."""
    prices, row = [], 0
    for period in periods[:-1]:
        row += _LEVELS
        prices.append(equal[row : row + len(period.sizes)])
        row += len(period.sizes)
    return [*prices, unequal[: len(periods[-1].sizes)]]


def _before(value: Floats, period: _Period, prices: Floats) -> Floats:
    """Expected leftover at the start of a period, from that at its end: the cheapest path through its arcs."""
    found = np.where(np.arange(_LEVELS) < period.end, value, np.inf)
    for level in range(_LEVELS):
        fits = period.sizes <= level
        found[level] = min([found[level], *(found[level - period.sizes[fits]] - prices[fits])])
    return found
