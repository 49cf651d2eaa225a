"""What a job runs on until the next pass: deadlines are met although spot goes between passes and passes are late."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.recommend.engines.interruptible_on_demand.availability import fitted
from gpuwise.recommend.engines.interruptible_on_demand.job import Progress, Use
from gpuwise.recommend.engines.interruptible_on_demand.next_step import Terms, next_step
from gpuwise.recommend.engines.interruptible_on_demand.prior import ZONE

MODEL = fitted(*ZONE[0])
HOUR_S = 3_600.0
PRICES = {"on_demand_usd_h": 3.0, "spot_usd_h": 1.0}


def terms(left_h, *, margin_h=1.0, interval_h=1.0, restart_h=0.1, **prices):
    return Terms(left_h * HOUR_S, margin_h * HOUR_S, interval_h * HOUR_S, restart_h * HOUR_S, **(PRICES | prices))


def progress(left_h, use=Use.NONE, pending_h=0.0):
    one = np.array([int(use)])
    return Progress(np.array([left_h * HOUR_S]), np.array([pending_h * HOUR_S]), one, np.zeros_like(one))


def chosen(about, now, *, available, belief=None):
    found = next_step(about, MODEL, now, MODEL.start[None] if belief is None else belief, np.array([available]))
    return Use(int(found.use[0])), found.usd[0]


def test_spot_that_is_there_is_used_while_there_is_slack():
    assert chosen(terms(10.0), progress(4.0), available=True)[0] is Use.SPOT


def test_without_spot_a_job_with_much_slack_waits():
    assert chosen(terms(60.0), progress(4.0), available=False)[0] is Use.NONE


def test_spot_at_the_price_of_on_demand_is_not_used_by_a_job_on_on_demand():
    now = progress(4.0, Use.ON_DEMAND)
    assert chosen(terms(10.0, spot_usd_h=3.0), now, available=True)[0] is Use.ON_DEMAND


@pytest.mark.parametrize(
    ("left_h", "use"), [(6.2, Use.SPOT), (6.0, Use.ON_DEMAND), (4.0, Use.ON_DEMAND), (0.5, Use.ON_DEMAND)]
)
def test_spot_is_left_when_a_step_without_progress_would_be_one_too_many(left_h, use):
    """4 h of work, 6 minutes of restart, an hour to the next pass and an hour of margin: 6.1 h."""
    found, usd = chosen(terms(left_h), progress(4.0, Use.SPOT), available=True)
    assert found is use
    assert np.isinf(usd[Use.SPOT]) == (use is Use.ON_DEMAND)


def test_a_job_that_is_done_runs_on_nothing():
    assert chosen(terms(6.0), progress(0.0, Use.SPOT), available=True)[0] is Use.NONE


def test_the_cost_of_the_choice_is_the_lowest():
    use, usd = chosen(terms(30.0), progress(4.0), available=True)
    assert usd[use] == np.min(usd)
    assert 4.0 <= usd[use] <= usd[Use.ON_DEMAND] <= 3.0 * 5.1


hours = st.floats(0.1, 30.0)
pass_of = st.tuples(st.booleans(), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.booleans())


@settings(max_examples=60, deadline=None)
@given(
    hours,
    st.floats(0.0, 12.0),
    st.floats(0.0, 1.5),
    st.floats(0.25, 3.0),
    st.floats(0.0, 2.0),
    st.lists(pass_of, min_size=1, max_size=30),
)
def test_no_deadline_that_can_be_met_is_missed(work_h, slack_h, restart_h, interval_h, margin_h, passes):
    """Spot goes at any time of a step and takes any part of its progress; each pass is late by up to the margin."""
    deadline_h, now_h, left_h, use, pending_h = work_h + restart_h + margin_h + slack_h, 0.0, work_h, Use.NONE, 0.0
    for number in range(400):
        if left_h <= 1e-9:
            break
        available, late, kept, stays = passes[number % len(passes)]
        about = terms(deadline_h - now_h, margin_h=margin_h, interval_h=interval_h, restart_h=restart_h)
        then, _ = chosen(about, progress(left_h, use, pending_h), available=available)
        step_h = interval_h + late * margin_h
        if then is Use.ON_DEMAND:
            pending_h = restart_h if use is not Use.ON_DEMAND else pending_h
            gained = max(0.0, step_h - pending_h)
            done_h = now_h + pending_h + left_h
            pending_h = max(0.0, pending_h - step_h)
            if gained >= left_h:
                assert done_h <= deadline_h + 1e-6
        else:
            gained = kept * max(0.0, step_h - restart_h) if then is Use.SPOT else 0.0
            then = then if stays else Use.NONE
        left_h, now_h, use = left_h - gained, now_h + step_h, then
    assert left_h <= 1e-9
