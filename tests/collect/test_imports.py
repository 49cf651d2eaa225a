"""What the exporter imports while it runs: nothing of the extra `fleet`, and nothing that it does not use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.collect.conftest import Scenario, kubelet
from tests.collect.scenarios import node
from tests.prometheus_server import free_port

from gpuwise.collect.attribution.allocation import Container

FLEET = {"fastapi", "httpx", "jinja2", "kubernetes", "numpy", "prometheus_client", "pyarrow", "pydantic", "ray", "rich"}
FLEET |= {"scipy", "uvicorn", "google.protobuf", "google_crc32c", "grpc", "asyncio"}
ONLY_IF_CONFIGURED = {"yaml", "bcrypt", "gpuwise.collect.demo"}

# The command line runs as usual; a thread scrapes it once it has values, prints all modules, and stops it.
RUN = """
import os, signal, sys, threading, time, urllib.request

address = f"127.0.0.1:{sys.argv[1]}"

def scrape():
    try:
        return urllib.request.urlopen(f"http://{address}/metrics").read().decode()
    except OSError:
        return ""

def watch():
    while 'pod="trainer-0"' not in scrape():
        time.sleep(0.05)
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=watch, daemon=True).start()
sys.argv = ["gpuwise", "exporter", "--listen", address, *sys.argv[2:]]
from gpuwise.cli import main
main()
"""


def test_a_running_exporter_has_imported_only_what_it_needs(
    tmp_path: Path, fake_nvml: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
):
    scenario.play(node(2, 2))
    socket = tmp_path / "kubelet.sock"
    flags = ["--nvml-library", fake_nvml, "--pod-resources-socket", socket, "--interval", "0.1"]
    with kubelet(socket, {Container("research", "trainer-0", "main"): ("MIG-0000-0",)}):
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(free_port()), *map(str, flags)],
            env=os.environ | {"LD_LIBRARY_PATH": str(fake_nvml.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (0, "")
    imported = set(done.stdout.split())
    assert {"h2.connection", "pynvml", "gpuwise.collect.attribution.unary"} <= imported
    assert imported & (FLEET | ONLY_IF_CONFIGURED) == set()
