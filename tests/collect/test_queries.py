"""Queries of other projects, on a real Prometheus that scrapes `--compat dcgm` from a node with every kind of sharing.

tests/data/queries/dcgm.csv lists them (its README describes the columns). One Prometheus scrapes one exporter twice: as
our ServiceMonitor does, and with `honor_labels: false`, dcgm-exporter's default.
"""

import csv
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collect.conftest import build_fake_nvml, kubelet
from tests.collect.scenarios import FULL, H100, SHARED, SLICED, moved
from tests.collect.test_exporter import exporter
from tests.conftest import REPOSITORY
from tests.prometheus_server import NEEDS_PROMETHEUS, poll, running

from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.settings import Compat

pytestmark = NEEDS_PROMETHEUS

TABLE = REPOSITORY / "tests" / "data" / "queries" / "dcgm.csv"
QUERIES = list(csv.DictReader(TABLE.read_text().splitlines()))
EXCEPTIONS = [row["query"] for row in QUERIES if row["expects"] != "rows"]
MIB = 2**20
USED = {"GPU-aaaa": 8589934592, "GPU-bbbb": 1073741824, "GPU-cccc": 10_000_000_000, "GPU-dddd": 8589934592}

TRAINER = Container("research", "trainer-0", "main")
SERVER = Container("serving", "server-0", "main")
BATCH = Container("batch", "embed-0", "worker")
NOTEBOOK = Container("idle", "notebook-0", "main")
DEVICES = {
    TRAINER: ("GPU-aaaa",),
    SERVER: ("MIG-1111", "GPU-cccc::0"),
    BATCH: ("GPU-cccc::1",),
    NOTEBOOK: ("GPU-dddd",),
}
# What kube-state-metrics and node-exporter would add: one pod's phase, and the node's product.
RULES = """
groups:
  - name: others
    interval: 1s
    rules:
      - {record: kube_pod_status_phase, expr: vector(1), labels: {pod: trainer-0, namespace: research, phase: Running}}
      - {record: node_dmi_info, expr: vector(1), labels: {instance: node-a, product_name: DGX}}
"""


def node() -> str:
    """A busy H100, an A100 in MIG mode, a shared L4 and an H100 whose pod is idle."""
    mig = SLICED + "mig 0 0 gpm.1 60\nmig 0 0 gpm.5 12\nmig 0 3 gpm.1 0\n"
    idle = H100.replace("GPU-aaaa", "GPU-dddd").replace("util 37", "util 0").replace("312500", "70000")
    idle += "gpu 0 gpm.1 0\ngpu 0 temp 30\ngpu 0 ecc.1.0 0\n"
    shared = SHARED + "gpu 0 gpm.1 50\ngpu 0 temp 50\ngpu 0 memutil 9\n"
    return FULL + moved(mig, to=1) + moved(shared, to=2) + moved(idle, to=3)


def processes(folder: Path) -> tuple[Path, Path]:
    """/proc and the kubelet's links: which container each process on the shared card belongs to."""
    proc, links = folder / "proc", folder / "links"
    links.mkdir()
    for pid, container, number in ((101, SERVER, "3f" * 32), (102, BATCH, "7a" * 32)):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cgroup").write_text(f"0::/kubepods.slice/pod0b1c/cri-containerd-{number}.scope\n")
        link = f"{container.pod}_{container.namespace}_{container.name}-{number}.log"
        (links / link).symlink_to("/var/log/pods/gone")
    return proc, links


