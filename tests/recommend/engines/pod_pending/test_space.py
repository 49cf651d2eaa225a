"""Where a pod that waits fits: the moves are possible, and a free place needs none."""

import numpy as np
from hypothesis import given, settings
from tests.recommend.engines.node_underutilised.test_choose import shapes
from tests.recommend.engines.node_underutilised.test_policy import placed

from gpuwise.recommend.engines.node_underutilised.nodes import Placement, PodShape, nodes
from gpuwise.recommend.engines.pod_pending.space import space_for


def after_moves(empty, pods, at, space):
    left = empty.copy()
    for pod, place in zip(pods, at, strict=True):
        left.take(pod, place)
    for move in space.moves:
        assert at[move.pod].node == space.node != move.to.node
        assert left.takes(pods[move.pod], move.to)
        left.give(pods[move.pod], at[move.pod])
        left.take(pods[move.pod], move.to)
    return left


@settings(max_examples=100)
@given(placed(), shapes)
def test_the_pod_fits_after_the_moves_and_not_without_any_of_them(case, waiting):
    empty, pods, at = case
    space = space_for(empty, pods, at, waiting)
    now = empty.copy()
    for pod, place in zip(pods, at, strict=True):
        now.take(pod, place)
    if space is None:
        assert not now.fit(waiting).any()
        return
    assert after_moves(empty, pods, at, space).fit(waiting)[space.node]
    assert bool(space.moves) == (not now.fit(waiting).any())


WHOLE = [PodShape(0, 0, gpus, 1000, 1) for gpus in range(5)]


def test_the_fullest_node_that_fits_is_chosen():
    empty = nodes([0] * 3, [0] * 3, [4, 4, 4], [1] * 3)
    assert space_for(empty, [WHOLE[2]], [Placement(1, (0, 1))], WHOLE[2]).node == 1


def test_one_large_pod_moves_instead_of_two_small_ones():
    """Pods of 1, 2 and 1 GPUs fill node 0, the only one on whose model the pod that waits runs; node 1 has two free."""
    empty = nodes([0] * 2, [0] * 2, [4, 4], [1, 2])
    pods = [PodShape(0, 0, gpus, 1000, 3) for gpus in (1, 2, 1, 2)]
    at = [Placement(0, (0,)), Placement(0, (1, 2)), Placement(0, (3,)), Placement(1, (0, 1))]
    assert [move.pod for move in space_for(empty, pods, at, WHOLE[2]).moves] == [1]


def test_a_pod_larger_than_every_node_has_no_space():
    empty = nodes([0], [0], [4], [1])
    assert space_for(empty, [], [], PodShape(0, 0, 5, 1000, 1)) is None
    assert np.all(empty.gpu == 1000)
