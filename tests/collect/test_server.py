import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.prometheus_server import NEEDS_PROMETHEUS, free_port, poll

from gpuwise.collect.nvml import Nvml
from gpuwise.collect.sampler import STALE_INTERVALS, Sampler
from gpuwise.collect.server import run_exporter, serving
from gpuwise.collect.settings import ExporterSettings
from gpuwise.model.errors import DeviceError, InputError
from gpuwise.model.usage import PodRef

from .conftest import H100, SLICED, Scenario, kubelet

OpenNvml = Callable[..., Nvml]
POD = PodRef("research", "trainer-0", "main")
OTHER = PodRef("research", "notebook-0", "main")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_a_scrape_shows_the_last_snapshot(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100), lambda: {"GPU-aaaa": (POD,)}, interval_s=10, clock=Clock())
    with serving(sampler, node="node-a", listen="127.0.0.1:0") as port:
        sampler.sample()
        sampler.sample()
        found = samples(get(port, "/metrics")[1])
    ((labels, value),) = found["gpuwise_gpu_sm_activity_ratio"]
    assert value == 0.415
    assert labels == {
        "device_uuid": "GPU-aaaa",
        "gpu": "0",
        "model": "NVIDIA H100 80GB HBM3",
        "mig_profile": "",
        "gpu_instance_id": "",
        "node": "node-a",
        "namespace": "research",
        "pod": "trainer-0",
        "container": "main",
    }
    assert found["gpuwise_gpu_sample_timestamp_seconds"][0][1] == 1000.0
    assert found["gpuwise_gpu_energy_joules_total"][0][1] == pytest.approx(123456.789)
    assert found["gpuwise_gpu_power_watts"][0][1] == 312.5


def test_a_shared_device_has_one_series_per_holder(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100), lambda: {"GPU-aaaa": (POD, OTHER)}, interval_s=10)
    with serving(sampler, node="n", listen="127.0.0.1:0") as port:
        sampler.sample()
        found = samples(get(port, "/metrics")[1])
    assert {labels["pod"] for labels, _ in found["gpuwise_gpu_utilization_ratio"]} == {"trainer-0", "notebook-0"}


def test_what_is_unknown_is_no_series(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(SLICED), None, interval_s=10)
    with serving(sampler, node="n", listen="127.0.0.1:0") as port:
        assert "gpuwise_gpu_memory_used_bytes{" not in get(port, "/metrics")[1]
        sampler.sample()
        found = samples(get(port, "/metrics")[1])
    assert "gpuwise_gpu_utilization_ratio" not in found
    assert "gpuwise_gpu_sm_activity_ratio" not in found
    assert "gpuwise_gpu_energy_joules_total" not in found
    assert {labels["mig_profile"] for labels, _ in found["gpuwise_gpu_memory_used_bytes"]} == {"", "1g.10gb", "3g.40gb"}


def test_stale_values_are_not_served_but_their_age_is(open_nvml: OpenNvml):
    clock = Clock()
    sampler = Sampler(open_nvml(H100), None, interval_s=10, clock=clock)
    with serving(sampler, node="n", listen="127.0.0.1:0") as port:
        sampler.sample()
        assert get(port, "/readyz") == (200, "ok\n")
        clock.now_s += STALE_INTERVALS * 10 + 1
        found = samples(get(port, "/metrics")[1])
        assert get(port, "/readyz")[0] == 503
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/nowhere")[0] == 404
    assert "gpuwise_gpu_utilization_ratio" not in found
    assert "gpuwise_gpu_info" not in found
    assert found["gpuwise_gpu_sample_timestamp_seconds"][0][1] == 1000.0


@NEEDS_PROMETHEUS
def test_promtool_finds_nothing_to_say(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(H100, "gpu 0 util 4294967295", "fail nvmlDeviceGetPowerUsage 15"), None, interval_s=10)
    with serving(sampler, node="n", listen="127.0.0.1:0") as port:
        sampler.sample()
        text = get(port, "/metrics")[1]
    promtool = shutil.which("promtool")
    assert promtool
    linted = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_the_exporter_runs_from_settings_until_told_to_stop(fake_nvml: Path, scenario: Scenario, tmp_path: Path):
    scenario.play(H100)
    port, socket, stop = free_port(), tmp_path / "kubelet.sock", threading.Event()
    settings = ExporterSettings(
        node="node-a",
        listen=f"127.0.0.1:{port}",
        interval_s=0.05,
        nvml_library=fake_nvml,
        pod_resources_socket=socket,
    )
    thread = threading.Thread(target=run_exporter, args=(settings, stop))

    def shows(text: str) -> bool:
        try:
            return text in get(port, "/metrics")[1]
        except urllib.error.URLError:
            return False

    with kubelet(socket, {POD: ("GPU-aaaa",)}):
        thread.start()
        try:
            poll(lambda: shows('pod="trainer-0"'), deadline_s=20, what="the pod's series")
            scenario.play(H100.replace("power 312500", "power 99000"))
            poll(lambda: shows(" 99.0\n"), deadline_s=20, what="the new power")
        finally:
            stop.set()
            thread.join(timeout=20)
    assert not thread.is_alive()


def test_no_driver_ends_the_exporter_with_a_device_error(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GPUWISE_FAKE_NVML", raising=False)
    with pytest.raises(DeviceError, match="install the NVIDIA driver"):
        run_exporter(ExporterSettings(node="n", nvml_library=fake_nvml), threading.Event())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sampler_that_breaks_ends_the_exporter_so_that_it_is_restarted(fake_nvml: Path, scenario: Scenario):
    scenario.path.write_bytes(b"gpu 0 uuid GPU-\xff\xfe")
    settings = ExporterSettings(
        node="n", listen="127.0.0.1:0", interval_s=0.05, nvml_library=fake_nvml, pod_resources_socket=None
    )
    with pytest.raises(DeviceError, match="sampling ended by itself"):
        run_exporter(settings, threading.Event())


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", "203.0.113.1:9400"])
def test_an_address_that_cannot_be_had_is_an_input_error(open_nvml: OpenNvml, listen: str):
    sampler = Sampler(open_nvml(H100), None, interval_s=10)
    with pytest.raises(InputError, match="cannot listen on"), serving(sampler, node="n", listen=listen):
        pass
