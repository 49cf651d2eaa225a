"""The effect of a step on a job, and which steps are safe: on-demand alone can still meet the deadline afterwards.

Lemma. A job with n rows left is safe if it is done, or if it runs on on-demand and left + pending <= n steps, or if it
does not and left + restart <= n steps. A step on on-demand leads from safe with n rows to safe with n - 1 rows: it
reduces left + pending by one step (a launch sets pending to the restart; the job stays in its region, so there is no
migration). So a job that is safe at the start, and that only takes steps that end safe or are on on-demand, is safe
with 0 rows left: it is done. At the start, safe means work + restart <= deadline; otherwise no policy can meet the
deadline, because spot takes as long. So no deadline that can be met is missed, for any availability of spot.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Far above the rounding error of hours in seconds, far below any step.
EPSILON_S = 1e-3


class Use(IntEnum):
    """What a job runs on during a step."""

    NONE = 0
    SPOT = 1
    ON_DEMAND = 2


@dataclass(frozen=True, slots=True)
class Job:
    """Work with a deadline; a step is decided at its start and billed in full.

    Attributes:
        work_s: compute time that it needs, seconds; spot and on-demand are equally fast.
        deadline_s: time from the first row to the deadline, seconds.
        restart_s: time lost at every launch or switch, seconds.
        step_s: time between decisions, seconds.
        on_demand_usd_h: price of on-demand.
        migration_s: additional time lost if the region changes, seconds.

    Raises:
        InputError: a length is not positive, or the deadline cannot be met even on on-demand.
    """

    work_s: float
    deadline_s: float
    restart_s: float
    step_s: float
    on_demand_usd_h: float
    migration_s: float = 0.0

    def __post_init__(self) -> None:
        """Check that the times are valid and that the deadline can be met."""
        if min(self.work_s, self.step_s) <= 0 or min(self.restart_s, self.migration_s) < 0:
            raise InputError(
                "work and step must be above 0, restart and migration at least 0", hint="give times in that range"
            )
        if self.work_s + self.restart_s > self.rows * self.step_s + EPSILON_S:
            raise InputError(
                f"{self.work_s / 3600:g} h of work and {self.restart_s / 3600:g} h of restart do not fit "
                f"into {self.rows} steps of {self.step_s:g} s before the deadline",
                hint="give a later deadline",
            )

    @property
    def rows(self) -> int:
        """Number of whole steps before the deadline."""
        return math.floor(self.deadline_s / self.step_s + 1e-9)

    @property
    def step_h(self) -> float:
        """Hours that are billed for one step."""
        return self.step_s / 3600

    @property
    def slack_s(self) -> float:
        """Time before the deadline that the work does not need, seconds."""
        return self.rows * self.step_s - self.work_s


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of several jobs before a step; arrays of shape (jobs,).

    Attributes:
        left_s: work left, seconds; 0 or less means done.
        pending_s: rest of a restart in progress, seconds.
        use: the `Use` of the last step.
        region: the last region in which the job ran; -1 if it never ran.
    """

    left_s: Floats
    pending_s: Floats
    use: Ints
    region: Ints

    @property
    def done(self) -> Bools:
        """Which jobs are done."""
        return self.left_s <= EPSILON_S

    def of(self, jobs: Ints) -> "Progress":
        """The progress of some of the jobs.

        Args:
            jobs: their indices, shape (fewer,).
        """
        return Progress(self.left_s[jobs], self.pending_s[jobs], self.use[jobs], self.region[jobs])


def begin(job: Job, jobs: int) -> Progress:
    """The progress of several equal jobs before their first step.

    Args:
        job: the job.
        jobs: how many.
    """
    nothing = np.zeros(jobs, dtype=np.int64)
    return Progress(np.full(jobs, job.work_s), np.zeros(jobs), nothing, nothing - 1)


def advance(job: Job, now: Progress, use: Ints, region: Ints) -> Progress:
    """The progress after a step.

    Args:
        job: the job.
        now: progress before the step.
        use: the `Use` of each job in the step; spot that was lost or left must be launched again.
        region: the region of each job; ignored if it does not run.
    """
    runs = use != Use.NONE
    launched = (use != now.use) | (region != now.region)
    moved = (now.region >= 0) & (region != now.region)
    pending = np.where(launched, job.restart_s + moved * job.migration_s, now.pending_s) * runs
    restarting = np.minimum(pending, job.step_s)
    gained = np.where(runs, job.step_s - restarting, 0.0)
    return Progress(now.left_s - gained, pending - restarting, use, np.where(runs, region, now.region))


def after_steps(job: Job, now: Progress, use: Ints, region: Ints, *, steps: int) -> tuple[Progress, Ints]:
    """The progress after several steps of one use, and the number of billed steps; none are billed after a job is done.

    Args:
        job: the job.
        now: progress before the first step.
        use: the `Use` of each job.
        region: the region of each job.
        steps: how many.
    """
    billed = np.zeros(len(now.left_s), dtype=np.int64)
    for number in range(steps):
        if number and not now.pending_s.any():
            return _without_restarts(job, now, billed, steps=steps - number)
        billed += ~now.done
        now = advance(job, now, use, region)
    return now, billed


def _without_restarts(job: Job, now: Progress, billed: Ints, *, steps: int) -> tuple[Progress, Ints]:
    """Further steps of the same use, at once: before a deadline in the year 9999 there are millions of them."""
    runs = now.use != Use.NONE
    needed = np.ceil((now.left_s - EPSILON_S) / job.step_s)
    more = np.where(runs, np.clip(needed, 0, steps), np.where(now.done, 0, steps)).astype(np.int64)
    left_s = now.left_s - np.where(runs, steps * job.step_s, 0.0)
    return Progress(left_s, now.pending_s, now.use, now.region), billed + more


def is_safe(job: Job, after: Progress, rows_left: int) -> Bools:
    """Whether on-demand alone still meets the deadline.

    Args:
        job: the job.
        after: progress of the jobs.
        rows_left: steps from there to the deadline.
    """
    needed_s = after.left_s + np.where(after.use == Use.ON_DEMAND, after.pending_s, job.restart_s)
    return after.done | (needed_s <= rows_left * job.step_s + EPSILON_S)


def slack_s(job: Job, after: Progress, rows_left: int) -> Floats:
    """Time to the deadline that neither the work nor a restart in progress needs, seconds.

    Args:
        job: the job.
        after: progress of the jobs.
        rows_left: steps from there to the deadline.
    """
    return rows_left * job.step_s - after.left_s - after.pending_s
