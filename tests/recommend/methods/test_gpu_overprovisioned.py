"""GPUOverprovisioned: fewer GPUs or a MIG slice."""

import pytest
from tests.cases import MIG_NODE, WEEK, case, reason
from tests.fleet import node, workload
from tests.series import DAY_STEPS, device, usage

from gpuwise.model.changes import Resize
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal
from gpuwise.recommend.engines.gpu_overprovisioned import slices
from gpuwise.recommend.methods.gpu_overprovisioned import CARRIED, right_size


def test_gpus_that_are_never_busy_together_are_released():
    devices = [device(WEEK, uuid=f"GPU-{i}", busy=range(WEEK) if i < 2 else ()) for i in range(8)]
    found = right_size(case(usage(*devices), workload(gpus=8)))
    assert isinstance(found.change, Resize)
    assert found.change.proposed.count == 2
    assert found.saving.gpu_h_month == pytest.approx(6 * 730)


def test_three_busy_gpus_are_rounded_up_to_four():
    devices = [device(WEEK, uuid=f"GPU-{i}", busy=range(WEEK) if i < 3 else ()) for i in range(8)]
    assert right_size(case(usage(*devices), workload(gpus=8))).change.proposed.count == 4


def test_a_small_workload_moves_to_a_slice_with_headroom():
    one = device(WEEK)
    one.samples[Signal.SM_ACTIVITY][:] = 0.10
    one.samples[Signal.MEMORY_USED][:] = 7.5 * 2**30
    found = right_size(case(usage(one), nodes=[node(), MIG_NODE]))
    assert found.change.proposed.resource == "nvidia.com/mig-1g.10gb"
    assert found.saving.gpu_h_month == pytest.approx(730 * 6 / 7)


def test_the_evidence_of_a_slice_states_how_often_such_a_slice_carried_the_work():
    one = device(WEEK)
    one.samples[Signal.SM_ACTIVITY][:] = 0.10
    found = right_size(case(usage(one), nodes=[node(), MIG_NODE]))
    [stated] = [item for item in found.evidence if item.statistic == "backtest"]
    assert stated.value == CARRIED
    assert "no throughput is measured" in stated.text


def test_the_engine_chooses_the_slice(monkeypatch):
    one = device(WEEK)
    one.samples[Signal.SM_ACTIVITY][:] = 0.10
    monkeypatch.setattr(slices, "fitting_slices", lambda *_: [])
    assert reason(right_size(case(usage(one), nodes=[node(), MIG_NODE]))) is Reason.WELL_SIZED


def test_memory_alone_can_require_a_larger_slice():
    one = device(WEEK)
    one.samples[Signal.SM_ACTIVITY][:] = 0.10
    one.samples[Signal.MEMORY_USED][:] = 8.0 * 2**30  # x 1.15 x (1 + 1 / 7 days) is over 10 GiB
    found = right_size(case(usage(one), nodes=[node(), MIG_NODE]))
    assert found.change.proposed.resource == "nvidia.com/mig-2g.20gb"  # 1g.20gb would suffice, but is not offered
    double = node("mig-1", mig={"1g.20gb": 4})
    found = right_size(case(usage(one), nodes=[node(), MIG_NODE, double]))
    assert found.change.proposed.resource == "nvidia.com/mig-1g.20gb"
    assert found.saving.gpu_h_month == pytest.approx(730 * 3 / 4)  # four use all of a GPU's memory


def test_a_slice_that_no_node_offers_is_not_proposed():
    one = device(WEEK)
    one.samples[Signal.SM_ACTIVITY][:] = 0.10
    assert reason(right_size(case(usage(one)))) is Reason.NO_MIG_CAPACITY


def test_gpu_utilisation_alone_does_not_size_a_workload():
    one = device(WEEK, busy=range(WEEK), signals=(Signal.GPU_UTIL, Signal.MEMORY_USED, Signal.POWER))
    assert reason(right_size(case(usage(one), nodes=[MIG_NODE, node()]))) is Reason.INSUFFICIENT_DATA


def test_two_days_of_data_are_too_few():
    found = right_size(case(usage(device(2 * DAY_STEPS, busy=[0]))))
    assert reason(found) is Reason.INSUFFICIENT_DATA
