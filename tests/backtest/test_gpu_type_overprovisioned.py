"""The gpu-type backtest on Gavel's tables."""

import numpy as np
import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.gpu_type_overprovisioned import GPU_TYPE, LIVE
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError


@pytest.fixture(scope="module")
def given(traces):
    return GPU_TYPE.trials(traces)[0].given


def test_one_type_for_all_costs_as_much_as_published(given):
    """Specification, 'gpu-type': always one type 1.25 to 2.62."""
    result = play(GPU_TYPE, given)
    found = [result.value("cost_over_best", f"{rank}cheapest") for rank in ("", "second-", "third-")]
    assert found == pytest.approx([1.254, 1.286, 2.624], abs=0.001)


def test_with_every_other_job_learnt_the_goal_is_reached(traces):
    """Random halves are harder, and their goal is not reached: benchmarks/QUALITY.md has the figures."""
    results = [
        play(GPU_TYPE, trial.given, policies=[OURS, LIVE], label=trial.label) for trial in GPU_TYPE.trials(traces)
    ]
    every_other, by_lot, live = GPU_TYPE.goals(results)
    assert every_other.met
    assert by_lot.value < 1.10
    assert live.met


def test_a_decision_uses_the_other_half_and_one_type_only(given):
    trace = GPU_TYPE.load(given)
    before = dict(GPU_TYPE.policies[OURS](trace).rows)
    row = trace.halves[0][0]
    hidden = np.arange(len(trace.types)) != trace.measured
    trace.speed[row, hidden] *= np.array([0.1, 30.0])
    after = dict(GPU_TYPE.policies[OURS](trace).rows)
    decided_with_it = [trace.jobs[one] for one in trace.halves[0]]
    assert {job: before[job] for job in decided_with_it} == {job: after[job] for job in decided_with_it}


def test_a_job_is_never_put_on_a_type_where_it_did_not_run(tmp_path):
    path = tmp_path / "t.csv"
    rows = [
        f"{gpu},J{n} (batch size 8),{0 if (gpu, n) == ('k80', 1) else 1}" for n in range(4) for gpu in ("k80", "v100")
    ]
    path.write_text("gpu,job,steps_per_s\n" + "\n".join(rows) + "\n")
    result = play(
        GPU_TYPE, {"throughput": path, "prices": None, "measured": None, "lot": 0}, policies=[OURS, "cheapest"]
    )
    assert dict(result.played[OURS].decisions.rows)["J1 (batch size 8)"] == "v100"
    assert (result.value("did_not_run"), result.value("did_not_run", "cheapest")) == (0, 1)


def test_the_prices_change_the_decisions(given, tmp_path):
    prices = tmp_path / "p.csv"
    prices.write_text("gpu,usd_per_h\nk80,100\np100,100\nv100,1\n")
    result = play(GPU_TYPE, given | {"prices": prices}, policies=[OURS])
    assert {gpu for _, gpu in result.played[OURS].decisions.rows} == {"v100"}


def test_bad_input_is_an_error(given, tmp_path):
    with pytest.raises(InputError, match="--measured is 'h100'"):
        GPU_TYPE.load(given | {"measured": "h100"})
    path = tmp_path / "p.csv"
    path.write_text("gpu,usd_per_h\nk80,0\n")
    with pytest.raises(InputError, match="a price is 0"):
        GPU_TYPE.load(given | {"prices": path})
    path.write_text("gpu,usd_per_h\nh100,3\n")
    with pytest.raises(InputError, match="does not have two jobs"):
        GPU_TYPE.load(given | {"prices": path})


def test_the_judge_recomputes_from_decisions_alone(given):
    trace = GPU_TYPE.load(given)
    best = [(job, trace.types[int(np.argmin(trace.usd_per_h / trace.speed[i]))]) for i, job in enumerate(trace.jobs)]
    assert GPU_TYPE.judge(trace, Decisions(("job", "type"), best))["cost_over_best"].value == 1.0
