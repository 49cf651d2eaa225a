"""Fake NVML and kubelet -> exporter -> a real Prometheus that scrapes it -> usage as the service reads it."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, free_port, poll

from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.exporter import run_exporter
from gpuwise.collect.settings import Compat, ExporterSettings
from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import GpuRequest, Inventory, Pod, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .conftest import Scenario, kubelet
from .scenarios import H100, SHARED, SLICED, moved
from .test_exporter import exporter
from .test_queries import BATCH, processes
from .test_queries import SERVER as SERVER_OF_SHARED

pytestmark = NEEDS_PROMETHEUS

TRAINER = Container("research", "trainer-0", "main")
SERVER = Container("research", "server-0", "main")
# The second card, in MIG mode, on the same node.
BOTH = H100 + moved(SLICED, to=1)

DCGM_NAMES_ONLY = "metric_relabel_configs: [{source_labels: [__name__], regex: 'gpuwise_.*', action: drop}],"


def workload(ref: Container) -> Workload:
    return Workload(
        ref=WorkloadRef(ref.namespace, "Deployment", ref.pod, ref.pod),
        workload_class=WorkloadClass.ENDPOINT,
        replicas=1,
        request=GpuRequest("nvidia.com/gpu", 1),
        labels={},
        annotations={},
        pods=(Pod(ref.pod, ref.pod, "node-a", "Running", ready=True, started_s=None),),
        created_s=0,
    )


@pytest.mark.parametrize(
    ("compat", "honor_labels"), [("none", "true"), ("none", "false"), ("dcgm", "true"), ("dcgm", "false")]
)
def test_the_service_reads_what_the_gpu_reports(
    fake_nvml: Path,
    scenario: Scenario,
    tmp_path: Path,
    start_prometheus: StartPrometheus,
    compat: str,
    honor_labels: str,
):
    scenario.play(BOTH)
    port, socket, stop = free_port(), tmp_path / "kubelet.sock", threading.Event()
    exporter_settings = ExporterSettings(
        node="node-a",
        listen=f"127.0.0.1:{port}",
        interval_s=0.2,
        nvml_library=fake_nvml,
        pod_resources_socket=socket,
        compat=Compat(compat),
    )
    thread = threading.Thread(target=run_exporter, args=(exporter_settings, stop))
    relabelled = DCGM_NAMES_ONLY if compat == "dcgm" else ""
    config = (
        f"scrape_configs: [{{job_name: gpuwise, scrape_interval: 1s, honor_labels: {honor_labels}, {relabelled} "
        f"static_configs: [{{targets: ['127.0.0.1:{port}'], "
        "labels: {namespace: gpuwise, pod: exporter-x, container: exporter}}]}]"
    )
    workloads = [workload(TRAINER), workload(SERVER)]
    with kubelet(socket, {TRAINER: ("GPU-aaaa",), SERVER: ("MIG-1111",)}):
        thread.start()
        try:
            source = PrometheusUsage(PrometheusSettings(start_prometheus(config=config)))

            def read() -> list[UsageSeries]:
                window = Window.ending(int(time.time()) + 2, length_s=20, step_s=2)
                return list(source.read(workloads, Inventory(0, {}, (), {}), window))

            def peak(signal: Signal) -> float:
                return max(
                    (
                        np.nanmax(device.samples[signal], initial=-1.0)
                        for device in read()[0].devices
                        if signal in device.samples
                    ),
                    default=-1.0,
                )

            def first_seen() -> bool:
                try:
                    return peak(Signal.SM_ACTIVITY) == 0.415
                except SourceError:  # no scrape yet
                    return False

            poll(first_seen, what="the first profile being read back")
            (card,), (instance,) = (usage.devices for usage in read())
            scenario.play(BOTH.replace("gpu 0 util 37", "gpu 0 util 93"))
            poll(lambda: peak(Signal.GPU_UTIL) == 0.93, what="the change being read back")
        finally:
            stop.set()
            thread.join(timeout=300)
    assert (card.device_uuid, card.gpu_type, card.gpu_fraction) == ("GPU-aaaa", "H100-80GB", 1.0)
    assert {signal: np.nanmax(samples) for signal, samples in card.samples.items()} == {
        Signal.SM_ACTIVITY: 0.415,
        Signal.TENSOR_ACTIVITY: 0.1225,
        Signal.DRAM_ACTIVITY: 0.3,
        Signal.GPU_UTIL: 0.37,
        Signal.MEMORY_USED: 8 * 2**30,
        Signal.POWER: 312.5,
    }
    # dcgm-exporter, and so its names served by gpuwise, identifies an instance by its card.
    assert instance.device_uuid == ("MIG-1111" if compat == "none" else "GPU-bbbb/7")
    assert instance.gpu_type == "A100-80GB"
    assert instance.gpu_fraction == pytest.approx(1 / 7)
    assert instance.samples.keys() == {Signal.SM_ACTIVITY, Signal.MEMORY_USED}
    assert np.nanmax(instance.samples[Signal.SM_ACTIVITY]) == 0.88


@pytest.mark.parametrize(("compat", "used"), [("none", 0.8), ("dcgm", 0.6)])
def test_each_pod_of_a_shared_card_has_its_part_of_the_memory(
    fake_nvml: Path,
    scenario: Scenario,
    tmp_path: Path,
    start_prometheus: StartPrometheus,
    compat: str,
    used: float,
):
    """gpuwise's own utilization is that of the card, for each pod; dcgm-exporter's names have the pod's part."""
    scenario.play(SHARED)
    socket, (proc, links) = tmp_path / "kubelet.sock", processes(tmp_path)
    shared = {SERVER_OF_SHARED: ("GPU-cccc::0",), BATCH: ("GPU-cccc::1",)}
    settings = {"compat": Compat(compat), "host_proc": proc, "container_links": links, "interval_s": 0.2}
    relabelled = DCGM_NAMES_ONLY if compat == "dcgm" else ""
    with kubelet(socket, shared), exporter(fake_nvml, pod_resources_socket=socket, **settings) as read:
        config = (
            f"scrape_configs: [{{job_name: gpuwise, scrape_interval: 1s, honor_labels: true, {relabelled} "
            f"static_configs: [{{targets: ['127.0.0.1:{read.port}']}}]}}]"
        )
        source = PrometheusUsage(PrometheusSettings(start_prometheus(config=config)))

        def devices() -> list[DeviceSeries]:
            window = Window.ending(int(time.time()) + 2, length_s=20, step_s=2)
            try:
                usage = source.read([workload(SERVER_OF_SHARED), workload(BATCH)], Inventory(0, {}, (), {}), window)
                return [device for one in usage for device in one.devices]
            except SourceError:  # no scrape yet
                return []

        poll(lambda: len(devices()) == 2, what="both pods being read back")
        server, batch = devices()
    assert (server.device_uuid, server.gpu_fraction, batch.gpu_fraction) == ("GPU-cccc", 0.5, 0.5)
    assert np.nanmax(server.samples[Signal.MEMORY_USED]) == pytest.approx(4e9)
    assert np.nanmax(batch.samples[Signal.MEMORY_USED]) == pytest.approx(2e9)
    assert np.nanmax(server.samples[Signal.GPU_UTIL]) == pytest.approx(used)
