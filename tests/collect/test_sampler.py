import threading
from collections.abc import Callable

import pytest
from tests.prometheus_server import poll

from gpuwise.collect.nvml import Nvml
from gpuwise.collect.sampler import STALE_INTERVALS, Sampler
from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import PodRef

from .conftest import H100, Scenario

OpenNvml = Callable[..., Nvml]
POD = PodRef("research", "trainer-0", "main")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_snapshot_is_dated_and_knows_who_holds_each_device(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100), lambda: {"GPU-aaaa": (POD,)}, interval_s=10, clock=Clock())
    assert sampler.snapshot is None
    assert not sampler.fresh
    snapshot = sampler.sample()
    assert sampler.snapshot is snapshot
    assert snapshot.at_s == 1000.0
    assert snapshot.readings[0].pods == (POD,)
    assert snapshot.errors == {}
    assert sampler.fresh


def test_a_kubelet_that_does_not_answer_leaves_attribution_unknown_and_counted(open_nvml: OpenNvml):
    def silent():
        raise SourceError("no answer", mend="mount it")

    sampler = Sampler(open_nvml(H100), silent, interval_s=10)
    sampler.sample()
    snapshot = sampler.sample()
    assert snapshot.errors == {"POD_RESOURCES_UNAVAILABLE": 2}
    assert snapshot.readings[0].pods == ()
    assert snapshot.readings[0].signals[Signal.POWER] == 312.5


def test_errors_and_dropped_values_add_up_over_sweeps(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100, "gpu 0 util 4294967295", "fail nvmlDeviceGetPowerUsage 15"), None, interval_s=10)
    sampler.sample()
    snapshot = sampler.sample()
    assert snapshot.errors == {"NVML_ERROR_GPU_IS_LOST": 2}
    assert snapshot.dropped == {Signal.GPU_UTIL: 2}


def test_incident_gpu_monitoring_tools_188_a_failed_sweep_repeats_no_old_values(
    open_nvml: OpenNvml, scenario: Scenario
):
    sampler = Sampler(open_nvml(H100), None, interval_s=10)
    assert sampler.sample().readings
    scenario.play(H100, "fail nvmlDeviceGetCount_v2 15")
    snapshot = sampler.sample()
    assert snapshot.readings == ()
    assert snapshot.errors == {"DEVICES_NOT_LISTED": 1}


@pytest.mark.parametrize(
    ("age_s", "fresh"), [(0, True), (STALE_INTERVALS * 10, True), (STALE_INTERVALS * 10 + 1, False)]
)
def test_a_snapshot_grows_stale(open_nvml: OpenNvml, *, age_s: float, fresh: bool):
    clock = Clock()
    sampler = Sampler(open_nvml(H100), None, interval_s=10, clock=clock)
    sampler.sample()
    clock.now_s += age_s
    assert sampler.fresh is fresh


def test_a_hung_driver_blocks_the_sampler_alone(open_nvml: OpenNvml, scenario: Scenario):
    sampler = Sampler(open_nvml(H100), None, interval_s=0.02)
    stop = threading.Event()
    thread = threading.Thread(target=sampler.run, args=(stop,))
    thread.start()
    try:
        poll(lambda: sampler.fresh, deadline_s=10, what="a first sweep")
        scenario.play(H100, "hang nvmlDeviceGetPowerUsage")
        poll(lambda: not sampler.fresh, deadline_s=10, what="the snapshot growing stale")
        assert sampler.snapshot is not None
        scenario.play(H100)
        poll(lambda: sampler.fresh, deadline_s=10, what="a sweep after the hang")
    finally:
        scenario.play(H100)
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()
