import math

import pytest
from tests.collect.conftest import Clock
from tests.collect.serve.test_page import samples

from gpuwise.collect import catalogue as c
from gpuwise.collect.demo import DemoDevices, demo
from gpuwise.collect.metric import Metric, Scope
from gpuwise.collect.reading import Reading
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.page import Page
from gpuwise.collect.settings import Compat


@pytest.fixture
def sampler(clock: Clock) -> Sampler:
    return Sampler(DemoDevices(clock), demo()[1], interval_s=10, clock=clock)


def test_the_node_has_a_busy_an_idle_a_shared_and_a_mig_card(sampler: Sampler, clock: Clock):
    for _ in range(6):
        clock.now_s += 10
        snapshot = sampler.sample()
    by_uuid = {reading.device.uuid: reading for reading in snapshot.readings}
    assert (by_uuid["GPU-demo-1"].value(c.SM_ACTIVITY) or 0) > 0.4
    assert by_uuid["GPU-demo-2"].value(c.IDLE) == 50.0
    assert (snapshot.holders or {})["GPU-demo-2"]
    assert len((snapshot.holders or {})["GPU-demo-3"]) == 2
    assert by_uuid["GPU-demo-0"].value(c.UTILIZATION) is None
    assert by_uuid["MIG-demo-9"].value(c.SM_ACTIVITY) == 0.0
    watts = [part.value for part in snapshot.parts if part.metric is c.PART_POWER]
    boards = [reading.value(c.POWER) or 0.0 for reading in snapshot.readings]
    assert math.fsum(watts) == pytest.approx(math.fsum(boards))


def test_a_card_fails_after_two_minutes(sampler: Sampler, clock: Clock):
    sampler.sample()
    clock.now_s += 121
    reading = next(one for one in sampler.sample().readings if one.device.uuid == "GPU-demo-4")
    assert reading.value(c.XID_LAST) == 79.0
    clock.now_s += 30
    snapshot = sampler.sample()
    assert [one.device.uuid for one in snapshot.lost] == ["GPU-demo-4"]
    assert snapshot.errors == {"NVML_ERROR_GPU_IS_LOST": 1}


def test_every_value_is_plausible_and_counters_never_decrease(sampler: Sampler, clock: Clock):
    before: dict[tuple[str, str], float] = {}
    page = Page(sampler, node="demo", compat=Compat.DCGM)
    for _ in range(40):
        clock.now_s += 10
        for reading in sampler.sample().readings:
            assert all(sample.metric.plausible(sample.value) for sample in reading.samples)
        for labels, value in samples(page.plain())["gpuwise_container_gpu_energy_joules_total"]:
            key = labels["device_uuid"], labels["method"] + labels["pod"]
            assert value >= before.get(key, 0.0)
            before[key] = value


def test_every_metric_has_a_board_that_reports_it(sampler: Sampler, clock: Clock):
    found: set[Metric] = set()
    for _ in range(14):
        clock.now_s += 10
        found |= {sample.metric for reading in sampler.sample().readings for sample in reading.samples}
    later = {c.SAMPLED_AT, c.INFO, c.UP, c.PROCESS_COUNT}
    assert {metric for metric in c.METRICS if metric.scope is not Scope.CONTAINER} - later == found


def test_the_verdicts_differ_and_an_application_error_is_not_a_fault(sampler: Sampler, clock: Clock):
    sampler.sample()
    clock.now_s += 200
    snapshot = sampler.sample()
    verdicts = {one.device.index: _verdict(one) for one in (*snapshot.readings, *snapshot.lost) if not one.device.mig}
    assert verdicts == {
        0: "Healthy", 1: "Healthy", 2: "Healthy", 3: "Healthy", 4: "Lost", 5: "Healthy", 6: "PageRetirementPending"
    }  # fmt: skip
    shared = next(one for one in snapshot.readings if one.device.index == 3)
    assert shared.value(c.XID_ERRORS, "13") == 1.0


def _verdict(reading: Reading) -> str:
    (found,) = (sample.labels[0] for sample in reading.samples if sample.metric is c.HEALTH)
    return found
