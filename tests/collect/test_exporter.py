"""The whole exporter, from its settings, with the fake NVML and a kubelet."""

import gc
import http.client
import threading
import tracemalloc
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.collect.conftest import Scenario, kubelet
from tests.collect.scenarios import H100, SHARED, node
from tests.collect.serve.test_page import Samples, samples
from tests.collect.test_sampler import Listed
from tests.prometheus_server import free_port, poll

from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.exporter import run_exporter
from gpuwise.collect.nvml import Nvml
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.families import pairs
from gpuwise.collect.serve.page import Page
from gpuwise.collect.settings import ExporterSettings
from gpuwise.model.errors import DeviceError, GpuwiseError, InputError

POD = Container("research", "trainer-0", "main")
OTHER = Container("research", "notebook-0", "notebook")
ID, OTHER_ID = "3f" * 32, "7a" * 32


@dataclass(frozen=True)
class Read:
    """Reads the metrics of an exporter; empty while the exporter does not answer.

    Attributes:
        port: the exporter's port.
        failures: why the exporter ended.
    """

    port: int
    failures: list[GpuwiseError] = field(default_factory=list)

    def __call__(self) -> Samples:
        if self.failures:
            raise self.failures[0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=300) as response:
                return samples(response.read())
        except (OSError, http.client.HTTPException):  # not started yet, or stopped
            return {}


@contextmanager
def exporter(library: Path, **more: object) -> Iterator[Read]:
    """Run an exporter on a thread; yields a reader of its metrics."""
    read, stop = Read(free_port()), threading.Event()
    settings = {"node": "node-a", "interval_s": 0.05, "pod_resources_socket": None, **more}
    configured = ExporterSettings(listen=f"127.0.0.1:{read.port}", nvml_library=library, **settings)

    def run() -> None:
        try:
            run_exporter(configured, stop)
        except GpuwiseError as error:
            read.failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield read
    finally:
        stop.set()
        thread.join(timeout=300)
    assert not thread.is_alive()


def one(read: Read, name: str) -> float | None:
    """The value of a metric that has one series; None if it has no series or several."""
    found = read().get(name, [])
    return found[0][1] if len(found) == 1 else None


def test_a_pod_that_starts_and_ends_is_attributed(fake_nvml: Path, scenario: Scenario, tmp_path: Path):
    scenario.play(H100)
    socket = tmp_path / "kubelet.sock"

    def pods(read: Read) -> set[str]:
        return {labels["pod"] for labels, _ in read().get("gpuwise_gpu_info", [])}

    with kubelet(socket, {}) as fake, exporter(fake_nvml, pod_resources_socket=socket) as read:
        poll(lambda: pods(read) == {""}, what="a device without a pod")
        assert {labels["method"] for labels, _ in read()["gpuwise_container_gpu_power_watts"]} == {"unattributed"}
        fake.devices = {POD: ("GPU-aaaa",)}
        poll(lambda: pods(read) == {"trainer-0"}, what="the pod's series")
        fake.devices = {OTHER: ("GPU-aaaa",)}
        poll(lambda: pods(read) == {"notebook-0"}, what="the next pod's series")
        fake.devices = {}
        poll(lambda: pods(read) == {""}, what="the device being released")
        scenario.play(H100.replace("power 312500", "power 99000"))
        poll(lambda: one(read, "gpuwise_gpu_power_watts") == 99.0, what="the new power")


def test_a_time_sliced_gpu_is_split_among_its_pods(fake_nvml: Path, scenario: Scenario, tmp_path: Path):
    scenario.play(SHARED)
    socket, proc, links = tmp_path / "kubelet.sock", tmp_path / "proc", tmp_path / "containers"
    links.mkdir()
    for pid, container, number in ((101, POD, ID), (102, OTHER, OTHER_ID)):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cgroup").write_text(f"0::/kubepods.slice/cri-containerd-{number}.scope\n")
        (links / f"{container.pod}_{container.namespace}_{container.name}-{number}.log").touch()
    outside = {"pod_resources_socket": socket, "host_proc": proc, "container_links": links}
    with (
        kubelet(socket, {POD: ("GPU-cccc::0",), OTHER: ("GPU-cccc::1",)}),
        exporter(fake_nvml, **outside) as read,
    ):
        poll(lambda: "gpuwise_container_gpu_power_watts" in read(), what="the parts")
        found = read()["gpuwise_container_gpu_power_watts"]
    assert {(labels["pod"], labels["method"]): value for labels, value in found} == pytest.approx(
        {("trainer-0", "sm_time"): 45.0, ("notebook-0", "sm_time"): 11.25, ("", "unattributed"): 3.75}
    )


def test_resource_claims_of_mig_instances_are_attributed(fake_nvml: Path, scenario: Scenario, tmp_path: Path):
    scenario.play(node(1, 3))
    socket = tmp_path / "kubelet.sock"
    claims = {POD: (("gpu.nvidia.com", "gpu-0-mig-19-1-1"),)}
    with kubelet(socket, {}, claims=claims), exporter(fake_nvml, pod_resources_socket=socket) as read:
        poll(lambda: "gpuwise_container_gpu_sm_activity_ratio" in read(), what="the parts")
        found = read()["gpuwise_gpu_info"]
    pods = {labels["device_uuid"]: labels["pod"] for labels, _ in found}
    assert pods == {"GPU-0000": "", "MIG-0000-0": "", "MIG-0000-1": "trainer-0", "MIG-0000-2": ""}


