"""What jobs with a deadline run on until the next pass of the loop, from their progress and their prices now.

There are two choices. On spot only, a job uses spot whenever it is available and waits otherwise, without a decision:
its pods wait for a spot node. On on-demand, it runs until the next pass. The table of values has rows between the
passes in which nothing is decided.

Between two passes spot can go at once, or take the progress of the step with it, and the next pass can be late. So two
conditions are stricter than those of `job`. Until the next pass spot counts for safety as no progress. And a job must
be done a margin before its deadline, so that passes may be late by it.

Lemma. Spot is chosen only if the work left and a restart fit into the time from the next pass to the deadline less the
margin. So on-demand alone still meets that time at the next pass, even without any progress until then, and it meets
the deadline itself if that pass is late by at most the margin. On on-demand, the work left and the rest of the restart
fall as fast as the time to the deadline. So a deadline that on-demand alone can meet at the first pass, with the
margin, is met, provided that on-demand is always available and as fast as measured, that a restart takes no longer than
the setting, and that the choices are carried out.
"""

from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.decide import expected_usd
from gpuwise.recommend.engines.interruptible_on_demand.grid import LEAST_STEP_S
from gpuwise.recommend.engines.interruptible_on_demand.job import Bools, Floats, Ints, Job, Progress, Use
from gpuwise.recommend.engines.interruptible_on_demand.values import SpotPlan, plan_spot

# With deadlines of 52 and 70 h, half the rows or three times the levels change the mean cost by 0.03 points or less.
_MOST_ROWS, _MOST_LEVELS = 600, 100


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for all jobs that are decided together.

    Attributes:
        left_s: time from this pass to the deadline, seconds.
        margin_s: time before the deadline by which the jobs must be done, seconds; passes may be late by it.
        interval_s: time to the next pass, seconds.
        restart_s: time lost at every launch or switch, seconds.
        on_demand_usd_h: price of on-demand of a whole job.
        spot_usd_h: price of spot of a whole job.
    """

    left_s: float
    margin_s: float
    interval_s: float
    restart_s: float
    on_demand_usd_h: float
    spot_usd_h: float

    @property
    def span_s(self) -> float:
        """Time in which the jobs must be done, seconds."""
        return self.left_s - self.margin_s


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What each job runs on until the next pass.

    Attributes:
        use: ON_DEMAND, or SPOT or NONE for a job on spot only, as spot is available or not; NONE if it is done.
        usd: expected USD from now on by job and `Use`; infinite if a use is not safe or not possible, and NaN for
            on-demand if nothing else is safe. Shape (jobs, 3).
    """

    use: Ints
    usd: Floats


def next_step(terms: Terms, model: AvailabilityModel, now: Progress, belief: Floats, available: Bools) -> Choices:
    """Choose what each job runs on until the next pass.

    Args:
        terms: deadline, interval and prices.
        model: the model of spot availability.
        now: progress of the jobs, as far as it is saved: what a restart does not repeat.
        belief: belief about the hidden state with this pass observed, shape (jobs, states).
        available: whether spot is available now, shape (jobs,).
    """
    usd = np.full((len(now.left_s), len(Use)), np.inf)
    usd[:, Use.ON_DEMAND] = np.nan
    free = np.flatnonzero(~now.done & (now.left_s + terms.restart_s <= terms.span_s - terms.interval_s))
    if len(free):
        plan = _plan(terms, model, float(now.left_s[free].min()))
        usd[free] = expected_usd(plan, now.of(free), belief[free], available[free], row=0)
        usd[available, Use.NONE] = np.inf
    best = np.where(np.isnan(usd), np.finfo(np.float64).max, usd).argmin(axis=1)
    return Choices(np.where(now.done, int(Use.NONE), best), usd)


def _plan(terms: Terms, model: AvailabilityModel, least_left_s: float) -> SpotPlan:
    """The values after the first row. Whole rows fill the time to the deadline; none is shorter than intended."""
    intended_s = max(LEAST_STEP_S, terms.span_s / _MOST_ROWS)
    every = max(1, round(terms.interval_s / intended_s))
    step_s = terms.span_s / int(terms.span_s / (terms.interval_s / every))
    return plan_spot(
        Job(least_left_s, terms.span_s, terms.restart_s, step_s, terms.on_demand_usd_h),
        model,
        spot_usd_h=terms.spot_usd_h,
        most_levels=_MOST_LEVELS,
        least_step_s=max(step_s, intended_s) if every == 1 else step_s,
        rows=1,
        every=every,
    )
