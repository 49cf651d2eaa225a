"""A lower bound: the lowest cost if the whole window is known, by dynamic programming over slack.

A restart is subtracted from the slack when it begins: with the future known, no restart is begun that is not finished.
"""

import math

import numpy as np

from gpuwise.recommend.engines.interruptible_on_demand.job import Bools, Floats, Job

_PROHIBITIVE = 1e9

# The unit of slack is the greatest common divisor of all times in seconds. If that needs more levels than this, the
# unit is coarser, and times are rounded so that the result stays a lower bound.
_MOST_LEVELS = 5_000


def least_usd(job: Job, available: Bools, usd_h: Floats) -> Floats:
    """The lowest cost of each window, USD, shape (windows,).

    Args:
        job: the job.
        available: whether spot is available, shape (windows, rows, regions).
        usd_h: price of spot, same shape.
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
    """The values after a loss of slack."""
    if levels == 0:
        return values
    less = np.full_like(values, _PROHIBITIVE)
    less[..., levels:] = values[..., :-levels]
    return less
