"""The policy in one region: it meets deadlines, does not use the future, and makes the obvious choices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.recommend.engines.interruptible_on_demand.availability import fitted, joined
from gpuwise.recommend.engines.interruptible_on_demand.decide import decide_spot
from gpuwise.recommend.engines.interruptible_on_demand.job import Job, Use, advance, begin
from gpuwise.recommend.engines.interruptible_on_demand.prior import ZONE
from gpuwise.recommend.engines.interruptible_on_demand.values import plan_spot

MODEL = joined([fitted(*constants) for constants in ZONE])


def plan(work_h=6.0, deadline_h=8.0, restart_h=0.2, step_s=600.0, spot_usd_h=1.0):
    job = Job(work_h * 3600, deadline_h * 3600, restart_h * 3600, step_s, 3.0)
    return plan_spot(job, MODEL, spot_usd_h=spot_usd_h)


PLANS = [
    plan(),
    plan(restart_h=0.05, deadline_h=6.5),
    plan(step_s=180.0, restart_h=0.33),
    plan(step_s=1800.0, restart_h=1.1),
    plan(step_s=420.0, restart_h=0.0, deadline_h=7.013),
]


def played(plan, available):
    """Uses by row, and the progress of the job at the deadline."""
    now, belief, uses = begin(plan.job, 1), MODEL.start[None], []
    moved = MODEL.transition(plan.job.step_s)
    for row in range(plan.job.rows):
        seen = np.array([available[row % len(available)]])
        belief = MODEL.observe(belief @ moved if row else belief, seen)
        use = decide_spot(plan, now, belief, seen, row=row)
        assert seen[0] or use[0] != Use.SPOT
        now = advance(plan.job, now, use, np.zeros(1, dtype=np.int64))
        uses.append(Use(int(use[0])))
    return uses, now


@settings(max_examples=60)
@given(st.sampled_from(range(len(PLANS))), st.lists(st.booleans(), min_size=1, max_size=300))
def test_no_deadline_that_can_be_met_is_missed(which, available):
    _, now = played(PLANS[which], available)
    assert now.done[0]


@pytest.mark.parametrize("restart_h", [0.0, 0.05, 0.5])
def test_the_tightest_deadline_is_met_on_on_demand_only(restart_h):
    tight = plan(deadline_h=6.0 + (0 if restart_h == 0 else 0.5), restart_h=restart_h)
    for available in ([False], [True], [True, False]):
        uses, now = played(tight, available)
        assert now.done[0]
        assert restart_h < 0.5 or set(uses) == {Use.ON_DEMAND}


def test_spot_that_is_always_available_is_used_at_once_and_kept():
    uses, _ = played(PLANS[0], [True])
    assert uses[:38] == [Use.SPOT] * 38
    assert uses[-1] == Use.NONE


def test_spot_at_the_price_of_on_demand_is_not_used():
    uses, _ = played(plan(spot_usd_h=3.0), [True, False, False])
    assert Use.SPOT not in uses[:36]


@given(st.lists(st.booleans(), min_size=96, max_size=96), st.integers(1, 47))
@settings(max_examples=20)
def test_the_future_changes_no_past_decision(available, row):
    other = available[:row] + [not one for one in available[row:]]
    assert played(PLANS[0], available)[0][:row] == played(PLANS[0], other)[0][:row]


def test_more_slack_never_costs_more():
    values = PLANS[0].values
    assert (np.diff(values, axis=-1) <= 1e-3 * values[..., :-1] + 1e-3).all()
