"""GPUTypeOverprovisioned: a cheaper GPU type."""

from dataclasses import replace

import pytest
from tests.cases import at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.fleet import node, workload

from gpuwise.model.changes import ChangeGpuType
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.labels import MODEL, WORK_METRIC
from gpuwise.model.pace import Pace
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


def pace(gpu_type: str, rate: float) -> Pace:
    return Pace(gpu_type, 1.0, 1, None, 0, 100_000, 36_000.0, rate * 36_000.0, None)


def measured(*, others: int, on_l40s: float, kind=training, model="bert", as_others=None, **usage):
    """Work that is measured on an A100, in a fleet with others that were measured there and on an L40S."""
    busy = {"sm": 0.9, "dram": 0.9, "tensor": 0.9, "watts": 380.0}
    whole = case(at_level(**busy | usage), kind(labels={MODEL: model}, annotations={WORK_METRIC: "steps_total"}))
    profile = replace(whole.profile, work=1e6, paces=(pace("A100-80GB", 1.0),))
    workloads, profiles = [whole.workload], {whole.workload.ref: profile}
    for number in range(others):
        ref = replace(whole.workload.ref, name=f"other-{number}", uid=f"uid-other-{number}")
        workloads.append(replace(whole.workload, ref=ref, workload_class=as_others or whole.workload.workload_class))
        paces = (pace("A100-80GB", 10.0**number), pace("L40S", on_l40s * 10.0**number))
        profiles[ref] = replace(profile, workload=ref, paces=paces)
    inventory = replace(whole.inventory, workloads=tuple(workloads))
    return cheaper_type(
        replace(whole, profile=profile, fleet=replace(whole.fleet, inventory=inventory, profiles=profiles))
    )


def test_measured_work_moves_to_the_type_on_which_it_costs_less():
    """An A100 that is 90 % busy fits no cheaper type by the roofline. At 0.8 of the speed an L40S costs half."""
    found = measured(others=4, on_l40s=0.8)
    assert (found.change, found.reasons) == (ChangeGpuType("A100-80GB", "L40S"), (Reason.CHEAPER_BY_SPEED,))
    [cost] = [one for one in found.evidence if one.signal is Signal.WORK]
    assert "4 other workloads on both" in cost.text
    assert found.saving.usd_month == pytest.approx(730 * 3.0 * (1 - cost.value))
    assert 0.5 / 0.8 < cost.value < 0.8


def test_speeds_are_read_of_declared_work_only():
    """Each read of a profile is one from the disk, and most fleets declare no work."""

    class Read(dict):
        def get(self, ref, default=None):
            read.append(ref)
            return super().get(ref, default)

    read = []
    one = case(at_level(), training())
    other = replace(one.workload, ref=replace(one.workload.ref, uid="u2"), annotations={WORK_METRIC: "steps_total"})
    profiles = Read({one.workload.ref: one.profile, other.ref: replace(one.profile, paces=(pace("L40S", 1.0),))})
    fleet = replace(one.fleet, inventory=replace(one.inventory, workloads=(one.workload, other)), profiles=profiles)
    assert fleet.speeds.keys() == {other.ref}
    assert read == [other.ref]


def test_a_type_that_is_too_slow_for_its_price_is_not_recommended_whatever_the_roofline_says():
    fits_l40s = {"sm": 0.2, "dram": 0.1, "tensor": 0.05, "watts": 120.0}
    assert measured(others=0, on_l40s=1.0, **fits_l40s).change == ChangeGpuType("A100-80GB", "L40S")
    assert reason(measured(others=4, on_l40s=0.4, **fits_l40s)) is Reason.NO_CHEAPER_TYPE


def test_with_fewer_than_three_others_the_roofline_decides_and_says_so():
    found = measured(others=2, on_l40s=0.8)
    assert reason(found) is Reason.NO_CHEAPER_TYPE
    assert any("fewer than 3 other workloads" in one.text for one in found.evidence)


def test_an_endpoint_is_not_moved_by_speed():
    assert reason(measured(others=4, on_l40s=0.8, kind=workload)) is Reason.NO_CHEAPER_TYPE


def test_the_rates_of_endpoints_are_not_speeds():
    """Under one load they do the same work on any GPU: by that, an L40S would be as fast as an A100."""
    assert reason(measured(others=4, on_l40s=1.0, as_others=WorkloadClass.ENDPOINT)) is Reason.NO_CHEAPER_TYPE


def test_a_type_without_the_memory_is_not_recommended_by_speed():
    assert reason(measured(others=4, on_l40s=0.8, gib=44.0)) is Reason.NO_CHEAPER_TYPE
