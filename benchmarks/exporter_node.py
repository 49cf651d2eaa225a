"""A GPU node for the exporter's benchmarks: the tests' fake NVML and kubelet, and exporters that run as processes."""

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]  # the tests' fake NVML and kubelet

_START_S = 60.0


@dataclass(frozen=True)
class Node:
    """The node.

    Attributes:
        library: the fake NVML.
        socket: of the kubelet.
        kubelet: the fake, whose pods may change.
        environment: variables of an exporter's process, which then loads the fake NVML.
    """

    library: Path
    socket: Path
    kubelet: Any
    environment: dict[str, str]


@contextmanager
def gpu_node(cards: int, instances: int) -> Iterator[Node]:
    """A node whose cards report all values; each has this many MIG instances, and each instance a pod."""
    from tests.collect.conftest import build_fake_nvml, kubelet
    from tests.collect.scenarios import node

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, socket = build_fake_nvml(folder), folder / "kubelet.sock"
        (folder / "scenario").write_text(node(cards, instances))
        environment = os.environ | {"GPUWISE_FAKE_NVML": str(folder / "scenario"), "LD_LIBRARY_PATH": name}
        with kubelet(socket, pods(cards, instances)) as fake:
            yield Node(library, socket, fake, environment)


def pods(cards: int, instances: int, *, generation: int = 0) -> dict[Any, tuple[str, ...]]:
    """A container for each MIG instance; another generation has pods with other names on the same instances."""
    from gpuwise.collect.attribution.allocation import Container

    return {
        Container(f"team-{card}", f"worker-{card}-{slot}-{generation}", "main"): (f"MIG-{card:04d}-{slot}",)
        for card in range(cards)
        for slot in range(instances)
    }


@dataclass(frozen=True)
class Running:
    """An exporter's process.

    Attributes:
        pid: of the process.
        port: on which it serves.
        ready_s: seconds from its start until it served values of devices, and was ready if it can tell.
    """

    pid: int
    port: int
    ready_s: float

    @contextmanager
    def client(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to it."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as client:
            yield client

    @property
    def processor_s(self) -> float:
        """The CPU time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mib(self) -> float:
        """Its resident memory."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) / 1024


@contextmanager
def running(command: list[str], environment: dict[str, str], *, value: bytes, ready: str = "") -> Iterator[Running]:
    """Start an exporter and wait until it is ready.

    Args:
        command: ends with the option for the port (--port) or for the address (--listen), whose value is added.
        environment: of the process.
        value: what a scrape contains as soon as it has values of devices.
        ready: path that returns 200 when the exporter is ready, "" if it has none.
    """
    from tests.prometheus_server import free_port

    port = free_port()
    last = f"127.0.0.1:{port}" if command[-1] == "--listen" else str(port)
    quiet = subprocess.DEVNULL
    began_s = time.monotonic()
    with subprocess.Popen([*command, last], env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            while not _is_ready(port, value, ready):
                assert process.poll() is None, f"{command[0]} has ended"
                assert time.monotonic() < began_s + _START_S, f"{command[0]} does not answer"
                time.sleep(0.01)
            yield Running(process.pid, port, time.monotonic() - began_s)
        finally:
            process.terminate()


def scrape(client: http.client.HTTPConnection) -> bytes:
    """One scrape, as Prometheus does it."""
    client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    response = client.getresponse()
    body = response.read()
    assert response.status == 200
    return zlib.decompress(body, wbits=31) if response.getheader("Content-Encoding") == "gzip" else body


def _is_ready(port: int, value: bytes, ready: str) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        if value not in scrape(client):
            return False
        if not ready:
            return True
        client.request("GET", ready)
        return client.getresponse().status == 200
    return False
