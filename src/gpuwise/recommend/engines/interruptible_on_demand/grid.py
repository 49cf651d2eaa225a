"""The grid of the cost-to-go table: by row and by slack, the time before the deadline that work does not need."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.interruptible_on_demand.job import Job

Values = NDArray[np.float32]

# USD for a missed deadline: far above any bill, and small enough that float32 still resolves cents next to it.
PROHIBITIVE = np.float32(1e5)

# Finer steps take proportionally more time, and spot availability rarely changes faster.
LEAST_STEP_S = 600.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and levels of slack of a table.

    Attributes:
        stride: rows of the job per row of the table.
        quantum_s: difference in slack between two levels, seconds.
        levels: number of levels of slack, from 0.
    """

    stride: int
    quantum_s: float
    levels: int

    def level(self, slack_s: float) -> float:
        """A time in units of levels."""
        return slack_s / self.quantum_s

    def finished(self, rows_left: int, step_s: float) -> NDArray[np.bool_]:
        """At which levels the work is done, shape (levels,).

        Args:
            rows_left: rows to the deadline.
            step_s: step of the job, seconds.
        """
        return np.arange(self.levels) * self.quantum_s >= rows_left * step_s - 1e-3


def grid_of(job: Job, most_levels: int, least_step_s: float = LEAST_STEP_S) -> Grid:
    """Choose a grid for a job; if possible an exact one, in which all times are multiples of the quantum.

    Args:
        job: the job.
        most_levels: maximum number of levels; if it is reached, levels are further apart and values are interpolated.
        least_step_s: shortest step of the table; with a shorter step of the job, a table row covers several rows.
    """
    stride = max(1, math.floor(least_step_s / job.step_s + 1e-9))
    times = [round(one) for one in (job.step_s * stride, job.restart_s, job.migration_s, job.work_s)]
    quantum_s = float(max(1, math.gcd(*times), math.ceil(job.slack_s / most_levels)))
    return Grid(stride, quantum_s, math.floor(job.slack_s / quantum_s) + 1)


def shifted(values: Values, levels: float) -> Values:
    """The values after a loss of slack; negative slack has a prohibitive value.

    Args:
        values: by slack, shape (..., levels).
        levels: loss of slack in levels, at least 0; interpolated linearly between two levels.
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
    """Values at given levels, interpolated linearly and averaged with given beliefs.

    Args:
        values: by hidden state and slack, shape (states, levels).
        belief: shape (n, states).
        level: shape (n,); clipped to the first and the last level.
    """
    level = np.clip(level, 0, values.shape[-1] - 1)
    low = np.floor(level).astype(np.int64)
    high = np.minimum(low + 1, values.shape[-1] - 1)
    share = (level - low)[:, None]
    between: NDArray[np.float64] = (1 - share) * values[:, low].T + share * values[:, high].T
    return np.asarray((belief * between).sum(axis=1))
