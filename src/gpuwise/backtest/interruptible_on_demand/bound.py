"""What nobody can beat: the least cost when the whole window is known, by dynamic programming over slack.

A restart is charged to the slack when it begins: who knows the future begins none that is not finished.
"""

import math

import numpy as np

from gpuwise.research.interruptible_on_demand.job import Bools, Floats, Job

_PROHIBITIVE = 1e9

# Slack is counted in the greatest common divisor of all times in seconds; above this many levels, in coarser ones,
# rounded so that the bound stays one.
_MOST_LEVELS = 5_000


def least_usd(job: Job, available: Bools, usd_h: Floats) -> Floats:
    """The least cost of each window, USD, shape (windows,).

    Args:
        job: what is run.
        available: whether spot can be had, shape (windows, rows, regions).
        usd_h: its price, of the same shape.
    """
    times = [round(one) for one in (job.step_s, job.restart_s, job.migration_s, job.work_s)]
    quantum_s = max(1, math.gcd(*times), math.ceil(job.slack_s / _MOST_LEVELS))
    step, restart, move = (
        math.floor(one / quantum_s + 1e-9) for one in (job.step_s, job.restart_s, job.restart_s + job.migration_s)
    )
    levels = np.arange(math.ceil(job.slack_s / quantum_s - 1e-9) + 1)
    shape = (*available.shape[::2], len(levels))
    waiting, on_demand, spot = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    nowhere = np.zeros((shape[0], shape[2]))
    for row in range(job.rows - 1, -1, -1):
        have = available[:, row, :, None]
        keep_spot = np.where(have, usd_h[:, row, :, None] * job.step_h + spot, _PROHIBITIVE)
        keep_on_demand = job.on_demand_usd_h * job.step_h + on_demand
        start = np.minimum(keep_spot, keep_on_demand)
        nowhere = np.minimum(_less(nowhere, step), _less(start, restart).min(axis=1))
        here = np.minimum(_less(waiting, step), _less(start, restart))
        waiting = np.minimum(here, _less(start.min(axis=1), move)[:, None])
        on_demand, spot = np.minimum(waiting, keep_on_demand), np.minimum(waiting, keep_spot)
        done = levels * quantum_s >= (job.rows - row) * job.step_s - 1e-3
        for values in (waiting, on_demand, spot, nowhere):
            values[..., done] = 0.0
    return nowhere[:, -1]


def _less(values: Floats, levels: int) -> Floats:
    """Values with that much less slack."""
    if levels == 0:
        return values
    less = np.full_like(values, _PROHIBITIVE)
    less[..., levels:] = values[..., :-levels]
    return less
