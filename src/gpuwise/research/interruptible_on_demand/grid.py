"""The grid on which the cost to go is tabulated: by row and by slack, the time before the deadline that is not work."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.research.interruptible_on_demand.job import Job

Values = NDArray[np.float32]

# USD for a deadline that is missed: far above any bill, and float32 still tells cents apart next to a share of it.
PROHIBITIVE = np.float32(1e5)

# A table of finer steps costs time in proportion, and spot seldom changes faster.
_LEAST_STEP_S = 600.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and levels of slack of a table.

    Attributes:
        stride: rows of the job to one of the table.
        quantum_s: slack from level to level, seconds.
        levels: of slack, from 0.
    """

    stride: int
    quantum_s: float
    levels: int

    def level(self, slack_s: float) -> float:
        """A time in levels."""
        return slack_s / self.quantum_s

    def finished(self, rows_left: int, step_s: float) -> NDArray[np.bool_]:
        """At which levels nothing is left to do, shape (levels,).

        Args:
            rows_left: to the deadline.
            step_s: of the job, seconds.
        """
        return np.arange(self.levels) * self.quantum_s >= rows_left * step_s - 1e-3


def grid_of(job: Job, most_levels: int, least_step_s: float = _LEAST_STEP_S) -> Grid:
    """A grid that is exact where it can be: all times are multiples of its quantum.

    Args:
        job: for which it is.
        most_levels: of slack; above that, levels lie further apart and values between them are interpolated.
        least_step_s: of the table; a shorter step of the job makes several rows one.
    """
    stride = max(1, math.floor(least_step_s / job.step_s + 1e-9))
    times = [round(one) for one in (job.step_s * stride, job.restart_s, job.migration_s, job.work_s)]
    quantum_s = float(max(1, math.gcd(*times), math.ceil(job.slack_s / most_levels)))
    return Grid(stride, quantum_s, math.floor(job.slack_s / quantum_s) + 1)


def shifted(values: Values, levels: float) -> Values:
    """Values with that much less slack; less than none is prohibitive.

    Args:
        values: by slack, shape (..., levels).
        levels: how much less, not below 0; between two levels by linear interpolation.
    """
    whole = math.floor(levels)
    share = np.float32(levels - whole)
    if share < 1e-6:
        return _shifted(values, whole)
    return (1 - share) * _shifted(values, whole) + share * _shifted(values, whole + 1)


def _shifted(values: Values, levels: int) -> Values:
    if levels == 0:
        return values
    less = np.full_like(values, PROHIBITIVE)
    less[..., levels:] = values[..., :-levels]
    return less


def at_level(values: Values, belief: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at a level each, linear between two, weighed by a belief each.

    Args:
        values: by hidden state and slack, shape (states, levels).
        belief: shape (n, states).
        level: shape (n,); below the first the first counts, beyond the last the last.
    """
    level = np.clip(level, 0, values.shape[-1] - 1)
    low = np.floor(level).astype(np.int64)
    high = np.minimum(low + 1, values.shape[-1] - 1)
    share = (level - low)[:, None]
    between: NDArray[np.float64] = (1 - share) * values[:, low].T + share * values[:, high].T
    return np.asarray((belief * between).sum(axis=1))