def test_without_a_kubelet_devices_have_no_pods_and_the_outage_is_reported(
    fake_nvml: Path, scenario: Scenario, tmp_path: Path
):
    scenario.play(H100)
    socket = tmp_path / "kubelet.sock"
    with exporter(fake_nvml, pod_resources_socket=socket) as read:
        poll(lambda: one(read, "gpuwise_exporter_pod_resources_up") == 0.0, what="a kubelet that does not answer")
        found = read()
        assert found["gpuwise_gpu_power_watts"][0][0]["pod"] == ""
        assert "gpuwise_container_gpu_power_watts" not in found  # unknown is not the same as unallocated
        with kubelet(socket, {POD: ("GPU-aaaa",)}):
            poll(
                lambda: one(read, "gpuwise_exporter_pod_resources_up") == 1.0,
                what="the kubelet's return",
            )


def test_a_driver_that_hangs_blocks_no_scrape_and_its_values_are_withdrawn(fake_nvml: Path, scenario: Scenario):
    scenario.play(H100)
    with exporter(fake_nvml) as read:
        poll(lambda: one(read, "gpuwise_gpu_power_watts") == 312.5, what="a first sweep")
        scenario.play(H100, "speed 60", "hang nvmlDeviceGetPowerUsage 60")  # at speed 60, 60 s pass in 1 s
        poll(lambda: "gpuwise_gpu_power_watts" not in read(), what="the values being withdrawn")
        found = read()
        assert found["gpuwise_exporter_snapshot_age_seconds"][0][1] > 0.05
        assert "gpuwise_gpu_sample_timestamp_seconds" in found
        poll(lambda: one(read, "gpuwise_gpu_power_watts") == 312.5, what="a sweep after the hang")


def test_a_reloaded_driver_is_read_again_and_counted(fake_nvml: Path, scenario: Scenario):
    scenario.play(H100)
    with exporter(fake_nvml) as read:
        poll(lambda: one(read, "gpuwise_exporter_driver_up") == 1.0, what="a first sweep")
        scenario.play(H100, "reload 0 0.5")
        poll(lambda: one(read, "gpuwise_exporter_driver_up") == 0.0, what="the driver going away")
        found = read()
        assert "gpuwise_gpu_power_watts" not in found
        poll(lambda: one(read, "gpuwise_exporter_driver_reloads_total") == 1.0, what="its return")
        poll(lambda: one(read, "gpuwise_gpu_power_watts") == 312.5, what="a sweep after it")


def test_an_hour_of_sweeps_does_not_grow_memory(fake_nvml: Path, scenario: Scenario, tmp_path: Path):
    scenario.play(SHARED, "gpu 0 gpm.2 10+1/s..90")
    nvml = Nvml(fake_nvml)
    fake = Listed()
    sampler = Sampler(nvml, Attributor(fake, {101: POD}.get), interval_s=10)
    page = Page(sampler, node="n")

    def sweep(number: int) -> None:
        coming = Container("research", f"pod-{number // 3}", "main")  # a new pod every 30 s
        fake.allocations = (Allocation(POD, "GPU-cccc::0"), Allocation(coming, "GPU-cccc::1"))
        sampler.sample()
        page.packed()

    try:
        for number in range(60):
            sweep(number)
        tracemalloc.start()
        sweep(60)
        pairs.cache_clear()  # the texts of label sets, whose number is limited
        gc.collect()  # pynvml makes array classes, which are in cycles
        before = tracemalloc.get_traced_memory()[0]
        for number in range(61, 61 + 360):  # an hour at 10 s
            sweep(number)
        pairs.cache_clear()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        nvml.close()
    assert grown < 16 * 1024


def test_without_a_driver_the_exporter_ends_with_a_device_error(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GPUWISE_FAKE_NVML", raising=False)
    with pytest.raises(DeviceError, match="install the NVIDIA driver"):
        run_exporter(ExporterSettings(node="n", nvml_library=fake_nvml), threading.Event())


def test_a_failing_sampler_ends_the_exporter_so_that_it_is_restarted(fake_nvml: Path, scenario: Scenario):
    scenario.path.write_bytes(b"gpu 0 uuid GPU-\xff\xfe")
    settings = ExporterSettings(
        node="n", listen="127.0.0.1:0", interval_s=0.05, nvml_library=fake_nvml, pod_resources_socket=None
    )
    with pytest.raises(DeviceError, match=r"sampling failed.*restart the exporter"):
        run_exporter(settings, threading.Event())


def test_a_driver_of_another_version_ends_the_exporter_so_that_it_is_restarted(fake_nvml: Path, scenario: Scenario):
    scenario.play(H100)
    with exporter(fake_nvml) as read:
        poll(lambda: one(read, "gpuwise_exporter_driver_up") == 1.0, what="a first sweep")
        scenario.play(H100, "fail nvmlDeviceGetCount_v2 1", "fail nvmlInitWithFlags 18")
        with pytest.raises(DeviceError, match="restart the exporter"):
            poll(lambda: read() == {"never": []}, what="the end")


def test_an_unreadable_web_config_ends_the_exporter_before_it_serves(fake_nvml: Path, tmp_path: Path):
    settings = ExporterSettings(node="n", nvml_library=fake_nvml, web_config=tmp_path / "none.yml")
    with pytest.raises(InputError, match=r"none\.yml cannot be read"):
        run_exporter(settings, threading.Event())
