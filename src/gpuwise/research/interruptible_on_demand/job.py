"""What a step does to a job, and which steps are safe: on-demand alone can still meet the deadline afterwards.

Lemma. Call a job safe with n rows left if it is done, or runs on on-demand with left + pending <= n steps, or does not
and left + restart <= n steps. On-demand leads from safe with n to safe with n - 1: one step of it takes one step off
left + pending (a launch makes pending the restart; it stays in the region, so nothing migrates). So a job that is safe
at the start and takes only steps that end safe, or on-demand, is safe with 0 rows left: it is done. At the start safe
means work + restart <= deadline, and without that nobody meets it, for spot takes as long. Hence no deadline that can
be met is missed, whatever becomes available.
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

# Far above the rounding of hours to seconds, far below any step.
EPSILON_S = 1e-3


class Use(IntEnum):
    """What a job runs on during a step."""

    NONE = 0
    SPOT = 1
    ON_DEMAND = 2


@dataclass(frozen=True, slots=True)
class Job:
    """Work with a deadline; a step is decided at its start and billed whole.

    Attributes:
        work_s: compute that it takes, seconds; spot and on-demand are equally fast.
        deadline_s: from the first row, seconds.
        restart_s: lost at every launch or switch, seconds.
        step_s: between decisions, seconds.
        on_demand_usd_h: price of on-demand.
        migration_s: lost besides where the region is another than the last, seconds.

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
        """Refuse what cannot be done."""
        if min(self.work_s, self.step_s) <= 0 or min(self.restart_s, self.migration_s) < 0:
            raise InputError("work and step are not above 0, or restart or migration is below", hint="give real times")
        if self.work_s + self.restart_s > self.rows * self.step_s + EPSILON_S:
            raise InputError(
                f"{self.work_s / 3600:g} h of work and {self.restart_s / 3600:g} h of restart do not fit "
                f"into {self.rows} steps of {self.step_s:g} s before the deadline",
                hint="give a later deadline",
            )

    @property
    def rows(self) -> int:
        """Whole steps before the deadline."""
        return math.floor(self.deadline_s / self.step_s + 1e-9)

    @property
    def step_h(self) -> float:
        """Hours that one step is billed."""
        return self.step_s / 3600

    @property
    def slack_s(self) -> float:
        """Time before the deadline that is not work, seconds."""
        return self.rows * self.step_s - self.work_s


@dataclass(frozen=True, slots=True)
class Standing:
    """Where several jobs stand before a step; arrays of shape (jobs,).

    Attributes:
        left_s: work left, seconds; 0 or less is done.
        pending_s: left of a restart that is under way, seconds.
        use: of the last step, a `Use`.
        region: last one that it ran in; -1 before the first.
    """

    left_s: Floats
    pending_s: Floats
    use: Ints
    region: Ints

    @property
    def done(self) -> Bools:
        """Whose work is done."""
        return self.left_s <= EPSILON_S

    def of(self, jobs: Ints) -> "Standing":
        """Some of the jobs.

        Args:
            jobs: their numbers, shape (fewer,).
        """
        return Standing(self.left_s[jobs], self.pending_s[jobs], self.use[jobs], self.region[jobs])


def begin(job: Job, jobs: int) -> Standing:
    """Jobs before their first step.

    Args:
        job: what each of them is.
        jobs: how many.
    """
    nothing = np.zeros(jobs, dtype=np.int64)
    return Standing(np.full(jobs, job.work_s), np.zeros(jobs), nothing, nothing - 1)


def advance(job: Job, now: Standing, use: Ints, region: Ints) -> Standing:
    """Jobs after a step.

    Args:
        job: what each of them is.
        now: before it.
        use: what each runs on in it, a `Use`; a spot that was lost or left must be launched anew.
        region: where; not looked at where nothing runs.
    """
    runs = use != Use.NONE
    launched = (use != now.use) | (region != now.region)
    moved = (now.region >= 0) & (region != now.region)
    pending = np.where(launched, job.restart_s + moved * job.migration_s, now.pending_s) * runs
    restarting = np.minimum(pending, job.step_s)
    gained = np.where(runs, job.step_s - restarting, 0.0)
    return Standing(now.left_s - gained, pending - restarting, use, np.where(runs, region, now.region))


def held(job: Job, now: Standing, use: Ints, region: Ints, *, steps: int) -> tuple[Standing, Ints]:
    """Jobs after several steps of one use, and how many of them each is billed: none once it is done.

    Args:
        job: what each of them is.
        now: before the first.
        use: what each runs on, a `Use`.
        region: where.
        steps: how many.
    """
    billed = np.zeros(len(now.left_s), dtype=np.int64)
    for _ in range(steps):
        billed += ~now.done
        now = advance(job, now, use, region)
    return now, billed


def is_safe(job: Job, after: Standing, rows_left: int) -> Bools:
    """Whether on-demand alone still meets the deadline.

    Args:
        job: what each of them is.
        after: where the jobs stand.
        rows_left: steps from there to the deadline.
    """
    needed_s = after.left_s + np.where(after.use == Use.ON_DEMAND, after.pending_s, job.restart_s)
    return after.done | (needed_s <= rows_left * job.step_s + EPSILON_S)


def slack_s(job: Job, after: Standing, rows_left: int) -> Floats:
    """Time to the deadline that neither work nor a restart under way needs, seconds.

    Args:
        job: what each of them is.
        after: where the jobs stand.
        rows_left: steps from there to the deadline.
    """
    return rows_left * job.step_s - after.left_s - after.pending_s
