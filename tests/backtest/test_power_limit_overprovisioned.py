"""The power-cap backtest on Zeus' measurements, and on boards written for the test."""

import pytest

from gpuwise.backtest.contract import OURS
from gpuwise.backtest.power_limit_overprovisioned import POWER_CAP
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError

HEADER = "workload,limit_w,energy_j,time_s\n"


@pytest.fixture
def power(tmp_path):
    def write(*rows):
        path = tmp_path / "power.csv"
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        return {"power": path, "tries": 3}

    return write


def test_baselines_reproduce_their_published_shares(traces):
    """Bisection 92 % and fixed steps 74 % of the oracle's saving (specification, 'Energy')."""
    result = play(POWER_CAP, POWER_CAP.trials(traces)[0].given)
    assert result.value("saved_share", "80-70-60") == pytest.approx(0.74, abs=0.005)
    assert result.value("saved_share", OURS) > result.value("saved_share", "bisection") > 0.9


@pytest.mark.parametrize("gpu", ["v100", "a40"])
def test_the_goals_are_reached_on_each_gpu_model_alone(traces, gpu):
    for trial, goal in zip(POWER_CAP.trials(traces), (0.95, 0.85), strict=True):
        trace = POWER_CAP.load(trial.given)
        one = type(trace)({k: v for k, v in trace.workloads.items() if k.startswith(gpu)}, trace.settings)
        figures = POWER_CAP.judge(one, POWER_CAP.policies[OURS](one))
        assert figures["saved_share"].value >= goal
        assert figures["breaches"].value == 0


def test_limits_that_were_not_tried_change_no_decision(traces):
    """A policy gets the measurement of a limit only by trying it."""
    trace = POWER_CAP.load(POWER_CAP.trials(traces)[0].given)
    decisions = POWER_CAP.policies[OURS](trace)
    for workload, _, tried in decisions.rows:
        seen = {float(limit) for limit in tried.split(";")} | {trace.workloads[workload][0].limit_w}
        hidden = [
            type(one)(one.limit_w, one.energy_j / 9, one.time_s / 9) if one.limit_w not in seen else one
            for one in trace.workloads[workload]
        ]
        trace.workloads[workload][:] = hidden
    assert POWER_CAP.policies[OURS](trace) == decisions


def test_a_choice_that_slows_down_too_much_counts_as_no_saving(power):
    given = power("w,100,50,200", "w,200,90,104", "w,300,100,100")
    result = play(POWER_CAP, given)
    assert result.value("saved_share", OURS) == 1.0
    slow = play(POWER_CAP, power("w,210,50,200", "w,300,100,100", "v,210,90,100", "v,300,100,100"))
    assert (slow.value("saved_share", "fixed-70"), slow.value("breaches", "fixed-70")) == (1.0, 1)


def test_bad_traces_are_refused_by_name(power):
    with pytest.raises(InputError, match="w has two rows with the same limit"):
        POWER_CAP.load(power("w,100,50,200", "w,100,51,200"))
    with pytest.raises(InputError, match="w has an energy or time of 0"):
        POWER_CAP.load(power("w,100,0,200", "w,200,51,200"))
