"""Beliefs about availability: bounds, and steps of different lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.recommend.engines.interruptible_on_demand.availability import fitted, joined
from gpuwise.recommend.engines.interruptible_on_demand.prior import UNION, ZONE

MODELS = [fitted(*constants) for constants in (*ZONE, *UNION)]


@pytest.mark.parametrize("model", [*MODELS, joined(MODELS[:3])])
def test_moves_are_probabilities_and_two_half_steps_are_one(model):
    whole, half = model.transition(600), model.transition(300)
    np.testing.assert_allclose(whole.sum(axis=1), 1)
    assert (whole >= 0).all()
    np.testing.assert_allclose(half @ half, whole, atol=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_belief_is_a_distribution_over_states_that_match_the_observation(seen):
    model = joined(MODELS[:3])
    moved, belief = model.transition(600), model.start[None]
    for available in seen:
        belief = model.observe(belief @ moved, np.array([available]))
        assert belief.sum() == pytest.approx(1)
        assert belief[:, model.up != available].sum() == 0


def test_an_observation_that_the_belief_had_excluded_is_accepted():
    model = MODELS[0]
    certain = np.where(model.up, 0.0, 1.0)[None]
    assert model.observe(certain / certain.sum(), np.array([True])).sum() == pytest.approx(1)


def test_long_availability_makes_further_availability_more_likely():
    model = joined(MODELS[:3])
    moved, belief = model.transition(600), model.start[None]
    chances = []
    for _ in range(60):
        belief = model.observe(belief @ moved, np.array([True]))
        chances.append(float((belief @ moved)[:, model.up].sum()))
    assert chances[-1] > chances[0]
