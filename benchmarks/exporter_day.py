"""The exporter's memory over a day: 8,640 sweeps and as many scrapes, without the waiting between them.

A process runs the exporter as the command does, but with an interval of 4 ms instead of 10 s: a day takes a minute. So
that a sweep fits in it, the node has 1 GPU with 2 MIG instances instead of 8 with 7. What a sweep or a scrape would
keep, it keeps here, too. Every 10 scrapes all pods of the node are replaced: 864 generations of pods.
"""

import re
import sys
from pathlib import Path

from benchmarks.exporter_node import Running, gpu_node, pods, running, scrape
from benchmarks.measure import scaled

CARDS, INSTANCES = 1, 2
INTERVAL_S = 0.004
DAY = scaled(8_640, least=50)
# Before the first measurement: allocators and caches reach their size.
WARM_UP = DAY // 10
SCRAPES_PER_GENERATION = 10
_SWEEPS = re.compile(rb"^gpuwise_exporter_sweeps_total (\S+)$", re.MULTILINE)


def day_growth_mib() -> float:
    """The growth of resident memory over the day after the warm-up, in MiB."""
    with gpu_node(CARDS, INSTANCES) as node:
        module = [sys.executable, "-m", "benchmarks.exporter_day", str(node.library), str(node.socket), "--listen"]
        with running(module, node.environment, value=b"gpuwise_gpu_power_watts{", ready="/healthz") as exporter:
            _live(exporter, node.kubelet, WARM_UP)
            before_mib = exporter.resident_mib
            _live(exporter, node.kubelet, DAY)
            return exporter.resident_mib - before_mib


def _live(exporter: Running, kubelet: object, number: int) -> None:
    """Let it sweep and be scraped this many times."""
    with exporter.client() as client:
        first, scrapes, sweeps = _sweeps(scrape(client)), 0, 0.0
        while scrapes < number or sweeps < number:
            if scrapes % SCRAPES_PER_GENERATION == 0:
                kubelet.devices = pods(CARDS, INSTANCES, generation=scrapes)  # type: ignore[attr-defined]
            sweeps = _sweeps(scrape(client)) - first
            scrapes += 1


def _sweeps(page: bytes) -> float:
    found = _SWEEPS.search(page)
    assert found, "the page has no gpuwise_exporter_sweeps_total"
    return float(found[1])


def main() -> None:
    """Run the exporter with an interval that the command line does not allow."""
    from gpuwise.cli.stopping import stopping
    from gpuwise.collect.exporter import run_exporter
    from gpuwise.collect.settings import ExporterSettings

    library, socket, _, listen = sys.argv[1:]
    settings = ExporterSettings(
        node="node-a",
        listen=listen,
        interval_s=INTERVAL_S,
        nvml_library=Path(library),
        pod_resources_socket=Path(socket),
    )
    run_exporter(settings, stopping())


if __name__ == "__main__":
    main()
