"""Any of the nodes of a plan can be freed, in any order, by the moves that are listed for them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommend.engines.node_underutilised.test_policy import placed

from gpuwise.recommend.engines.node_underutilised.dependencies import moves_by_node
from gpuwise.recommend.engines.node_underutilised.nodes import Placement, PodShape, nodes
from gpuwise.recommend.engines.node_underutilised.policy import Move, consolidate


def made(empty, pods, at, moves, order):
    """The places after the moves in this order, each of which must fit at its time."""
    left, after = empty.copy(), list(at)
    for pod, place in zip(pods, at, strict=True):
        left.take(pod, place)
    for move in (moves[index] for index in dict.fromkeys(order)):
        assert left.takes(pods[move.pod], move.to)
        left.give(pods[move.pod], after[move.pod])
        left.take(pods[move.pod], move.to)
        after[move.pod] = move.to
    return after


@settings(max_examples=30)
@given(placed(), st.randoms(use_true_random=False))
def test_any_nodes_can_be_freed_in_any_order(case, random):
    empty, pods, at = case
    plan = consolidate(empty, pods, at)
    needed = moves_by_node(empty, pods, at, plan.moves, plan.open)
    closed = [node for node in needed if random.random() < 0.7]
    random.shuffle(closed)
    after = made(empty, pods, at, plan.moves, [index for node in closed for index in needed[node]])
    assert not {place.node for place in after} & set(closed)


WHOLE_GPU = PodShape(0, 0, 1, 1000, 1)


def test_a_move_needs_those_that_make_space_for_it_and_no_others():
    """Pod 1 leaves node 1 for pod 0; pod 2 fits on node 2 without that."""
    empty = nodes([0] * 4, [0] * 4, [1, 1, 3, 1], [1] * 4)
    at = [Placement(0, (0,)), Placement(1, (0,)), Placement(3, (0,))]
    moves = [Move(1, Placement(2, (0,))), Move(2, Placement(2, (1,))), Move(0, Placement(1, (0,)))]
    is_open = [False, True, True, False]
    assert moves_by_node(empty, [WHOLE_GPU] * 3, at, moves, is_open) == {0: [0, 2], 3: [1]}
