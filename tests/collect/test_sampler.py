import threading
from pathlib import Path

import pytest
from tests.collect.conftest import Clock, OpenNvml, Scenario, kubelet
from tests.collect.readings import ScriptedDevices, card, reading
from tests.collect.scenarios import H100, SHARED, moved
from tests.prometheus_server import poll

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.attribution.pod_resources import PodResources
from gpuwise.collect.reading import Sweep
from gpuwise.collect.sampler import STALE_INTERVALS, Sampler
from gpuwise.model.errors import SourceError

POD = Container("research", "trainer-0", "main")
OTHER = Container("research", "notebook-0", "main")


class Listed:
    """A kubelet that returns these allocations, or does not answer."""

    def __init__(self, *allocations: Allocation) -> None:
        self.allocations = allocations
        self.silent = False

    def list(self) -> tuple[Allocation, ...]:
        if self.silent:
            raise SourceError("no answer", hint="mount it")
        return self.allocations

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        return ()


def attributor_of(*allocations: Allocation) -> Attributor:
    return Attributor(Listed(*allocations), {101: POD, 102: OTHER}.get)


def test_a_snapshot_has_its_time_and_the_containers_of_each_device(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(H100), attributor_of(Allocation(POD, "GPU-aaaa")), interval_s=10, clock=clock)
    assert (sampler.snapshot, sampler.age_s, sampler.fresh) == (None, None, False)
    snapshot = sampler.sample()
    assert sampler.snapshot is snapshot
    assert snapshot.at_s == 1000.0
    assert snapshot.holders == {"GPU-aaaa": (POD,)}
    assert (snapshot.errors, snapshot.driver_up, snapshot.attribution_up) == ({}, True, True)
    assert sampler.fresh


def test_without_an_answer_of_the_kubelet_attribution_is_unknown_and_an_error_is_counted(open_nvml: OpenNvml):
    kubelet = Listed(Allocation(POD, "GPU-aaaa"))
    sampler = Sampler(open_nvml(H100), Attributor(kubelet, {}.get), interval_s=10)
    assert sampler.sample().parts
    kubelet.silent = True
    sampler.sample()
    snapshot = sampler.sample()
    assert snapshot.errors == {"POD_RESOURCES_UNAVAILABLE": 2}
    assert (snapshot.holders, snapshot.attribution_up, snapshot.parts) == (None, False, ())
    assert snapshot.readings[0].value(c.POWER) == 312.5


def test_without_a_kubelet_there_are_no_parts(open_nvml: OpenNvml):
    snapshot = Sampler(open_nvml(H100), None, interval_s=10).sample()
    assert (snapshot.holders, snapshot.attribution_up, snapshot.parts) == (None, None, ())


def test_shared_devices_are_split_by_their_processes(open_nvml: OpenNvml):
    attributor = attributor_of(Allocation(POD, "GPU-cccc::0"), Allocation(OTHER, "GPU-cccc::1"))
    snapshot = Sampler(open_nvml(SHARED), attributor, interval_s=10).sample()
    watts = {part.owner.container: part.value for part in snapshot.parts if part.metric is c.PART_POWER}
    assert watts == pytest.approx({POD: 45.0, OTHER: 11.25, None: 3.75})


def test_a_pod_omitted_by_list_is_read_with_get_while_its_processes_run(open_nvml: OpenNvml, tmp_path: Path):
    socket = tmp_path / "kubelet.sock"
    devices = {POD: ("GPU-cccc::0",), OTHER: ("GPU-cccc::1",)}
    with kubelet(socket, devices, unlisted={OTHER}) as fake:
        attributor = Attributor(PodResources(socket), {101: POD, 102: OTHER}.get)
        readings = open_nvml(SHARED).sweep().readings
        assert attributor.holders(readings) == {"GPU-cccc": (POD,)}  # one container: its processes are not examined
        fake.devices[Container("serving", "llm-0", "main")] = ("GPU-cccc::2",)
        found = attributor.holders(readings)
    assert set(found["GPU-cccc"]) == {POD, OTHER, Container("serving", "llm-0", "main")}
    assert fake.asked == ["List", "List", "Get"]


def test_errors_and_dropped_values_accumulate_over_sweeps(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100, "gpu 0 util 4294967295", "fail nvmlDeviceGetPowerUsage 15"), None, interval_s=10)
    sampler.sample()
    snapshot = sampler.sample()
    assert snapshot.errors == {"NVML_ERROR_GPU_IS_LOST": 2}
    assert snapshot.dropped == {"gpuwise_gpu_utilization_ratio": 2}


