"""Cost of the node exporter on a node with 8 GPUs and 7 MIG instances each, against nvitop-exporter on the same node.

The node is the tests' fake NVML with all values that a GPU can report, 64 devices, and a kubelet with 56 pods. Each
exporter is a separate process that sweeps once per second; both run at the same time and are scraped in turn every
1.03 s. Their CPU time is read from /proc. The exporter of gpuwise reports more about devices (MIG instances, links,
ECC, shares of containers), the peer reports each process and the host. The figures:

exporter_ready_s            seconds from the start of the process to the first scrape with values of devices and a
                            /readyz of 200; the longest of three starts
exporter_core_ratio         share of one core at a sweep and a scrape every 10 s: a tenth of that at one per second
exporter_scrape_ms          duration of a scrape, median, measured by the client
exporter_resident_mib       resident memory after 1,000 scrapes
exporter_series             number of series
peer_core_ratio, peer_scrape_ms, peer_resident_mib, peer_series
                            the same for nvitop-exporter
exporter_cpu_ratio          CPU time against the peer's in the same run
exporter_scrape_ratio       duration of a scrape against the peer's in the same run
exporter_flood_per_s        scrapes per second by four clients at once, which share the cores with it
exporter_flood_growth_mib   growth of its memory during that
exporter_day_growth_mib     growth of its memory over the 8,640 sweeps and as many scrapes of a day, without the waiting
                            between them, on a small node whose pods change (benchmarks/exporter_day.py)
exporter_install_mib        disk space of all that `pip install gpuwise` adds to a virtual environment, with bytecode
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks.exporter_day import day_growth_mib
from benchmarks.exporter_node import Node, Running, gpu_node, running, scrape
from benchmarks.measure import at_most, remark, scaled

GOALS = {
    "exporter_ready_s": at_most(3.0),
    "exporter_core_ratio": at_most(0.01),
    "exporter_scrape_ms": at_most(5.0),
    "exporter_resident_mib": at_most(45.0),
    "exporter_series": at_most(10_000),
    "exporter_cpu_ratio": at_most(0.2),
    "exporter_scrape_ratio": at_most(0.05),
    # Fragments of the heap; it stops growing in the first day. One pod that is kept for each generation would be more.
    "exporter_day_growth_mib": at_most(2.0),
    "exporter_install_mib": at_most(120.0),
}

CARDS, INSTANCES = 8, 7
STARTS = 3
TIMED_SCRAPES = scaled(60, least=3)
# Not that of the sweeps: in step with them, every scrape or none would wait for a sweep.
PERIOD_S = 1.03
SCRAPES = scaled(1_000, least=TIMED_SCRAPES)
FLOOD_S = scaled(30, least=1)
FLOOD_CLIENTS = 4
_SCRIPTS = Path(sys.executable).parent


def figures() -> dict[str, float]:
    """All figures; those of the peer, and the ratios to it, only if it is installed."""
    with gpu_node(CARDS, INSTANCES) as node, ExitStack() as stack:
        ready_s = [_ready_s(node) for _ in range(STARTS - 1)]
        exporters = {"exporter": stack.enter_context(_gpuwise(node))}
        if (nvitop := _SCRIPTS / "nvitop-exporter").exists():
            command = [str(nvitop), "--interval", "1", "--port"]
            exporters["peer"] = stack.enter_context(running(command, node.environment, value=b"gpu_memory"))
        else:
            remark("peer nvitop-exporter is missing: make bench installs it")
        exporter = exporters["exporter"]
        found = {"exporter_ready_s": max((*ready_s, exporter.ready_s))} | _scraped(exporters)
        before_mib = exporter.resident_mib
        found["exporter_flood_per_s"] = _flood(exporter)
        found["exporter_flood_growth_mib"] = exporter.resident_mib - before_mib
    if "peer" in exporters:
        found["exporter_cpu_ratio"] = found["exporter_core_ratio"] / found["peer_core_ratio"]
        found["exporter_scrape_ratio"] = found["exporter_scrape_ms"] / found["peer_scrape_ms"]
    return found | {"exporter_day_growth_mib": day_growth_mib(), "exporter_install_mib": _install_mib()}


def _gpuwise(node: Node) -> AbstractContextManager[Running]:
    flags = ["--nvml-library", node.library, "--pod-resources-socket", node.socket, "--interval", "1", "--listen"]
    command = [str(_SCRIPTS / "gpuwise"), "exporter", *map(str, flags)]
    return running(command, node.environment, value=b"gpuwise_gpu_power_watts{", ready="/readyz")


def _ready_s(node: Node) -> float:
    with _gpuwise(node) as exporter:
        return exporter.ready_s


def _scraped(exporters: Mapping[str, Running]) -> dict[str, float]:
    """Figures of scraping, by the name of each exporter; all are scraped in turn, in the same minute of the machine."""
    time.sleep(3)  # two sweeps, which activity needs
    waits_s: dict[str, list[float]] = {name: [] for name in exporters}
    pages: dict[str, bytes] = {}
    used_s = {name: exporter.processor_s for name, exporter in exporters.items()}
    begun_s = time.monotonic()
    for number in range(TIMED_SCRAPES):
        for name, exporter in exporters.items():
            wait_s, pages[name] = _timed_scrape(exporter)
            waits_s[name].append(wait_s)
        time.sleep(max(0.0, begun_s + (number + 1) * PERIOD_S - time.monotonic()))
    elapsed_s = time.monotonic() - begun_s
    used_s = {name: exporter.processor_s - used_s[name] for name, exporter in exporters.items()}
    found = {}
    for name, exporter in exporters.items():
        for _ in range(SCRAPES - TIMED_SCRAPES):
            _timed_scrape(exporter)
        found |= {
            f"{name}_core_ratio": used_s[name] / elapsed_s / 10,
            f"{name}_scrape_ms": statistics.median(waits_s[name]) * 1e3,
            f"{name}_resident_mib": exporter.resident_mib,
            f"{name}_series": sum(1 for line in pages[name].splitlines() if line and not line.startswith(b"#")),
        }
    return found


def _timed_scrape(exporter: Running) -> tuple[float, bytes]:
    """Seconds of a scrape on a new connection, and its content."""
    with exporter.client() as client:
        begun_s = time.perf_counter()
        body = scrape(client)
        return time.perf_counter() - begun_s, body


def _flood(exporter: Running) -> float:
    """Scrapes per second by several clients, each on one connection."""
    counts = [0] * FLOOD_CLIENTS
    end_s = time.monotonic() + FLOOD_S

    def ask(number: int) -> None:
        with exporter.client() as client:
            while time.monotonic() < end_s:
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


def _install_mib() -> float:
    from tests.base_environment import base_environment

    with tempfile.TemporaryDirectory() as folder:
        return base_environment(Path(folder)).installed_mib


def main() -> None:
    for name, value in figures().items():
        print(f"{name} {value:.3f}")


if __name__ == "__main__":
    main()
