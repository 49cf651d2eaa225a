"""How long endpoints stay warm: a wait depends on the past only, and the cost is bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.research.idle_between_uses import KeepAliveSettings, Requests, idle_gaps, waits
from gpuwise.research.idle_between_uses.features import COUNT, features
from gpuwise.research.idle_between_uses.hazard import EDGES_S, MIDDLES_S, expected_cost
from gpuwise.research.idle_between_uses.own import best_expert, past_cost
from gpuwise.research.idle_between_uses.policy import gap_survival
from gpuwise.research.idle_between_uses.prior import PRIOR
from gpuwise.research.idle_between_uses.rhythm import rhythm

arrivals = st.lists(st.tuples(st.floats(0, 2e4), st.floats(0, 300)), min_size=2, max_size=25)


def requests(steps):
    gap_s, duration_s = np.array(steps).T
    starts_s = np.cumsum(gap_s)
    return Requests(starts_s, starts_s + duration_s)


def every(period_s, count, duration_s=20.0):
    starts_s = np.arange(count) * period_s
    return Requests(starts_s, starts_s + duration_s)


def test_gaps_lie_between_the_last_answer_and_the_next_request():
    gaps = idle_gaps(Requests(np.array([0.0, 5.0, 50.0, 60.0]), np.array([30.0, 8.0, 60.0, 61.0])))
    assert gaps.since_s.tolist() == [30.0, 61.0]
    assert gaps.gap_s.tolist() == [20.0, np.inf]
    assert gaps.request.tolist() == [1, 3]


@settings(max_examples=30)
@given(arrivals, arrivals, st.integers(1, 20), st.sampled_from([60.0, 900.0]))
def test_later_requests_change_no_wait(steps, other, kept, cost_s):
    """If two endpoints are truncated at the beginning of a gap, the waits up to that gap stay the same."""
    whole = {"a": requests(steps), "b": requests(other)}
    gaps = idle_gaps(whole["a"])
    kept = min(kept, len(gaps.since_s))
    now_s = gaps.since_s[kept - 1]
    past = {
        name: Requests(*(times[one.starts_s < now_s] for times in (one.starts_s, one.ends_s)))
        for name, one in whole.items()
    }
    past["a"] = Requests(*(times[: gaps.request[kept - 1] + 1] for times in (whole["a"].starts_s, whole["a"].ends_s)))
    past = {name: one for name, one in past.items() if len(one.starts_s)}
    before = waits(whole, KeepAliveSettings(cost_s))["a"][:kept]
    np.testing.assert_array_equal(waits(past, KeepAliveSettings(cost_s))["a"], before)


@settings(max_examples=30)
@given(arrivals)
def test_survival_begins_at_one_and_never_rises(steps):
    one = requests(steps)
    alive = gap_survival(one, one.starts_s, PRIOR)
    assert (alive[:, 0] == 1).all()
    assert (np.diff(alive, axis=1) <= 0).all()
    assert (alive >= 0).all()


def test_a_gap_that_never_ends_costs_the_wait_and_a_cold_start():
    alive = np.ones((1, len(EDGES_S)))
    np.testing.assert_allclose(expected_cost(alive, 60.0)[0], EDGES_S + 60.0)


def test_the_cost_of_past_gaps_is_discounted():
    gap_s = np.array([100.0, 10.0, np.inf])
    found = past_cost(gap_s, 60.0, memory=0.5)
    wait = int(np.searchsorted(EDGES_S, 20.0))
    assert found[:, wait].tolist() == [0.0, EDGES_S[wait] + 60.0, 0.5 * (EDGES_S[wait] + 60.0) + 10.0]


def test_the_second_expert_is_followed_once_it_is_two_cold_starts_ahead():
    gap_s = np.full(6, 1e4)
    advised = best_expert([np.full(6, 60.0), np.zeros(6)], gap_s, 60.0)
    assert advised.tolist() == [60.0, 60.0, 60.0, 0.0, 0.0, 0.0]


def test_periodic_requests_are_predicted_after_a_few_periods():
    """Every 10 minutes and B = 60 s: stop at once. Every 100 s and B = 300 s: never stop."""
    far = waits({"a": every(600.0, 60)}, KeepAliveSettings(60.0))["a"]
    near = waits({"a": every(100.0, 60)}, KeepAliveSettings(300.0))["a"]
    assert (far[10:] < 10).all()
    assert (near[10:] >= 80).all()


def test_a_rhythm_shows_the_busy_hours_of_earlier_days():
    starts_s = np.sort(np.concatenate([day * 86_400 + np.arange(20) * 180.0 for day in range(4)]))
    ahead = rhythm(starts_s, np.array([3 * 86_400 - 1800.0]), np.array([3600.0, 12 * 3600.0]), before=0.3)[0]
    assert ahead[0] > 1 > -1 > ahead[1]


def test_the_first_day_has_no_rhythm():
    assert rhythm(np.arange(20) * 60.0, np.array([1200.0]), MIDDLES_S, before=0.3) == pytest.approx(0.0)


def test_features_are_finite_for_an_endpoint_with_one_request():
    one = every(1.0, 1)
    found = features(one, idle_gaps(one))
    assert found.shape == (1, COUNT)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("cost_s", [0.0, -1.0, np.nan, np.inf])
def test_a_cold_start_has_a_positive_cost(cost_s):
    with pytest.raises(InputError, match="the cost of a cold start is"):
        waits({"a": every(1.0, 2)}, KeepAliveSettings(cost_s))


def test_an_empty_fleet_has_no_waits():
    assert waits({}, KeepAliveSettings(60.0)) == {}
