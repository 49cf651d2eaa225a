"""Fake NVML -> `gpuwise exporter` -> a real Prometheus -> `gpuwise scan`: scan shows the fake's utilisation."""

import os
import signal
import subprocess
import time

import pytest
from tests.collect.conftest import H100, fake_nvml, kubelet, scenario
from tests.e2e.conftest import GPUWISE, gpu_node, of_namespace
from tests.prometheus_server import NEEDS_PROMETHEUS, free_port, poll

from gpuwise.collect.attribution.allocation import Container
from gpuwise.emulate.objects import statefulset

__all__ = ["fake_nvml", "scenario"]

pytestmark = NEEDS_PROMETHEUS

TRAINER = Container("research", "trainer-0", "main")


@pytest.fixture
def exporter(fake_nvml, scenario, tmp_path):
    """The exporter as a separate process; yields its port."""
    scenario.play(H100.replace("energy 123456789", "energy 123456789+312500/s"))  # 312.5 W, the power of the scenario
    port, socket = free_port(), tmp_path / "kubelet.sock"
    arguments = ("--listen", f"127.0.0.1:{port}", "--interval", "0.2", "--node", "gpu-0")
    files = ("--nvml-library", fake_nvml, "--pod-resources-socket", socket)
    with (
        kubelet(socket, {TRAINER: ("GPU-aaaa",)}),
        subprocess.Popen([GPUWISE, "exporter", *arguments, *files], env=os.environ.copy()) as process,
    ):
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0


def test_scan_shows_the_utilisation_of_the_fake(exporter, start_cluster, start_prometheus, gpuwise, tmp_path):
    prometheus = start_prometheus(
        config="scrape_configs: [{job_name: gpuwise, scrape_interval: 1s, honor_labels: true, "
        f"static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]"
    )
    fleet = [
        gpu_node("gpu-0", product="NVIDIA-H100-80GB-HBM3"),
        of_namespace("research", team="vision"),
        statefulset("trainer", namespace="research"),
    ]
    with start_cluster(fleet) as cluster:
        kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig")
        found = {}

        def seen():
            arguments = ("--prometheus", prometheus, "--kubeconfig", kubeconfig, "--step", 2, "--look-back-h", 1)
            done = gpuwise("scan", *arguments, "--now", int(time.time()), "-o", "json")
            if done.code == 0:
                found.update({row["workload"]: row for row in done.data["workloads"]})
            return found

        poll(seen, what="the exporter's samples being scraped and scanned")
    row = found["research/StatefulSet/trainer"]
    assert row["activity_ratio"] == pytest.approx(0.415, rel=1 / 128)  # GPM reports 41.5 %
    assert (row["gpu_type"], row["team"], row["idle_gpu_h"]) == ("H100-80GB", "vision", 0.0)
    assert row["allocated_gpu_h"] > 0
