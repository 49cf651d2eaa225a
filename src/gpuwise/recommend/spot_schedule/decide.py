"""The choice among waiting, spot and on-demand in one region."""

import numpy as np

from gpuwise.recommend.spot_schedule.grid import PROHIBITIVE, at_level
from gpuwise.recommend.spot_schedule.job import Bools, Floats, Ints, Standing, Use, advance, is_safe, slack_s
from gpuwise.recommend.spot_schedule.values import SpotPlan


def decide_spot(plan: SpotPlan, now: Standing, belief: Floats, available: Bools, *, row: int) -> Ints:
    """What each job runs on in a row: the use of least expected cost among those that are safe.

    On-demand is always among them, so that the lemma of `job` holds: no deadline that can be met is missed.

    Args:
        plan: of the job.
        now: where the jobs stand.
        belief: of the hidden state, with this row seen, shape (jobs, states).
        available: whether spot can be had in this row, shape (jobs,).
        row: of the job, from 0.

    Returns:
        A `Use` for each; NONE for those that are done.
    """
    cost = np.stack([_cost(plan, now, belief, use, row=row) for use in Use], axis=1)
    cost[~available, Use.SPOT] = np.inf
    return np.where(now.done, int(Use.NONE), cost.argmin(axis=1))


def _cost(plan: SpotPlan, now: Standing, belief: Floats, use: Use, *, row: int) -> Floats:
    """Expected USD of one use in this row and the best afterwards; infinite where it is not safe."""
    job, jobs = plan.job, len(now.left_s)
    rows_left = job.rows - row - 1
    after = advance(job, now, np.full(jobs, int(use)), np.zeros(jobs, dtype=np.int64))
    spent = job.step_h * {Use.NONE: 0.0, Use.SPOT: plan.spot_usd_h, Use.ON_DEMAND: job.on_demand_usd_h}[use]
    if rows_left == 0:
        later = np.zeros(jobs)
    else:
        level = slack_s(job, after, rows_left) / plan.grid.quantum_s
        later = at_level(plan.at(row + 1)[use], belief, level)
    cost = spent + np.where(after.done, 0.0, later)
    unsafe = float(PROHIBITIVE) if use is Use.ON_DEMAND else np.inf
    return np.where(is_safe(job, after, rows_left), cost, unsafe)
