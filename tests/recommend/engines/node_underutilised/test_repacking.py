"""Closing nodes, and undoing it."""

import numpy as np
import pytest

from gpuwise.recommend.engines.node_underutilised.nodes import Placement, PodShape, nodes
from gpuwise.recommend.engines.node_underutilised.repacking import Repacking

SMALL, LARGE = PodShape(1_000, 10, 1, 300, 1), PodShape(1_000, 10, 1, 700, 1)


def at(*places):
    return [Placement(node, (gpu,)) for node, gpu in places]


@pytest.fixture
def fleet():
    """Three nodes with one GPU: two pods of 300 milli on the first, one of 700 on the second, none on the third."""
    empty = nodes([8_000] * 3, [100] * 3, [1] * 3, [1] * 3)
    return Repacking(empty, [SMALL, SMALL, LARGE], at((0, 0), (0, 0), (1, 0)))


def test_only_nodes_with_pods_are_open(fleet):
    assert fleet.open.tolist() == [True, True, False]
    assert fleet.used() == pytest.approx([0.85, 0.825, 0])


def test_pods_that_do_not_fit_together_wait(fleet):
    fleet.close([1])
    assert not fleet.settle(20)
    assert fleet.waits


def test_a_node_that_fits_the_waiting_pods_is_opened_again(fleet):
    fleet.close([1])
    fleet.settle(20)
    assert fleet.reopen()
    assert fleet.settle(20)
    assert fleet.open.sum() == 2


def test_reopen_fails_if_all_nodes_are_open():
    fleet = Repacking(nodes([8_000], [100], [1], [1]), [LARGE], at((0, 0)))
    fleet.close([0])
    assert fleet.reopen()
    assert not fleet.reopen()


def test_back_undoes_all_changes_since_the_mark(fleet):
    fleet.mark()
    before, used = list(fleet.at), fleet.used()
    fleet.close([1])
    fleet.settle(20)
    fleet.reopen()
    fleet.settle(3)
    fleet.back()
    assert not fleet.waits
    assert fleet.at == before
    assert np.array_equal(fleet.used(), used)
    assert fleet.open.tolist() == [True, True, False]


def test_several_small_pods_are_ejected_for_a_large_one():
    """The large pod fits on node 0 only without the two small ones, which fit on node 2."""
    empty = nodes([8_000] * 3, [100] * 3, [1, 1, 1], [1, 2, 2])
    large, small, tied = (PodShape(1_000, 10, 1, *shape) for shape in [(900, 3), (300, 3), (300, 2)])
    fleet = Repacking(empty, [small, small, large, tied], at((0, 0), (0, 0), (1, 0), (2, 0)))
    fleet.close([1])
    assert fleet.settle(50)
    assert {place.node for place in fleet.at} == {0, 2}
    assert fleet.at[2].node == 0


def test_pods_return_to_their_original_places_if_they_fit(fleet):
    fleet.close([0])
    fleet.reopen()
    fleet.settle(20)
    fleet.go_home()
    assert fleet.at[2] == Placement(1, (0,))


def test_send_home_opens_the_original_node_and_closes_empty_ones():
    empty = nodes([8_000] * 2, [100] * 2, [1] * 2, [1] * 2)
    fleet = Repacking(empty, [SMALL, SMALL], at((0, 0), (1, 0)))
    fleet.close([0])
    assert fleet.settle(5)
    assert fleet.open.tolist() == [False, True]
    fleet.send_home([0])
    assert fleet.open.tolist() == [True, True]
    assert fleet.at == at((0, 0), (1, 0))


def searched(seed):
    """A fleet in the middle of a search: pods of which some were ejected, and one that waits."""
    draw = np.random.default_rng(seed)
    empty = nodes([8_000] * 12, [100] * 12, [1] * 12, [1] * 12)
    pods = [PodShape(int(draw.integers(1, 3_000)), 10, 1, int(draw.choice([300, 400, 500])), 1) for _ in range(24)]
    made = Repacking(empty, pods, at(*((number % 12, 0) for number in range(24))), seed=seed)
    made.close(range(5))
    assert not made.settle(30)  # they need 9.6 GPUs on average, and 7 are left
    return made


@pytest.mark.parametrize("seed", range(8))
def test_the_search_for_a_cheaper_ejection_stops_only_where_there_is_none(seed):
    fleet = searched(seed)
    waiting = fleet._waiting[0]
    tried = {node: fleet._several(waiting, node, np.inf) for node in np.flatnonzero(fleet.open).tolist()}
    found = {node: one for node, one in tried.items() if one.leave}  # without where it fits as it is
    assert len({one.cost for one in found.values()}) > 1
    for node, one in found.items():
        assert one.cost == pytest.approx(sum(fleet._cost[other] for other in one.leave))
        assert fleet._several(waiting, node, one.cost) is None
        assert fleet._several(waiting, node, np.nextafter(one.cost, np.inf)) == one


@pytest.mark.parametrize("seed", range(8))
def test_what_an_ejection_costs_is_kept_up_to_date(seed):
    fleet = searched(seed)
    stays = [2.0 if place.node == number % 12 else 1.0 for number, place in enumerate(fleet.at)]
    there = np.flatnonzero(fleet._node >= 0)
    assert fleet._hard.max() > 1
    assert fleet._cost[there] == pytest.approx((fleet._hard * fleet._size * stays)[there])
