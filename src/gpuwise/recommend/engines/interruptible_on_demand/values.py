"""The expected cost from each state of a job in one region: dynamic programming over rows, slack and belief.

The value is assumed to be linear in the belief, with the best choice for each hidden state and each possible next
observation ("fast informed bound", Hauskrecht 2000, section 4.2). This is a lower bound on the cost of any policy, and
tighter than assuming that the hidden state is known. On series drawn from the model itself, the policy derived from it
costs at most 1.9 % more than the bound (4 h of slack, restarts of 12 minutes), and not measurably more in other cases.

A restart is subtracted from the slack when it begins. If spot is lost during the restart, the rest of it is not added
to the slack again. This is pessimistic by less than a restart, and measured no worse than one state for each step of a
restart.
"""

import math
from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.grid import LEAST_STEP_S, Grid, Values, grid_of, shifted
from gpuwise.recommend.engines.interruptible_on_demand.job import Job, Use

# More than the 661 levels of 22 h of slack in steps of 2 minutes, so that the grid is exact; half as many cost 0.1 %.
_MOST_LEVELS = 700


@dataclass(frozen=True, slots=True, eq=False)
class SpotPlan:
    """The expected cost of a job from each row on, in one region.

    Attributes:
        job: the job.
        model: the model of spot availability.
        grid: the grid of the values.
        spot_usd_h: price of spot.
        values: expected USD before a row is observed, given the hidden state in the row before; by table row (the
            first is row 1), `Use` of the row before, hidden state and slack, shape (n, 3, states, levels).
    """

    job: Job
    model: AvailabilityModel
    grid: Grid
    spot_usd_h: float
    values: Values

    def at(self, row: int) -> Values:
        """The values before a row, or those of the last table row before it.

        Args:
            row: row of the job, at least 1.
        """
        values: Values = self.values[(row - 1) // self.grid.stride]
        return values


def plan_spot(
    job: Job,
    model: AvailabilityModel,
    *,
    spot_usd_h: float,
    most_levels: int = _MOST_LEVELS,
    least_step_s: float = LEAST_STEP_S,
    rows: int | None = None,
    every: int = 1,
) -> SpotPlan:
    """Compute the expected cost of a job from each row on.

    Args:
        job: the job.
        model: the model of spot availability.
        spot_usd_h: price of spot.
        most_levels: maximum number of levels of slack; fewer are faster and coarser.
        least_step_s: shortest step of the table; longer ones are faster and coarser.
        rows: how many of the first table rows are kept; None keeps all.
        every: a decision is made in every so many rows, from the first on. Between them a job that does not run on
            on-demand runs on spot whenever it is available, and waits otherwise.
    """
    grid = grid_of(job, most_levels, least_step_s)
    steps = math.ceil((job.rows - 1) / grid.stride)
    kept = steps + 1 if rows is None else min(rows, steps + 1)
    values = np.zeros((kept, len(Use), len(model.up), grid.levels), dtype=np.float32)
    later = np.zeros(values.shape[1:], dtype=np.float32)
    step = _Step.of(job, model, grid, spot_usd_h)
    for index in range(steps - 1, -1, -1):
        later = step.back(later) if (index + 1) % every == 0 else step.kept(later)
        later[..., grid.finished(job.rows - 1 - index * grid.stride, job.step_s)] = 0.0
        if index < kept:
            values[index] = later
    return SpotPlan(job, model, grid, spot_usd_h, values)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """Computes one row of the table from the next."""

    to_up: Values
    to_down: Values
    spot_usd: np.float32
    on_demand_usd: np.float32
    wait: float
    restart: float

    @classmethod
    def of(cls, job: Job, model: AvailabilityModel, grid: Grid, spot_usd_h: float) -> "_Step":
        moved = model.transition(job.step_s * grid.stride).astype(np.float32)
        hours = job.step_h * grid.stride
        return cls(
            to_up=moved * model.up,
            to_down=moved * ~model.up,
            spot_usd=np.float32(spot_usd_h * hours),
            on_demand_usd=np.float32(job.on_demand_usd_h * hours),
            wait=grid.level(job.step_s * grid.stride),
            restart=grid.level(job.restart_s),
        )

    def kept(self, later: Values) -> Values:
        """As `back`, in a row without a decision: spot whenever it is available, or on-demand as before."""
        up, down = self.to_up @ later, self.to_down @ later
        chance_up, chance_down = (to.sum(axis=1, keepdims=True) for to in (self.to_up, self.to_down))
        spot = self.spot_usd * chance_up + up[Use.SPOT]
        waits = shifted(down[Use.NONE], self.wait)
        on_demand = self.on_demand_usd * (chance_up + chance_down) + up[Use.ON_DEMAND] + down[Use.ON_DEMAND]
        return np.stack([shifted(spot, self.restart) + waits, spot + waits, on_demand])

    def back(self, later: Values) -> Values:
        """By use, hidden state and slack: the cost of the best choice for each observation, weighted by probability."""
        up, down = self.to_up @ later, self.to_down @ later
        chance_up, chance_down = (to.sum(axis=1, keepdims=True) for to in (self.to_up, self.to_down))
        spot = self.spot_usd * chance_up + up[Use.SPOT]
        on_demand_up = self.on_demand_usd * chance_up + up[Use.ON_DEMAND]
        on_demand_down = self.on_demand_usd * chance_down + down[Use.ON_DEMAND]
        launch_up = np.minimum(shifted(up[Use.NONE], self.wait), shifted(np.minimum(spot, on_demand_up), self.restart))
        launch_down = np.minimum(shifted(down[Use.NONE], self.wait), shifted(on_demand_down, self.restart))
        stay_on_demand = np.minimum(launch_up, on_demand_up) + np.minimum(launch_down, on_demand_down)
        return np.stack([launch_up + launch_down, np.minimum(launch_up, spot) + launch_down, stay_on_demand])
