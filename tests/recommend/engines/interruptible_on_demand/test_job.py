"""The effect of steps on a job, and the lemma that no deadline that can be met is missed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.interruptible_on_demand.job import Job, Use, advance, begin, is_safe, slack_s

STEP_S = 600.0


def run(job, uses, regions=None):
    now = begin(job, 1)
    for use, region in zip(uses, regions or [0] * len(uses), strict=True):
        now = advance(job, now, np.array([use]), np.array([region]))
    return now


@pytest.fixture
def job():
    return Job(4 * 3600, 6 * 3600, 900.0, STEP_S, 3.0, migration_s=600.0)


def test_a_launch_costs_a_restart_that_may_take_several_steps(job):
    after = [float(run(job, [Use.SPOT] * steps).left_s[0]) for steps in (1, 2, 3)]
    assert after == [4 * 3600, 4 * 3600 - 300, 4 * 3600 - 900]


@pytest.mark.parametrize(
    ("uses", "regions", "lost_s"),
    [
        ([Use.SPOT] * 6, [0] * 6, 900),
        ([Use.SPOT] * 3 + [Use.ON_DEMAND] * 3, [0] * 6, 1800),
        ([Use.SPOT] * 3 + [Use.NONE] + [Use.SPOT] * 3, [0] * 7, 1800 + 600),
        ([Use.SPOT] * 3 + [Use.SPOT] * 3, [0] * 3 + [1] * 3, 1800 + 600),
        ([Use.SPOT] * 3 + [Use.NONE] + [Use.SPOT] * 3, [0] * 3 + [1] + [0] * 3, 1800 + 600),
    ],
    ids=["stays", "to on-demand", "waits a step", "to another region", "waits and comes back"],
)
def test_the_cost_of_a_switch_a_wait_and_a_move(job, uses, regions, lost_s):
    assert float(run(job, uses, regions).left_s[0]) == 4 * 3600 - len(uses) * STEP_S + lost_s


def test_slack_falls_only_by_waiting_and_launching(job):
    slack = [float(slack_s(job, run(job, [Use.SPOT] * steps), job.rows - steps)[0]) for steps in (1, 2, 5)]
    assert slack == [job.slack_s - 900] * 3
    assert float(slack_s(job, run(job, [Use.NONE]), job.rows - 1)[0]) == job.slack_s - STEP_S


@pytest.mark.parametrize("deadline_h", [1.0, 4.0, 4.24])
def test_a_deadline_that_cannot_be_met_is_refused(deadline_h):
    with pytest.raises(InputError, match=r"4 h of work and 0\.25 h of restart do not fit"):
        Job(4 * 3600, deadline_h * 3600, 900.0, STEP_S, 3.0)


@given(
    st.integers(1, 90).map(lambda n: n * 400.0),
    st.floats(0, 4000),
    st.floats(0, 4000),
    st.floats(0, 20_000),
    st.lists(st.tuples(st.sampled_from(list(Use)), st.integers(0, 2)), min_size=1, max_size=160),
)
def test_safe_steps_or_on_demand_meet_every_deadline_that_can_be_met(work_s, restart_s, move_s, slack, wishes):
    """The lemma in the docstring of `job`, for any sequence of wanted uses."""
    rows = int(np.ceil((work_s + restart_s + slack) / STEP_S))
    job = Job(work_s, rows * STEP_S, restart_s, STEP_S, 3.0, migration_s=move_s)
    now = begin(job, 1)
    assert is_safe(job, now, rows)[0]
    for row in range(rows):
        use, region = wishes[row % len(wishes)]
        wished = advance(job, now, np.array([use]), np.array([region]))
        if now.done[0]:
            break
        if not is_safe(job, wished, rows - row - 1)[0]:
            wished = advance(job, now, np.array([Use.ON_DEMAND]), np.maximum(now.region, 0))
        now = wished
        assert is_safe(job, now, rows - row - 1)[0]
    assert now.done[0]
