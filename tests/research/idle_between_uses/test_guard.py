"""The worst case of keep-alive: for any wanted waits and any gaps, at most 2.5 times the optimum at every prefix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.research.idle_between_uses.guard import WORST_RATIO, guarded

costs = st.sampled_from([1.0, 60.0, 3600.0])
wanted = st.one_of(st.just(0.0), st.just(1e9), st.floats(0, 20))


def paid(gap_s, waits_s, cost_s):
    return np.where(gap_s <= waits_s, gap_s, waits_s + cost_s)


@given(st.data(), costs)
def test_an_adversary_that_knows_each_wait_before_the_gap_never_exceeds_the_bound(data, cost_s):
    """Gaps just longer than the wait are the worst case: the first would cost a naive clamp 1 + 1/T each time."""
    gaps, wants = [], []
    for _ in range(data.draw(st.integers(1, 25))):
        wants.append(data.draw(wanted) * cost_s)
        wait_s = guarded(np.array(wants), np.array([*gaps, np.inf]), cost_s)[-1]
        gaps.append(data.draw(st.sampled_from([np.nextafter(wait_s, np.inf), wait_s, wait_s / 2, 1e7, 0.01])))
    waits_s = guarded(np.array(wants), np.array(gaps), cost_s)
    over = np.cumsum(paid(np.array(gaps), waits_s, cost_s))
    best = np.cumsum(np.minimum(gaps, cost_s))
    assert (over <= WORST_RATIO * best * (1 + 1e-9)).all()


@given(st.lists(st.tuples(wanted, st.floats(0.001, 1e6)), min_size=1, max_size=30), costs)
def test_the_bound_holds_at_every_prefix_of_any_gaps(pairs, cost_s):
    wants, gaps = np.array(pairs).T
    waits_s = guarded(wants * cost_s, gaps, cost_s)
    over, best = np.cumsum(paid(gaps, waits_s, cost_s)), np.cumsum(np.minimum(gaps, cost_s))
    assert (over <= WORST_RATIO * best * (1 + 1e-9)).all()


def test_with_an_empty_bank_waits_are_between_two_thirds_and_one_and_a_half_cold_starts():
    assert guarded(np.array([0.0]), np.array([np.inf]), 60.0) == pytest.approx([40.0])
    assert guarded(np.array([1e9]), np.array([np.inf]), 60.0) == pytest.approx([90.0])


def test_after_optimal_gaps_an_endpoint_may_stop_at_once():
    """Short gaps that cost no more than the optimum fill the bank, so that any wait is allowed."""
    waits_s = guarded(np.zeros(4), np.array([40.0, 40.0, 40.0, np.inf]), 60.0)
    assert waits_s[0] == pytest.approx(40.0)
    assert waits_s[1:] == pytest.approx(0.0)
