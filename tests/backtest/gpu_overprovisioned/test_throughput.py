"""The slice backtest on ParvaGPU's table."""

import pytest

from gpuwise.backtest.contract import OURS
from gpuwise.backtest.gpu_overprovisioned.throughput import SLICE
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError


@pytest.fixture(scope="module")
def results(traces):
    return [play(SLICE, trial.given, label=trial.label) for trial in SLICE.trials(traces)]


def test_baselines_reproduce_their_published_errors(results):
    """Specification, 'slice': linear 31.6 %, median per slice 32.0, per configuration 27.4, capped 18.7."""
    found = {name: results[0].value("mape", name) for name in ("linear", "median", "median-alike", "capped")}
    assert found == pytest.approx(
        {"linear": 0.316, "median": 0.320, "median-alike": 0.274, "capped": 0.187}, abs=0.0006
    )


def test_the_goals_are_reached(results):
    assert [verdict.met for verdict in SLICE.goals(results)] == [True, True]


def test_the_rows_of_a_held_out_model_are_not_used(traces, tmp_path):
    """Other measurements on the slices of the held-out model change no decision about it."""
    given = SLICE.trials(traces)[0].given | {"held_out": "vgg16"}
    trace = SLICE.load(given)
    before = SLICE.policies[OURS](trace)
    trace.table.ips[(trace.table.model == "vgg16") & (trace.table.gpcs != 7)] *= 3
    assert SLICE.policies[OURS](trace) == before


def test_bad_input_is_an_error(traces, tmp_path):
    given = dict(SLICE.trials(traces)[0].given)
    with pytest.raises(InputError, match="--held-out: gpt2 is not in"):
        SLICE.load(given | {"held_out": "gpt2"})
    path = tmp_path / "t.csv"
    path.write_text("model,mig_gpcs,batch_size,mps_procs,throughput_ips\nm,1,1,1,5\n")
    with pytest.raises(InputError, match="no row of a whole GPU"):
        SLICE.load({"throughput": path, "held_out": "each"})
    path.write_text("model,mig_gpcs,batch_size,mps_procs,throughput_ips\nm,7,1,1,-5\n")
    with pytest.raises(InputError, match="below 0"):
        SLICE.load({"throughput": path, "held_out": "each"})
