"""GPUTypeOverprovisioned: a cheaper GPU type."""

from dataclasses import replace

import pytest
from tests.cases import at_level, reason
from tests.cases import mixed_fleet_case as case
from tests.fleet import node, workload

from gpuwise.model.changes import ChangeGpuType
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal
from gpuwise.recommend.methods.gpu_type_overprovisioned import cheaper_type


def test_the_cheapest_type_with_enough_compute_bandwidth_and_memory():
    """A tenth of an A100 is 31 TFLOPS, 204 GB/s and 10 GiB: with headroom this fits a T4 (65, 320, 15)."""
    found = cheaper_type(case(at_level()))
    assert found.change == ChangeGpuType("A100-80GB", "T4")
    assert found.saving.usd_month == pytest.approx(2.5 * 730)
    assert found.saving.gpu_h_month == 0.0
    assert found.risk == 3


def test_the_evidence_says_that_the_size_is_by_the_roofline():
    assert any(
        "by the roofline, no throughput is measured" in one.text for one in cheaper_type(case(at_level())).evidence
    )


@pytest.mark.parametrize("more", [{"gib": 14.0}, {"dram": 0.14}, {"sm": 0.2}])
def test_each_need_alone_can_exclude_a_type(more):
    assert cheaper_type(case(at_level(**more))).change == ChangeGpuType("A100-80GB", "L40S")


def test_a_gpu_in_another_region_is_not_offered():
    far = replace(node("t4-0", gpu="T4"), region="us-east-1")
    assert reason(cheaper_type(case(at_level(), nodes=[node(), far]))) is Reason.NO_CHEAPER_TYPE
    allowed = case(at_level(), nodes=[node(), far], allowed_regions=("us-east-1",))
    assert cheaper_type(allowed).change.proposed == "T4"


def test_a_pod_with_several_gpus_keeps_its_type():
    assert reason(cheaper_type(case(at_level(), workload(gpus=4)))) is Reason.NO_CHEAPER_TYPE


def test_without_tensor_activity_nothing_is_recommended():
    one = at_level()
    del one.samples[Signal.TENSOR_ACTIVITY]
    assert reason(cheaper_type(case(one))) is Reason.INSUFFICIENT_DATA
