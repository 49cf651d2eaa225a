"""Laws of freeing nodes, and of the lower bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommend.engines.node_underutilised.test_choose import shapes, without

from gpuwise.recommend.engines.node_underutilised import bound, policy
from gpuwise.recommend.engines.node_underutilised.bound import _dual_feasible, least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import Placement, PodShape, nodes
from gpuwise.recommend.engines.node_underutilised.policy import Kept, SearchSettings, consolidate
from gpuwise.research.placement.policy import Placer


def fleet(count=6):
    return nodes([16_000, 8_000, 8_000] * count, [2_000] * 3 * count, [4, 2, 1] * count, [1, 2, 2] * count)


@st.composite
def placed(draw):
    """Pods placed at random on a fleet."""
    empty, pods, at = fleet(2), [], []
    left = empty.copy()
    for pod in draw(st.lists(shapes | without, min_size=1, max_size=25)):
        fit = np.flatnonzero(left.fit(pod))
        if len(fit):
            node = nodes(left.cpu, left.memory, [0] * len(left.cpu), left.models)
            np.copyto(node.cpu, np.where(np.arange(len(left.cpu)) == draw(st.sampled_from(list(fit))), left.cpu, -1))
            alone = type(left)(node.cpu, left.memory.copy(), left.models, left.gpu.copy())
            place = Placer(alone).place(pod)
            left.take(pod, place)
            pods.append(pod)
            at.append(place)
    return empty, pods, at


def needed(at):
    return len({place.node for place in at})


def run(case, number, earlier=()):
    """A run of the search; a later one with the moves of an earlier one."""
    empty, pods, at = case
    kept = Kept(np.zeros(len(empty.cpu), bool), np.ones(len(empty.cpu)), {move.pod: move.to for move in earlier})
    return consolidate(empty, pods, at, kept, SearchSettings(500, number))


@settings(max_examples=15)
@given(placed(), st.integers(1, 4))
def test_a_later_run_never_needs_more_nodes_whether_it_continues_or_starts_over(case, number):
    first = run(case, 0)
    later = run(case, number, first.moves)
    assert later.open.sum() <= first.open.sum()
    assert later.open.sum() < first.open.sum() or not first.moves or later.moves


@pytest.mark.parametrize(("number", "starts"), [(1, [None, policy._LATER]), (2, [None]), (3, [None, policy._LATER])])
def test_every_second_later_run_starts_over(number, starts, monkeypatch):
    empty = nodes([8_000] * 4, [2_000] * 4, [2] * 4, [1] * 4)
    case = empty, [PodShape(1, 1, 1, 500, 1)] * 4, [Placement(node, (0,)) for node in range(4)]
    first, begun, asked = run(case, 0), policy._begun, []

    def spied(search, nothing, least, start):
        asked.append(start)
        return begun(search, nothing, least, start)

    monkeypatch.setattr(policy, "_begun", spied)
    assert run(case, number, first.moves).open.sum() == first.open.sum() == 1
    assert asked == starts


def test_many_nodes_are_closed_at_once_and_fewer_after_a_failure(monkeypatch):
    """One node that nothing can leave makes the first attempt fail."""
    tried = []
    emptiest = policy._emptiest
    monkeypatch.setattr(policy, "_FIRST", policy._Start(10.0, 0))  # keeps every node at first
    monkeypatch.setattr(policy, "_closed_one_by_one", lambda _search, best, _patience: best)

    def spied(search, many):
        tried.append(many)
        return emptiest(search, many)

    monkeypatch.setattr(policy, "_emptiest", spied)
    empty = nodes([8_000] * 9, [2_000] * 9, [2] * 9, [1] * 9)
    pods = [PodShape(1, 1, 1, 500, 1)] * 9
    plan = run((empty, pods, [Placement(number, (0,)) for number in range(9)]), 0)
    assert tried[0] > tried[-1] >= 1
    assert plan.open.sum() == pytest.approx(np.ceil(plan.least), abs=1)


@settings(max_examples=15)
@given(placed())
def test_moves_fit_in_their_order_and_free_nodes(case):
    empty, pods, at = case
    left = empty.copy()
    for pod, place in zip(pods, at, strict=True):
        left.take(pod, place)
    moves, after = consolidate(empty, pods, at).moves, list(at)
    assert len({move.pod for move in moves}) == len(moves)
    for move in moves:
        assert left.takes(pods[move.pod], move.to)
        left.give(pods[move.pod], after[move.pod])
        left.take(pods[move.pod], move.to)
        after[move.pod] = move.to
    assert needed(after) <= needed(at)
    assert not moves or needed(after) < needed(at)


@settings(max_examples=15)
@given(placed())
def test_no_placement_needs_fewer_nodes_than_the_bound(case):
    empty, pods, at = case
    bound = least_nodes(empty, pods)
    moved = {move.pod: move.to for move in consolidate(empty, pods, at).moves}
    after = [moved.get(number, place) for number, place in enumerate(at)]
    assert bound.nodes <= needed(after) + 1e-6
    assert bound.by_kind.sum() == pytest.approx(bound.nodes)


@given(st.lists(st.integers(1, 1000), max_size=12), st.integers(1, 6))
def test_dual_feasible_functions_of_the_shares_of_one_gpu_sum_to_at_most_one(shares, k):
    taken = [share for index, share in enumerate(shares) if sum(shares[: index + 1]) <= 1000]
    assert sum(_dual_feasible(k, share) for share in taken) <= 1 + 1e-9


def test_shares_above_half_need_a_gpu_each():
    pods = [PodShape(0, 0, 1, 510, 1)] * 8
    assert least_nodes(nodes([1000] * 4, [1000] * 4, [4] * 4, [1] * 4), pods).nodes == pytest.approx(2)


def test_a_pod_with_alternatives_makes_way_for_one_without():
    """p and s fit only on the nodes of q, and q also fits next to r."""
    empty = nodes([10_000] * 3, [100] * 3, [1, 1, 2], [1, 1, 2])
    p, q, r = (PodShape(1, 1, 1, milli, models) for milli, models in [(700, 1), (600, 3), (900, 2)])
    s = PodShape(1, 1, 1, 300, 1)
    at = [Placement(0, (0,)), Placement(1, (0,)), Placement(2, (0,)), Placement(1, (0,))]
    moves = consolidate(empty, [p, q, r, s], at).moves
    after = {number: place.node for number, place in enumerate(at)} | {move.pod: move.to.node for move in moves}
    assert after[1] == 2
    assert len(set(after.values())) == 2


def test_without_pods_nothing_is_needed_and_nothing_moves():
    assert least_nodes(fleet(), []).nodes == 0
    assert consolidate(fleet(), [], []).moves == []


@settings(max_examples=15)
@given(placed())
def test_the_bound_by_totals_is_below_that_of_the_program(case):
    empty, pods, _ = case
    with pytest.MonkeyPatch.context() as patched:
        exact = least_nodes(empty, pods)
        patched.setattr(bound, "_MOST_PAIRS", 0)
        coarse = least_nodes(empty, pods)
    assert 0.0 <= coarse.nodes <= exact.nodes + 1e-9
