"""Pods that no workload owns any more: their GPU time is billed, to a line of their namespace."""

from dataclasses import replace

import httpx
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics
from tests.sources.workloads import workload

from gpuwise.model.gpu import named
from gpuwise.model.inventory import Inventory, Node, deleted_ref
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .fronts import Front, error, over, without
from .test_presence import azure, cortex, google

pytestmark = NEEDS_PROMETHEUS

START = 1_780_272_000
WINDOW = Window(START, START + 3_600, 60)
NODE = Node("node-a", named("A100-80GB"), "NVIDIA-A100-SXM4-80GB", 4, {}, None, None)


def row(name: str, gpu: str, *, node: str = "node-a", first: int = 0, last: int = 60, **labels: str) -> str:
    """Minutes of use of a card by a pod."""
    named_pod = {"namespace": "red", "pod": name} if name else {}
    fixed = {"UUID": gpu, "Hostname": node, "modelName": "NVIDIA A100-SXM4-80GB", "instance": f"{node}:9400"}
    samples = {float(START + 60 * minute): 50.0 for minute in range(first, last)}
    return openmetrics("DCGM_FI_DEV_GPU_UTIL", fixed | named_pod | labels, samples)


def together(*series: str) -> str:
    """One type line for all of them."""
    kind, _, _ = series[0].partition("\n")
    return "\n".join([kind, *(line for one in series for line in one.splitlines() if not line.startswith("#")), ""])


def deleted(url: str, *workloads, transport: httpx.BaseTransport | None = None, **settings):
    usage = PrometheusUsage(PrometheusSettings(url, backoff_s=0.0, **settings), transport)
    fleet = Inventory(START, {"node-a": NODE}, workloads, {})
    found = list(usage.read_deleted(fleet, WINDOW))
    return {one.workload: sorted(device.pod for device in one.devices) for one in found}


def test_a_pod_without_a_workload_is_billed_to_its_namespace(start_prometheus: StartPrometheus):
    url = start_prometheus(series=together(row("train-x7k2p", "GPU-a", last=30), row("web-0", "GPU-b")))
    web = workload("web-0", namespace="red", name="web")
    assert deleted(url, web) == {deleted_ref("red"): ["train-x7k2p"]}


def test_a_pod_that_is_older_than_the_workload_of_its_name_was_deleted(start_prometheus: StartPrometheus):
    url = start_prometheus(series=together(row("web-0", "GPU-a", last=20), row("web-1", "GPU-a", first=40)))
    old = workload(namespace="red", name="web")
    ref = replace(old.ref, kind="StatefulSet")
    young = replace(old, ref=ref, created_s=START + 1_800)
    assert deleted(url, young) == {deleted_ref("red"): ["web-0"]}


def test_i28_a_deleted_pod_on_a_node_of_another_cluster_is_not_billed_here(start_prometheus: StartPrometheus):
    url = start_prometheus(series=together(row("train-x7k2p", "GPU-z", node="node-z"), row("", "GPU-a")))
    assert deleted(url) == {}


def test_an_exporters_own_pod_has_no_gpu(start_prometheus: StartPrometheus):
    """Prometheus adds the pod of the scrape target to a row without a pod."""
    up = openmetrics("up", {"namespace": "red", "pod": "dcgm-x", "instance": "node-a:9400"}, {float(START + 60): 1.0})
    url = start_prometheus(series=row("dcgm-x", "GPU-a") + up)
    assert deleted(url) == {}


FRONTS = {
    "exact names only": google,
    "no lists": azure,
    "a name in every query": cortex,
    "no list of series": without("series"),
    "a limit of the list of series": over(1_800, 422, error("exceeded maximum number of series"), "series"),
}


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
def test_servers_without_a_complete_list_of_series(start_prometheus: StartPrometheus, front):
    up = openmetrics("up", {"namespace": "ops", "pod": "dcgm-x", "instance": "node-a:9400"}, {float(START + 60): 1.0})
    own = row("", "GPU-b", namespace="ops", pod="dcgm-x")
    url = start_prometheus(series=together(row("train-x7k2p", "GPU-a", last=30), own) + up)
    assert deleted(url, transport=Front(front)) == {deleted_ref("red"): ["train-x7k2p"]}
