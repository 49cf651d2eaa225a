"""What spot nodes show about availability, and the belief that follows."""

from dataclasses import replace

import pytest
from tests.fleet import NOW_S, node

from gpuwise.model.inventory import CapacityType
from gpuwise.recommend.engines.interruptible_on_demand.history import belief_of, observed, prior_model

HOUR_S = 3_600
SPOT = replace(node("spot-0", capacity=CapacityType.SPOT), created_s=NOW_S - 10 * HOUR_S)
MODEL = prior_model()


def seen(*nodes, waits=False):
    return observed(nodes, waits=waits, now_s=NOW_S, step_s=HOUR_S)


def p_up(found):
    return float(belief_of(MODEL, found, step_s=HOUR_S)[MODEL.up].sum())


def test_spot_was_available_while_there_was_a_spot_node():
    found = seen(SPOT)
    assert found[-11:] == [True] * 11
    assert set(found[:-11]) == {None}
    assert len(found) == 14 * 24 + 1


def test_spot_was_not_available_at_the_first_pass_after_the_last_node_went():
    found = seen(replace(SPOT, gone_s=NOW_S - 5 * HOUR_S))
    assert found[-6:] == [True, False, None, None, None, None]


def test_another_node_shows_that_spot_stayed_available():
    gone = replace(SPOT, gone_s=NOW_S - 5 * HOUR_S)
    assert seen(gone, replace(SPOT, name="spot-1"))[-11:] == [True] * 11


def test_a_pod_that_waits_for_spot_shows_that_there_is_none():
    assert seen(SPOT, waits=True)[-1] is False


def test_on_demand_nodes_show_nothing():
    assert set(seen(node())) == {None}


def test_a_node_of_unknown_age_was_always_there():
    assert set(seen(replace(SPOT, created_s=None))) == {True}


def test_without_observations_the_belief_is_that_of_the_prior():
    prior = float(MODEL.start[MODEL.up].sum())
    assert p_up([None]) == pytest.approx(prior)
    assert 0.4 < p_up([None] * 300) < 0.9


def test_what_is_seen_moves_the_belief_and_fades():
    stable, gone = [True] * 48, [True] * 24 + [False] * 24
    assert p_up(stable) == 1.0
    assert p_up(gone) == 0.0
    later = [p_up([*stable, *[None] * hours]) for hours in (1, 6, 48)]
    assert later == sorted(later, reverse=True)
    assert p_up([*gone, None]) < p_up([None] * 49) < later[0]


def test_spot_that_was_often_lost_is_expected_to_be_lost_again():
    flapping = [True, False] * 24 + [True]
    assert p_up([*flapping, None]) < p_up([True] * 49 + [None]) - 0.1