def test_incident_gpu_monitoring_tools_188_a_failed_sweep_repeats_no_old_values(
    open_nvml: OpenNvml, scenario: Scenario, clock: Clock
):
    sampler = Sampler(open_nvml(H100), None, interval_s=10, clock=clock)
    assert sampler.sample().readings
    scenario.play(H100, "fail nvmlDeviceGetCount_v2 15")
    clock.now_s += 10
    for _ in range(2):
        snapshot = sampler.sample()
        assert snapshot.readings == ()
        assert not snapshot.driver_up
        assert [(one.device.uuid, one.at_s) for one in snapshot.lost] == [("GPU-aaaa", 1000.0)]
    assert snapshot.errors == {"DEVICES_NOT_LISTED": 2}


def test_a_driver_that_fails_after_a_card_was_lost_loses_all_cards_and_forgets_none(
    open_nvml: OpenNvml, scenario: Scenario
):
    two = H100 + moved(SHARED, to=1)
    sampler = Sampler(open_nvml(two), None, interval_s=10)
    sampler.sample()
    scenario.play(two, "fail nvmlDeviceGetHandleByIndex_v2 15 1")
    assert [one.device.uuid for one in sampler.sample().lost] == ["GPU-cccc"]
    scenario.play(two, "reload 0 1000")
    for _ in range(2):
        found = {one.device.uuid: one.value(c.HEALTH) for one in sampler.sample().lost}
        assert found == {"GPU-aaaa": None, "GPU-cccc": 2.0}
    scenario.play(H100)  # the driver returns without the card
    snapshot = sampler.sample()
    assert [one.device.uuid for one in snapshot.readings] == ["GPU-aaaa"]
    assert [(one.device.uuid, one.value(c.HEALTH)) for one in snapshot.lost] == [("GPU-cccc", 2.0)]


def test_xid_79_is_shown_if_the_driver_lists_no_device_after_it(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    sampler = Sampler(nvml, None, interval_s=10)
    sampler.sample()
    scenario.play(H100, "event 0 79 0")
    poll(lambda: [*nvml._xids.samples("GPU-aaaa")], what="the XID error", deadline_s=60)
    scenario.play(H100, "fail nvmlDeviceGetCount_v2 999")
    for _ in range(2):
        assert [one.value(c.XID_LAST) for one in sampler.sample().lost] == [79.0]


def test_a_reloaded_driver_is_sampled_again(open_nvml: OpenNvml, scenario: Scenario):
    sampler = Sampler(open_nvml(H100), None, interval_s=10)
    sampler.sample()
    scenario.play(H100, "reload 0 1000")
    assert not sampler.sample().driver_up
    scenario.play(H100)
    snapshot = sampler.sample()
    assert (snapshot.driver_up, snapshot.driver.reloads, snapshot.lost) == (True, 1, ())
    assert len(snapshot.readings) == 1


@pytest.mark.parametrize(
    ("age_s", "fresh"), [(0, True), (STALE_INTERVALS * 10, True), (STALE_INTERVALS * 10 + 1, False)]
)
def test_a_snapshot_becomes_stale(open_nvml: OpenNvml, clock: Clock, *, age_s: float, fresh: bool):
    sampler = Sampler(open_nvml(H100), None, interval_s=10, clock=clock)
    sampler.sample()
    clock.now_s += age_s
    assert (sampler.fresh, sampler.age_s) == (fresh, age_s)


def test_a_clock_that_is_set_back_makes_the_age_of_the_last_sweep_unknown(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(H100), None, interval_s=10, clock=clock)
    sampler.sample()
    clock.now_s -= 3600
    assert not sampler.fresh
    sampler.sample()
    assert sampler.fresh


def test_idle_clocks_continue_over_sweeps(clock: Clock):
    idle = {c.UTILIZATION: 0.0}
    sweeps = [Sweep((reading(card(), idle, at_s=at_s, processes=[]),)) for at_s in (1000.0, 1010.0, 1020.0)]
    sampler = Sampler(ScriptedDevices(*sweeps), None, interval_s=10, clock=clock)
    assert [sampler.sample().readings[0].value(c.IDLE) for _ in sweeps] == [0.0, 10.0, 20.0]


def test_a_driver_that_hangs_blocks_only_the_sampler(open_nvml: OpenNvml, scenario: Scenario):
    sampler = Sampler(open_nvml(H100), None, interval_s=0.02)
    stop = threading.Event()
    thread = threading.Thread(target=sampler.run, args=(stop,))
    thread.start()
    try:
        poll(lambda: sampler.fresh, what="a first sweep")
        scenario.play(H100, "hang nvmlDeviceGetPowerUsage")
        poll(lambda: not sampler.fresh, what="the snapshot growing stale")
        assert sampler.snapshot is not None
        scenario.play(H100)
        poll(lambda: sampler.fresh, what="a sweep after the hang")
    finally:
        scenario.play(H100)
        stop.set()
        thread.join(timeout=300)
    assert not thread.is_alive()
