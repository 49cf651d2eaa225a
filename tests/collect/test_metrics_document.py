"""docs/metrics.md against a real Prometheus that scrapes the exporter: each metric with its type and help text."""

import json
import re
import urllib.parse
import urllib.request
from pathlib import Path

from tests.collect.conftest import Scenario, kubelet
from tests.collect.scenarios import FULL, SHARED, SLICED, moved
from tests.collect.test_exporter import exporter
from tests.conftest import REPOSITORY
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, poll

from gpuwise.collect.attribution.allocation import Container

pytestmark = NEEDS_PROMETHEUS

ROW = re.compile(r"^\| `(gpuwise_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| (\d+) \|$", re.MULTILINE)
HOLDERS = {
    Container("research", "trainer-0", "main"): ("GPU-aaaa",),
    Container("serving", "llm-0", "server"): ("MIG-1111", "GPU-cccc::0"),
    Container("batch", "embed-7", "worker"): ("GPU-cccc::1",),
}


def get(url: str, path: str, **query: str) -> object:
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=300) as response:
        return json.load(response)["data"]


def test_every_metric_of_the_document_is_in_a_scrape_by_prometheus(
    fake_nvml: Path, scenario: Scenario, tmp_path: Path, start_prometheus: StartPrometheus
):
    document = (REPOSITORY / "docs" / "metrics.md").read_text()
    rows = {name: (kind, text) for name, kind, _, text, _ in ROW.findall(document)}
    assert len(rows) > 60
    cards = FULL + moved(SLICED, to=1) + moved(SHARED, to=2)
    scenario.play(cards, "gpu 2 fan 4294967295", "fail nvmlDeviceGetComputeMode 15 2")
    socket = tmp_path / "kubelet.sock"
    with (
        kubelet(socket, HOLDERS),
        exporter(fake_nvml, pod_resources_socket=socket, interval_s=0.2) as whole,
        exporter(fake_nvml, interval_s=0.2, max_series=20) as capped,
    ):
        poll(lambda: "gpuwise_gpu_xid_last_code" in whole() and capped(), what="the first sweeps")
        targets = ", ".join(f"'127.0.0.1:{read.port}'" for read in (whole, capped))
        url = start_prometheus(
            config="scrape_configs: [{job_name: gpuwise, scrape_interval: 1s, honor_labels: true, "
            f"static_configs: [{{targets: [{targets}]}}]}}]"
        )
        poll(
            lambda: set(rows) <= set(get(url, "label/__name__/values")),  # type: ignore[call-overload]
            what=f"all {len(rows)} metrics in Prometheus",
        )
        metadata = get(url, "metadata")
        assert isinstance(metadata, dict)
        ours = {series_of(name, facts[0]): facts[0] for name, facts in metadata.items() if name.startswith("gpuwise_")}
    assert {name: (facts["type"], facts["help"]) for name, facts in ours.items()} == rows
    assert "gpuwise_gpu_energy_joules_total" in ours


def series_of(family: str, facts: dict[str, str]) -> str:
    """The name of a family's series: Prometheus scrapes OpenMetrics, where a counter is named without its suffix."""
    return family if facts["type"] != "counter" or family.endswith("_total") else f"{family}_total"
