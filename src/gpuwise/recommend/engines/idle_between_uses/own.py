"""What waits cost, or would have cost, on the endpoint's own earlier gaps: follow the leader."""

from collections.abc import Sequence

import numpy as np

from gpuwise.recommend.engines.idle_between_uses.decay import decayed_sums
from gpuwise.recommend.engines.idle_between_uses.hazard import EDGES_S
from gpuwise.recommend.engines.idle_between_uses.requests import Floats

# A gap weighs this beside the next one when waits are judged: about the last 100 gaps count.
_MEMORY = 0.99

# Cold starts by which another than the first adviser must have been better to be followed.
_LEAD = 2.0


def past_cost(gap_s: Floats, cold_start_cost_s: float, *, memory: float) -> Floats:
    """Discounted cost of each wait over the gaps before each gap.

    Args:
        gap_s: the endpoint's gaps in order, the last one not looked at, shape (n,).
        cold_start_cost_s: B.
        memory: weight of a gap beside the next one.

    Returns:
        For waits `EDGES_S`, shape (n, bins + 1); the first row 0.
    """
    finished = gap_s[:-1, None]
    cost = np.where(finished <= EDGES_S, finished, EDGES_S + cold_start_cost_s)
    return _discounted(cost, memory)


def best_adviser(advised_s: Sequence[Floats], gap_s: Floats, cold_start_cost_s: float) -> Floats:
    """For each gap, the wait of whoever advised best on the gaps before it; the first where none is clearly ahead.

    Args:
        advised_s: by adviser, a wait for each gap, each of shape (n,).
        gap_s: how long the gaps lasted, the last one not looked at, shape (n,).
        cold_start_cost_s: B.
    """
    advised = np.column_stack(advised_s)
    finished = gap_s[:-1, None]
    cost = np.where(finished <= advised[:-1], finished, advised[:-1] + cold_start_cost_s)
    regret = _discounted(cost, _MEMORY)
    regret[:, 1:] += _LEAD * cold_start_cost_s
    return np.asarray(np.take_along_axis(advised, regret.argmin(axis=1)[:, None], axis=1)[:, 0])


def _discounted(cost: Floats, memory: float) -> Floats:
    """Sum of the rows before each row, and one row more."""
    return np.vstack([np.zeros(cost.shape[1]), decayed_sums(cost, memory)])
