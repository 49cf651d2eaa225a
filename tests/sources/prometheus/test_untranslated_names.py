"""Prometheus 3 stores OpenTelemetry's label names as they are, with dots; earlier servers have no such labels."""

import subprocess

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus
from tests.sources.workloads import inventory, workload

from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.names import label_name
from gpuwise.sources.prometheus.settings import PrometheusSettings, ReadBy
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .test_remote_read import write
from .test_source import WINDOW

UTIL = "DCGM_FI_DEV_GPU_UTIL"


def version() -> int:
    done = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    return int((done.stdout + done.stderr).partition("version ")[2].partition(".")[0])


@NEEDS_PROMETHEUS
@pytest.mark.parametrize("read", ["remote-read", "query-range"])
def test_pods_are_named_by_labels_with_dots(start_prometheus: StartPrometheus, read: ReadBy) -> None:
    if version() < 3:
        pytest.skip("Prometheus 2 has no such names: `make test-parts` runs this with Prometheus 3")
    url = start_prometheus(flags=("--web.enable-remote-write-receiver",))
    one = workload("trainer-0")
    labels = {"__name__": UTIL, "UUID": "GPU-0", "gpu": "0", "k8s.node.name": "node-a"}
    labels |= {"k8s.namespace.name": one.ref.namespace, "k8s.pod.name": "trainer-0"}
    times = range(WINDOW.start_s, WINDOW.end_s, WINDOW.step_s)
    write(url, labels, [(1000 * at + 500, 40.0) for at in times])
    (found,) = PrometheusUsage(PrometheusSettings(url, read=read)).read([one], inventory(one), WINDOW)
    (device,) = found.devices
    assert (device.pod, device.device_uuid) == ("trainer-0", "GPU-0")
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], 0.4)


def test_names_with_dots_are_quoted_in_queries() -> None:
    assert label_name("k8s.pod.name") == '"k8s.pod.name"'
    assert label_name("k8s_pod_name") == "k8s_pod_name"
