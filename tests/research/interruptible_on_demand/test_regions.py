"""The policy among regions: deadlines, causality, and an expensive region that always has spot."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.recommend.engines.interruptible_on_demand.availability import fitted
from gpuwise.recommend.engines.interruptible_on_demand.job import Job, Use, advance, begin
from gpuwise.recommend.engines.interruptible_on_demand.prior import UNION, ZONE
from gpuwise.research.interruptible_on_demand.regions import RegionScheduler

HOUR_S = 3600


def scheduler(work_h=6.0, deadline_h=9.0, restart_h=0.2, migration_h=0.3, step_s=600.0):
    job = Job(work_h * HOUR_S, deadline_h * HOUR_S, restart_h * HOUR_S, step_s, 3.0, migration_h * HOUR_S)
    return RegionScheduler(job, fitted(*ZONE[0]), fitted(*UNION[0]))


def played(scheduler, available, usd_h):
    """Choices by row, and the progress of the job at the deadline; `available` has shape (rows, regions)."""
    now, seen, plan, choices = begin(scheduler.job, 1), None, None, []
    for row in range(scheduler.job.rows):
        if now.done[0]:
            break
        there, prices = np.asarray(available[row % len(available)]), np.asarray(usd_h[row % len(usd_h)])
        seen = scheduler.observe(seen, there, prices)
        if scheduler.keeps(now, there, prices, row=row):
            choice = (Use.SPOT, int(now.region[0]))
        else:
            if plan is None or scheduler.is_old(plan, row=row):
                plan = scheduler.plan(seen, prices, row=row)
            choice = scheduler.decide(plan, seen, now, there, prices, row=row)
        assert choice[0] is not Use.SPOT or there[choice[1]]
        now = advance(scheduler.job, now, np.array([choice[0]]), np.array([choice[1]]))
        choices.append(choice)
    return choices, now


def several(rows, regions=3):
    return st.lists(st.lists(st.booleans(), min_size=regions, max_size=regions), min_size=rows, max_size=rows)


@settings(max_examples=25)
@given(several(30), st.lists(st.floats(0.2, 8.0), min_size=3, max_size=3), st.sampled_from([0.0, 0.2, 0.9]))
def test_no_deadline_that_can_be_met_is_missed(available, usd_h, migration_h):
    _, now = played(scheduler(migration_h=migration_h, deadline_h=7.0), available, [usd_h])
    assert now.done[0]


@settings(max_examples=8)
@given(several(54), st.integers(1, 53))
def test_the_future_changes_no_past_decision(available, row):
    other = available[:row] + [[not one for one in there] for there in available[row:]]
    prices, later = [[1.0, 1.1, 0.9]] * 54, [[1.0, 1.1, 0.9]] * row + [[2.0, 0.5, 1.5]] * (54 - row)
    first, second = (played(scheduler(), *trace)[0][:row] for trace in ((available, prices), (other, later)))
    assert first == second


def test_a_region_that_always_has_spot_at_four_times_the_price_is_not_used():
    """Cheap spot alternates between two regions every 4 h: the cheap regions do the work, the expensive one none."""
    turns = [[row // 24 % 2 == 0, row // 24 % 2 == 1, True] for row in range(216)]
    choices, _ = played(scheduler(work_h=18, deadline_h=30), turns, [[0.7, 0.7, 2.8]])
    used = [choice for choice in choices if choice[0] is not Use.NONE]
    assert sum(use is Use.SPOT and region < 2 for use, region in used) > 0.6 * len(used)
    assert (Use.SPOT, 2) not in used


def test_an_expensive_region_below_the_on_demand_price_is_used_if_there_is_no_other():
    alone = [[False, False, True]]
    choices, _ = played(scheduler(work_h=8, deadline_h=9), alone, [[0.4, 0.4, 1.6]])
    assert {use for use, region in choices if region == 2} == {Use.SPOT}
    assert Use.SPOT in {use for use, _ in choices}


def test_a_region_above_the_on_demand_price_is_never_used():
    choices, _ = played(scheduler(work_h=8, deadline_h=9), [[False, False, True]], [[0.97, 0.97, 3.88]])
    assert Use.SPOT not in {use for use, _ in choices}
