"""The consolidate backtest on openb's arrivals, and on pods written for the test."""

import pytest
from tests.backtest.placement.test_policies import fleet  # noqa: F401 - a fixture

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.node_underutilised.policies import CONSOLIDATE
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError

HEADLINE = "nodes_over_bound"
GIVEN = {"share": 0.5, "problem": "trace", "order": 0}
PODS = ("p,1,1,1,600,n0,0", "q,1,1,1,400,n1,1", "r,1,1,1,500,n1,0")


@pytest.fixture
def trace(fleet):  # noqa: F811 - the fixture
    return CONSOLIDATE.load(fleet(*PODS, columns="node,gpus") | GIVEN)


@pytest.mark.parts
def test_the_goal_is_reached(traces):
    """On the trial with the most pods; benchmarks/QUALITY.md has all four."""
    given = next(one.given for one in CONSOLIDATE.trials(traces) if one.label == "gpushare100")
    result = play(CONSOLIDATE, given)
    assert 0 <= result.value(HEADLINE) <= 0.02
    assert result.value(HEADLINE) < result.value(HEADLINE, "first-fit-decreasing") - 0.02


def test_placed_pods_are_used_as_they_are_and_one_node_is_freed(trace):
    figures = CONSOLIDATE.judge(trace, CONSOLIDATE.policies[OURS](trace))
    assert (figures["nodes_needed"].value, figures["nodes_freed"].value) == (1, 1)
    assert figures["pods_moved"].value <= 2


def test_a_move_without_gpus_uses_the_fullest_ones_that_fit(trace):
    rows = [("q", "n1", "n0"), ("r", "n1", "n0")]
    assert CONSOLIDATE.judge(trace, Decisions(("pod", "from", "to"), rows))["nodes_freed"].value == 1


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("p", "n0", "n1", "0")], "p does not fit on n1"),
        ([("p", "n0", "n0", "1")], "p does not fit on n0"),
        ([("p", "n1", "n0", "1")], "p is not on n1"),
        ([("q", "n1", "n0", "0"), ("q", "n0", "n1", "0")], "moves twice"),
        ([("x", "n1", "n0", "0")], "x is not in the trace"),
        ([("q", "n1", "n5", "0")], "no node n5"),
    ],
)
def test_moves_that_break_a_rule_are_refused(trace, rows, problem):
    with pytest.raises(InputError, match=problem):
        CONSOLIDATE.judge(trace, Decisions(("pod", "from", "to", "gpus"), rows))


def test_bad_placements_are_refused(fleet):  # noqa: F811 - the fixture
    with pytest.raises(InputError, match="line 3: q does not fit on n0"):
        CONSOLIDATE.load(fleet("p,1,1,1,600,n0,0", "q,1,1,1,600,n0,0", columns="node,gpus") | GIVEN)
    with pytest.raises(InputError, match="no column gpus"):
        CONSOLIDATE.load(fleet("p,1,1,1,600,n0", columns="node") | GIVEN)
    with pytest.raises(InputError, match="--share is 2"):
        CONSOLIDATE.load(fleet("p,1,1,1,600,") | GIVEN | {"share": 2.0})


NODES = tuple(f"n{number},8000,1000,2,{model}" for number, model in enumerate("AAAB"))


def test_in_a_cluster_the_recommended_moves_are_judged(fleet):  # noqa: F811 - the fixture
    """Three shares are a whole GPU each, spread over the nodes of model A; the pod without a GPU is left out."""
    pods = (*(f"p{number},1,1,1,300,{node},0" for number, node in enumerate(("n0", "n1", "n2"))), "c,1,1,0,0,n3,")
    one = CONSOLIDATE.load(fleet(*pods, nodes=NODES, columns="node,gpus") | GIVEN | {"problem": "cluster"})
    assert [(pod.gpu_milli, pod.models) for pod in one.pods] == [(1000, 1)] * 3
    for policy in (OURS, "gpuwise-first-run"):
        figures = CONSOLIDATE.judge(one, CONSOLIDATE.policies[policy](one))
        assert (figures["nodes_needed"].value, figures["pods_moved"].value) == (2, 1)


def test_arrivals_are_shuffled_by_their_seed_unless_they_have_places(fleet):  # noqa: F811 - the fixture
    pods = [f"p{number},1,1,1,100," for number in range(8)]
    files = fleet(*pods, nodes=NODES)
    orders = [CONSOLIDATE.load(files | GIVEN | {"share": 1.0, "order": order}).pod_names for order in (0, 1, 1)]
    assert orders[0] != orders[1] == orders[2]
    assert sorted(orders[1]) == orders[0]
    with pytest.raises(InputError, match="--order is given"):
        CONSOLIDATE.load(fleet(*PODS, columns="node,gpus") | GIVEN | {"order": 1})
    with pytest.raises(InputError, match="--problem is 'x'"):
        CONSOLIDATE.load(files | GIVEN | {"problem": "x"})
