"""The cost that each wait had, or would have had, in the endpoint's own earlier gaps: follow the leader."""

from collections.abc import Sequence

import numpy as np

from gpuwise.research.idle_between_uses.decay import decayed_sums
from gpuwise.research.idle_between_uses.hazard import EDGES_S
from gpuwise.research.idle_between_uses.requests import Floats

# Weight of a gap relative to the next one when experts are compared: about the last 100 gaps count.
_MEMORY = 0.99

# Another expert replaces the first one only if it was better by the cost of this many cold starts.
_LEAD = 2.0


def past_cost(gap_s: Floats, cold_start_cost_s: float, *, memory: float) -> Floats:
    """Discounted cost of each wait over the gaps before each gap.

    Args:
        gap_s: the endpoint's gaps in order, shape (n,); the last one is not used.
        cold_start_cost_s: B.
        memory: weight of a gap relative to the next one.

    Returns:
        For waits `EDGES_S`, shape (n, bins + 1); the first row 0.
    """
    finished = gap_s[:-1, None]
    cost = np.where(finished <= EDGES_S, finished, EDGES_S + cold_start_cost_s)
    return _discounted(cost, memory)


def best_expert(advised_s: Sequence[Floats], gap_s: Floats, cold_start_cost_s: float) -> Floats:
    """For each gap, the wait of the expert that was best in the gaps before it; of the first if no other is ahead.

    Args:
        advised_s: for each expert, the wait for each gap, shape (n,).
        gap_s: how long the gaps lasted, shape (n,); the last one is not used.
        cold_start_cost_s: B.
    """
    advised = np.column_stack(advised_s)
    finished = gap_s[:-1, None]
    cost = np.where(finished <= advised[:-1], finished, advised[:-1] + cold_start_cost_s)
    regret = _discounted(cost, _MEMORY)
    regret[:, 1:] += _LEAD * cold_start_cost_s
    return np.asarray(np.take_along_axis(advised, regret.argmin(axis=1)[:, None], axis=1)[:, 0])


def _discounted(cost: Floats, memory: float) -> Floats:
    """Discounted sums of the rows before each row, and a final row with the sum of all rows."""
    return np.vstack([np.zeros(cost.shape[1]), decayed_sums(cost, memory)])
