"""The packing backtest on openb's arrivals, and on pods written for the test."""

import numpy as np
import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.placement.policies import PACKING
from gpuwise.backtest.placement.trace import load_openb
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError

HEADLINE = "gpu_allocation_percent"


@pytest.fixture
def fleet(tmp_path):
    def write(*pods, nodes=("n0,8000,1000,2,A", "n1,8000,1000,2,B"), columns="gpu_spec"):
        (tmp_path / "nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"{n}\n" for n in nodes))
        header = f"name,cpu_milli,memory_mib,num_gpu,gpu_milli,{columns}\n"
        (tmp_path / "pods.csv").write_text(header + "".join(f"{pod}\n" for pod in pods))
        return {"nodes": tmp_path / "nodes.csv", "pods": tmp_path / "pods.csv"}

    return write


def trial(traces, label):
    return next(one.given for one in PACKING.trials(traces) if one.label == label)


@pytest.mark.parametrize(
    ("label", "published"),
    [
        ("default, order 1", {"fgd": 95.39}),
        ("multigpu50, order 1", {"fgd": 97.18, "best-fit": 95.7, "dot-product": 94.3, "random": 90.3}),
    ],
)
def test_baselines_reproduce_their_published_figures(traces, label, published):
    """Weng et al., means of ten orders; one order is within 0.7 (0.3 for FGD), as far as two orders are apart."""
    result = play(PACKING, trial(traces, label), policies=list(published))
    for policy, expected in published.items():
        assert result.value(HEADLINE, policy) == pytest.approx(expected, abs=0.3 if policy == "fgd" else 0.7)


@pytest.mark.parametrize(
    ("label", "reached"),
    [
        ("default, order 2", 96.2),
        ("gpushare100, order 2", 88.6),
        ("multigpu50, order 2", 97.7),
        ("gpuspec33, order 2", 96.1),
    ],
)
def test_the_allocation_of_each_variant(traces, label, reached):
    """gpushare100 reaches its goal; default and multigpu50 stay 0.05 and 0.1 below theirs (96.3, 97.9)."""
    assert play(PACKING, trial(traces, label), policies=[OURS]).value(HEADLINE) >= reached


def test_later_arrivals_change_no_earlier_decision(traces):
    trace = load_openb(trial(traces, "multigpu50, order 1"))
    cut = 3_000
    shuffled = np.random.default_rng(0).permutation(len(trace.pods) - cut) + cut
    future = [trace.pods[one] for one in shuffled]
    changed = type(trace)(trace.node_names, trace.pod_names, trace.empty, [*trace.pods[:cut], *future])
    rows = [PACKING.policies[OURS](one).rows[:cut] for one in (trace, changed)]
    assert rows[0] == rows[1]


def test_a_spec_may_repeat_a_model_and_name_one_that_the_fleet_lacks(fleet):
    trace = load_openb(fleet("p,1,1,1,1000,B|B|C", "q,1,1,1,1000,C"))
    assert [list(trace.empty.fit(pod)) for pod in trace.pods] == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("p", None, None), ("q", "n0", "1")], "p is left out although it fits"),
        ([("p", "n0", "0"), ("q", "n0", "0")], "q does not fit on n0"),
        ([("p", "n0", "0,0"), ("q", "n0", "1")], "p does not fit on n0"),
        ([("p", "n0", "7"), ("q", "n0", "1")], "p does not fit on n0"),
        ([("p", "n9", "0"), ("q", "n0", "1")], "no node n9"),
        ([("p", "n0", "x"), ("q", "n0", "1")], "GPUs on n0 are 'x'"),
        ([("q", "n0", "1")], "do not have one row per pod"),
    ],
)
def test_decisions_that_break_a_rule_are_refused(fleet, rows, problem):
    trace = load_openb(fleet("p,1,1,1,600,", "q,1,1,1,600,"))
    with pytest.raises(InputError, match=problem):
        PACKING.judge(trace, Decisions(("pod", "node", "gpus"), rows))


def test_a_node_with_a_gpu_model_outside_the_spec_is_refused(fleet):
    trace = load_openb(fleet("p,1,1,1,600,B"))
    with pytest.raises(InputError, match="p does not fit on n0"):
        PACKING.judge(trace, Decisions(("pod", "node", "gpus"), [("p", "n0", "0")]))


@pytest.mark.parametrize(
    ("pods", "problem"),
    [
        (["p,1,1,2,500,"], "line 2: 2 GPUs of 500 milli"),
        (["p,1,1,1,0,"], "line 2: 1 GPUs of 0 milli"),
        (["p,1,1,0,0,", "p,1,1,0,0,"], "line 3: name p occurs a second time"),
        (["p,-1,1,0,0,"], "line 2: cpu_milli is -1"),
    ],
)
def test_bad_pods_are_refused(fleet, pods, problem):
    with pytest.raises(InputError, match=problem):
        load_openb(fleet(*pods))
