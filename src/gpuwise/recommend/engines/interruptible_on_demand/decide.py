"""The choice among waiting, spot and on-demand in one region."""

import numpy as np

from gpuwise.recommend.engines.interruptible_on_demand.grid import PROHIBITIVE, at_level
from gpuwise.recommend.engines.interruptible_on_demand.job import (
    Bools,
    Floats,
    Ints,
    Progress,
    Use,
    advance,
    after_steps,
    is_safe,
    slack_s,
)
from gpuwise.recommend.engines.interruptible_on_demand.values import SpotPlan


def decide_spot(plan: SpotPlan, now: Progress, belief: Floats, available: Bools, *, row: int) -> Ints:
    """What each job runs on in a row: the safe use with the lowest expected cost.

    On-demand is always safe, so by the lemma of `job` no deadline that can be met is missed.

    Args:
        plan: the plan of the job.
        now: progress of the jobs.
        belief: belief about the hidden state, with this row observed, shape (jobs, states).
        available: whether spot is available in this row, shape (jobs,).
        row: row of the job, from 0.

    Returns:
        A `Use` for each job; NONE for jobs that are done.
    """
    return np.where(now.done, int(Use.NONE), expected_usd(plan, now, belief, available, row=row).argmin(axis=1))


def expected_usd(plan: SpotPlan, now: Progress, belief: Floats, available: Bools, *, row: int) -> Floats:
    """Expected USD of each use in a row followed by the best choices; infinite if the use is not safe or not available.

    Args:
        plan: the plan of the job.
        now: progress of the jobs.
        belief: belief about the hidden state, with this row observed, shape (jobs, states).
        available: whether spot is available in this row, shape (jobs,).
        row: row of the job, from 0.

    Returns:
        USD by job and `Use`, shape (jobs, 3); on-demand is never infinite.
    """
    cost = np.stack([_cost(plan, now, belief, use, row=row) for use in Use], axis=1)
    cost[~available, Use.SPOT] = np.inf
    return cost


def _cost(plan: SpotPlan, now: Progress, belief: Floats, use: Use, *, row: int) -> Floats:
    """Expected USD of one use in this row followed by the best choices; infinite if the use is not safe."""
    job, uses = plan.job, np.full(len(now.left_s), int(use))
    anywhere = np.zeros(len(uses), dtype=np.int64)
    rows_left = job.rows - row
    safe = is_safe(job, advance(job, now, uses, anywhere), rows_left - 1)
    # The table has no steps shorter than its own, so a use is valued as if it lasted for one step of the table.
    steps = min(plan.grid.stride, rows_left)
    after, billed = after_steps(job, now, uses, anywhere, steps=steps)
    usd_h = {Use.NONE: 0.0, Use.SPOT: plan.spot_usd_h, Use.ON_DEMAND: job.on_demand_usd_h}[use]
    later = np.zeros(len(uses))
    if rows_left > steps:
        level = slack_s(job, after, rows_left - steps) / plan.grid.quantum_s
        later = at_level(plan.at(row + steps)[use], belief, level)
    cost = usd_h * job.step_h * billed + np.where(after.done, 0.0, later)
    return np.where(safe, cost, float(PROHIBITIVE) if use is Use.ON_DEMAND else np.inf)