class Server:
    """The Prometheus under test.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str) -> list[dict]:
        """The rows of an instant query; a query that the server rejects fails the test."""
        path = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(path, timeout=300) as response:
                return json.load(response)["data"]["result"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{query}: {error.read().decode()}")

    def values(self, query: str, label: str = "") -> dict[str, float]:
        """The values by one label."""
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in self.rows(query)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("queries")
    scenario, socket, rules = folder / "scenario", folder / "kubelet.sock", folder / "rules.yml"
    scenario.write_text(node())
    rules.write_text(RULES)
    proc, links = processes(folder)
    library = build_fake_nvml(folder)
    settings = {"compat": Compat.DCGM, "host_proc": proc, "container_links": links, "interval_s": 0.5}
    with pytest.MonkeyPatch.context() as patch, kubelet(socket, DEVICES):
        patch.setenv("GPUWISE_FAKE_NVML", str(scenario))
        with exporter(library, pod_resources_socket=socket, **settings) as read:
            target = f"static_configs: [{{targets: ['127.0.0.1:{read.port}']"
            own = "labels: {namespace: monitoring, pod: exporter-x, container: exporter}"
            config = (
                f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules}]\nscrape_configs:\n"
                f"  - {{job_name: gpuwise, honor_labels: true, {target}}}]}}\n"
                f"  - {{job_name: dcgm, honor_labels: false, {target}, {own}}}]}}\n"
            )
            with running(folder / "prometheus", config=config) as url:
                found = Server(url)
                poll(lambda: scraped_twice(found), what="two scrapes of each job, and the rules")
                yield found


def scraped_twice(server: Server) -> bool:
    """Whether rates and the results of the rules are there; the queries can then be asked once."""
    jobs = "count(count by (job) (rate(DCGM_FI_DEV_POWER_VIOLATION[5m]))) == 2"
    return all(server.rows(query) for query in (jobs, "kube_pod_status_phase", "node_dmi_info"))


def missing(server: Server) -> list[str]:
    """The queries that should find rows and do not."""
    return [row["query"] for row in QUERIES if row["expects"] == "rows" and not server.rows(row["query"])]


def test_every_query_finds_rows_except_at_most_five(server: Server):
    assert missing(server) == []
    assert len(EXCEPTIONS) <= 5


def test_each_exception_finds_no_rows_and_is_documented(server: Server):
    text = (REPOSITORY / "docs" / "exporter.md").read_text()
    for query in EXCEPTIONS:
        assert server.rows(query) == [], f"{query} finds rows: it is no exception any more"
        assert query in text


def test_the_table_has_every_project():
    wanted = {"dcgm-exporter", "awsome-distributed-training", "k8s-test-infra", "gpu-pruner", "OpenCost", "KEDA"}
    assert {row["project"] for row in QUERIES} == wanted | {"console-plugin-nvidia-gpu"}
    assert {row["labels"] for row in QUERIES} == {"pod", "exported"}


def test_memory_by_namespace_sums_to_the_cards(server: Server):
    by_card = 'sum by (UUID) (DCGM_FI_DEV_FB_USED{job="gpuwise"})'
    assert server.values(by_card, "UUID") == pytest.approx({uuid: used / MIB for uuid, used in USED.items()})
    by_namespace = server.values('sum by (namespace) (DCGM_FI_DEV_FB_USED{job="gpuwise"})', "namespace")
    # The shared card's rest and what the MIG instances leave belong to no namespace.
    expected = {"research": 8192.0, "idle": 8192.0, "serving": 512 + 4e9 / MIB, "batch": 2e9 / MIB, "": 512 + 4e9 / MIB}
    assert by_namespace == pytest.approx(expected)
    own = server.values('sum by (namespace) (gpuwise_gpu_memory_used_bytes{job="gpuwise"}) / 1048576', "namespace")
    assert own == pytest.approx(expected)


def test_memory_used_free_and_reserved_sum_to_the_total_of_the_cards(server: Server):
    parts = " + ".join(f'sum(DCGM_FI_DEV_FB_{part}{{job="gpuwise"}})' for part in ("USED", "FREE", "RESERVED"))
    whole = server.values('sum(DCGM_FI_DEV_FB_TOTAL{job="gpuwise"})')
    assert server.values(parts) == pytest.approx(whole)
    assert whole == pytest.approx({"": (3 * 85899345920 + 24e9) / MIB})


def test_power_and_utilization_sum_to_the_cards(server: Server):
    watts = 312.5 + 210 + 60 + 70
    # OpenShift's plugin takes the highest row of each card, NVIDIA's dashboard adds the rows up.
    for query in ("sum(DCGM_FI_DEV_POWER_USAGE{%s})", "sum(max by (UUID) (DCGM_FI_DEV_POWER_USAGE{%s}))"):
        assert server.values(query % 'job="gpuwise"') == pytest.approx({"": watts})
    used = server.values('sum by (UUID) (DCGM_FI_DEV_GPU_UTIL{job="gpuwise"})', "UUID")
    assert used == pytest.approx({"GPU-aaaa": 37.0, "GPU-cccc": 80.0, "GPU-dddd": 0.0})
    pods = server.values('DCGM_FI_PROF_GR_ENGINE_ACTIVE{job="gpuwise",UUID="GPU-cccc"}', "pod")
    assert pods == pytest.approx({"server-0": 0.375, "embed-0": 0.09375, "": 0.03125})


def test_gpu_pruner_would_stop_the_idle_pod_only(server: Server):
    query = next(row["query"] for row in QUERIES if "query.promql.j2" in row["source"] and row["labels"] == "pod")
    found = {row["metric"]["pod"] for row in server.rows(query)}
    # exporter-x is what honor_labels: false makes of rows without a pod: gpu-pruner then uses exported_pod.
    assert found - {"exporter-x"} == {"notebook-0"}
