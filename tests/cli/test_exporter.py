"""`gpuwise exporter` as a process: the demo node, a user's mistakes, and what it does not import."""

import ctypes.util
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.prometheus_server import free_port, poll

GPUWISE = Path(sys.executable).with_name("gpuwise")


def test_the_demo_node_needs_no_gpu_and_no_kubelet():
    port = free_port()
    command = [GPUWISE, "exporter", "--backend", "demo", "--listen", f"127.0.0.1:{port}", "--interval", "0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:

        def page() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300) as response:
                    return response.read().decode()
            except OSError:
                return ""

        try:
            poll(lambda: "gpuwise_container_gpu_power_watts{" in page(), what="the demo's metrics")
            assert 'model="NVIDIA H200"' in page()
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--listen", "nonsense"], "error: --listen is 'nonsense'; write host:port"),
        (["--interval", "0"], "error: Invalid value for '--interval': 0.0 is not in the range x>=0.05"),
        (["--compat", "zabbix"], "error: Invalid value for '--compat': 'zabbix' is not one of 'none', 'dcgm'"),
        (
            ["--nvml-library", "/nowhere/libnvidia-ml.so.1"],
            "error: NVML library /nowhere/libnvidia-ml.so.1 cannot be loaded",
        ),
        (["--web.config.file", "/nowhere/web.yml"], "error: web config /nowhere/web.yml cannot be read"),
        (["--max-series", "0"], "error: Invalid value for '--max-series'"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags: list[str], said: str):
    done = subprocess.run([GPUWISE, "exporter", *flags], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    ctypes.util.find_library("nvidia-ml") is not None, reason="has an NVIDIA driver: run it on a machine without"
)
def test_on_a_node_without_a_driver_it_says_so_and_ends():
    command = [GPUWISE, "exporter", "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("error: NVML cannot be opened")
