"""The backtest of the emitted slice, on ParvaGPU's table and on tables written for the test."""

import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.gpu_overprovisioned.emitted import LOWER, PREDICTED, SLICE_SIZE, UPPER
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.gpu_overprovisioned import slices
from gpuwise.recommend.methods.gpu_overprovisioned import CARRIED

HEADER = "model,mig_gpcs,batch_size,mps_procs,throughput_ips\n"


@pytest.fixture(scope="module")
def results(traces):
    return [play(SLICE_SIZE, trial.given, label=trial.label) for trial in SLICE_SIZE.trials(traces)]


@pytest.fixture
def table(tmp_path):
    """One model whose rate falls to half on 3 slices and to a fifth on 1; its second batch size needs 4 slices."""
    path = tmp_path / "rates.csv"
    rows = ["a,7,1,1,100", "a,3,1,1,50", "a,1,1,1,20", "a,7,8,1,200", "a,4,8,1,150", "a,1,8,1,0"]
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return {"throughput": path, "held_out": "a", "activity": LOWER}


def test_the_share_of_the_evidence_is_the_one_of_the_backtest(results):
    low, high = results
    assert low.value("carried_share") == pytest.approx(CARRIED, abs=0.005)
    assert high.value("carried_share") == 1.0


def test_predicted_throughput_carries_more_at_a_lower_cost_than_activity(results):
    for result in results:
        assert result.value("cost_over_best", PREDICTED) < result.value("cost_over_best")
    assert results[0].value("carried_share", PREDICTED) > results[0].value("carried_share") + 0.05


def test_the_best_slice_carries_all_and_costs_the_least(results):
    for result in results:
        assert result.value("carried_share", "best-in-hindsight") == 1.0
        costs = {name: result.value("cost_over_best", name) for name in result.played}
        assert min(costs.values()) == costs["best-in-hindsight"] == 1.0


def test_the_emitted_size_is_the_engines(table, monkeypatch):
    decided = SLICE_SIZE.policies[OURS](SLICE_SIZE.load(table))
    monkeypatch.setattr(slices, "fitting_slices", lambda *_: [])
    whole = SLICE_SIZE.policies[OURS](SLICE_SIZE.load(table))
    assert {row[4] for row in whole.rows} == {7}
    assert decided != whole


def test_work_is_carried_if_the_slice_reaches_its_rate_and_never_gets_a_slice_on_which_it_does_not_run(table):
    trace = SLICE_SIZE.load(table)
    best = {row[1:4:2]: row[4] for row in SLICE_SIZE.policies["best-in-hindsight"](trace).rows}
    assert best[1, 0.2] == 1
    assert best[1, 0.3] == 3
    assert best[1, 0.6] == 7
    assert best[8, 0.1] == 4  # 1 slice has too little memory: it did not run
    for policy in (OURS, "without-headroom"):
        assert all((row[1], row[4]) != (8, 1) for row in SLICE_SIZE.policies[policy](trace).rows)


def test_activity_is_the_load_times_the_share_of_the_highest_rate_or_the_load(table):
    low, high = (SLICE_SIZE.load({**table, "activity": bound}).activity for bound in (LOWER, UPPER))
    assert low["a", 1, 1, 0.4] == pytest.approx(0.2)
    assert low["a", 8, 1, 0.4] == pytest.approx(0.4)
    assert high["a", 1, 1, 0.4] == pytest.approx(0.4)


def test_a_slice_that_is_too_slow_costs_a_whole_gpu(table):
    trace = SLICE_SIZE.load(table)
    rows = [(*work, 1) for work in trace.activity]
    figures = SLICE_SIZE.judge(trace, Decisions(("model", "batch_size", "mps_procs", "load", "mig_gpcs"), rows))
    assert figures["carried_share"].value == pytest.approx(2 / 18)  # batch 1 at 10 % and 20 %
    assert figures["share_of_gpu"].value == pytest.approx((2 / 7 + 16) / 18)


def test_slice_rows_of_a_model_change_no_emitted_size(table):
    """The method sees the work on the whole GPU only."""
    trace = SLICE_SIZE.load(table)
    before = SLICE_SIZE.policies[OURS](trace)
    faster = {key: rate * (1 if key[1] == 7 else 3) for key, rate in trace.rates.items()}
    assert SLICE_SIZE.policies[OURS](type(trace)(trace.table, faster, trace.activity)) == before


def test_bad_input_is_an_error(table):
    with pytest.raises(InputError, match="--activity is 'middle'"):
        SLICE_SIZE.load({**table, "activity": "middle"})
    trace = SLICE_SIZE.load(table)
    with pytest.raises(InputError, match="a workload has no size"):
        SLICE_SIZE.judge(trace, Decisions((), [("a", 1, 1, 0.1, 1)]))
