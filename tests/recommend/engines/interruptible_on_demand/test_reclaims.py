"""How often spot nodes are reclaimed, by those of the fleet."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import NOW_S, node

from gpuwise.model.inventory import CapacityType
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.engines.interruptible_on_demand.reclaims import expected_reclaims

MONTH_S = 730 * 3_600


def spot(*, age_s: int, gone_s: int | None = None):
    """A spot node created some time ago; if it is gone, it went that long ago."""
    went = None if gone_s is None else NOW_S - gone_s
    return replace(node(capacity=CapacityType.SPOT), created_s=NOW_S - age_s, gone_s=went)


def test_without_spot_nodes_it_is_the_assumed_share():
    found = expected_reclaims([node()], assumed=0.2, now_s=NOW_S)
    assert (found.share, found.gone, found.months) == (pytest.approx(0.2), 0, 0.0)


def test_nodes_that_went_raise_it():
    ten = [spot(age_s=MONTH_S, gone_s=MONTH_S // 2)] * 10
    found = expected_reclaims(ten, assumed=0.2, now_s=NOW_S)
    assert (found.gone, found.months) == (10, pytest.approx(5.0))
    rate = (-math.log(0.8) * 6 + 10) / (6 + 5)
    assert found.share == pytest.approx(1 - math.exp(-rate))


def test_survivors_do_not_lower_it_because_those_that_went_may_not_be_known():
    assert expected_reclaims([spot(age_s=MONTH_S)] * 100, assumed=0.2, now_s=NOW_S).share == 0.2


def test_a_node_that_went_before_the_look_back_does_not_count():
    assert expected_reclaims([spot(age_s=200 * DAY_S, gone_s=91 * DAY_S)], assumed=0.2, now_s=NOW_S).gone == 0


def test_a_node_of_unknown_age_does_not_count():
    unknown = replace(spot(age_s=0, gone_s=0), created_s=None)
    assert expected_reclaims([unknown], assumed=0.2, now_s=NOW_S).gone == 0


lives = st.lists(st.tuples(st.integers(0, 100 * DAY_S), st.floats(0, 1), st.booleans()), max_size=8)


@given(lives, st.floats(0.0, 0.9))
def test_i3_one_more_reclaim_never_lowers_it(known, assumed):
    nodes = [spot(age_s=age_s, gone_s=int(age_s * share) if gone else None) for age_s, share, gone in known]
    before = expected_reclaims(nodes, assumed=assumed, now_s=NOW_S)
    after = expected_reclaims([*nodes, spot(age_s=DAY_S, gone_s=0)], assumed=assumed, now_s=NOW_S)
    assert assumed <= before.share <= after.share + 1e-12


def test_a_prior_of_all_zones_is_shrunk_to_and_the_assumed_share_stays_the_floor():
    few = [spot(age_s=2 * MONTH_S, gone_s=MONTH_S)] * 2
    from_all = expected_reclaims(few, assumed=0.2, now_s=NOW_S, prior=0.8)
    assert expected_reclaims(few, assumed=0.2, now_s=NOW_S).share < from_all.share < 0.8
    assert expected_reclaims([spot(age_s=MONTH_S)] * 100, assumed=0.2, now_s=NOW_S, prior=0.8).share == 0.2
