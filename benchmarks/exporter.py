"""Cost of the node exporter on a node with 8 GPUs and 7 MIG instances each, against nvitop-exporter on the same node.

The node is the tests' fake NVML with all values that a GPU can report, 64 devices, and a kubelet with 56 pods. Each
exporter is a separate process that sweeps once per second and is scraped once per second over one connection, one
exporter at a time; its CPU time is read from /proc. gpuwise's exporter reports more about devices (MIG instances'
activity and placement, links, ECC, shares of containers), the peer reports each process and the host. The figures:

exporter_core_ratio         share of one core at a sweep and a scrape every 10 s: a tenth of that at one per second
exporter_scrape_ms          duration of a scrape, median, measured by the client
exporter_resident_mib       resident memory after that
exporter_series             number of series
peer_core_ratio, peer_scrape_ms, peer_resident_mib, peer_series
                            the same for nvitop-exporter
exporter_flood_per_s        scrapes per second by four clients at once, which share the cores with it
exporter_flood_growth_mib   growth of its memory during that
"""

import contextlib
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]  # the tests' fake NVML and kubelet

from benchmarks.measure import at_most, remark, scaled  # noqa: E402

GOALS = {
    "exporter_core_ratio": at_most(0.01),
    "exporter_scrape_ms": at_most(5.0),
    "exporter_resident_mib": at_most(60.0),
    "exporter_series": at_most(10_000),
}

CARDS, INSTANCES = 8, 7
SECONDS = scaled(60, least=3)
FLOOD_S = scaled(30, least=1)
FLOOD_CLIENTS = 4
_SCRIPTS = Path(sys.executable).parent


def figures() -> dict[str, float]:
    """All figures; those of the peer only if it is installed."""
    from tests.collect.conftest import build_fake_nvml, kubelet
    from tests.collect.scenarios import node

    from gpuwise.collect.attribution.allocation import Container

    devices = {
        Container(f"team-{card}", f"worker-{card}-{slot}", "main"): (f"MIG-{card:04d}-{slot}",)
        for card in range(CARDS)
        for slot in range(INSTANCES)
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build_fake_nvml(folder)
        (folder / "scenario").write_text(node(CARDS, INSTANCES))
        environment = os.environ | {"GPUWISE_FAKE_NVML": str(folder / "scenario"), "LD_LIBRARY_PATH": name}
        socket = folder / "kubelet.sock"
        with kubelet(socket, devices):
            ours = [
                _SCRIPTS / "gpuwise",
                "exporter",
                "--nvml-library",
                library,
                "--pod-resources-socket",
                socket,
                "--interval",
                "1",
            ]
            found = _measured("exporter", [*map(str, ours), "--listen"], environment)
        nvitop = _SCRIPTS / "nvitop-exporter"
        if not nvitop.exists():
            remark("peer nvitop-exporter is missing: make bench installs it")
            return found
        peer = [str(nvitop), "--interval", "1", "--port"]
        return found | _measured("peer", peer, environment)


def _measured(name: str, command: list[str], environment: dict[str, str]) -> dict[str, float]:
    with _running(command, environment) as (pid, port):
        waits, series, used_s = _scraped(pid, port)
        found = {
            f"{name}_core_ratio": used_s / SECONDS / 10,
            f"{name}_scrape_ms": statistics.median(waits) * 1e3,
            f"{name}_resident_mib": _resident_mib(pid),
            f"{name}_series": series,
        }
        if name == "exporter":
            before = _resident_mib(pid)
            found["exporter_flood_per_s"] = _flood(port)
            found["exporter_flood_growth_mib"] = _resident_mib(pid) - before
    return found


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Start the exporter as a process and wait until it answers; its command ends with its port or address."""
    from tests.prometheus_server import free_port

    port = free_port()
    last = f"127.0.0.1:{port}" if command[-1] == "--listen" else str(port)
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*command, last], env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            end = time.monotonic() + 60
            while not _answers(port):
                assert process.poll() is None, f"{command[0]} has ended"
                assert time.monotonic() < end, f"{command[0]} does not answer"
                time.sleep(0.1)
            time.sleep(3)  # two sweeps, which activity needs
            yield process.pid, port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        return _scrape(client).count(b"gpu") > 100
    return False


def _scrape(client: http.client.HTTPConnection) -> bytes:
    client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    response = client.getresponse()
    body = response.read()
    return zlib.decompress(body, wbits=31) if response.getheader("Content-Encoding") == "gzip" else body


def _scraped(pid: int, port: int) -> tuple[list[float], int, float]:
    """Seconds of each scrape, series of the last one, and total CPU seconds."""
    waits, began_s, body = [], _processor_s(pid), b""
    for second in range(SECONDS):
        due = time.monotonic() + 1
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
            begun = time.perf_counter()
            body = _scrape(client)
            waits.append(time.perf_counter() - begun)
        time.sleep(max(0.0, due - time.monotonic()))
        assert body, second
    series = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    return waits, series, _processor_s(pid) - began_s


def _flood(port: int) -> float:
    """Scrapes per second by several clients, each on one connection."""
    counts = [0] * FLOOD_CLIENTS
    end = time.monotonic() + FLOOD_S

    def ask(number: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
            while time.monotonic() < end:
                client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                response = client.getresponse()
                body = response.read()
                assert response.status == 200
                assert body
                counts[number] += 1

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(FLOOD_CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert all(counts), "a client's scrapes ended early"
    return sum(counts) / FLOOD_S


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def main() -> None:
    for name, value in figures().items():
        print(f"{name} {value:.3f}")


if __name__ == "__main__":
    main()
