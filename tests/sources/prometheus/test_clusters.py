"""Series of another cluster in the same Prometheus are never counted here (I28)."""

from dataclasses import replace

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .test_source import DCGM, START_S, WINDOW, per_step

pytestmark = NEEDS_PROMETHEUS

NAME = "DCGM_FI_DEV_GPU_UTIL"
BUSY, IDLE = per_step([90.0] * WINDOW.steps), per_step([0.0] * WINDOW.steps)
NAMELESS = DCGM | {"Hostname": "nvidia-dcgm-exporter-x7k2p"}
ELSEWHERE = DCGM | {"UUID": "GPU-z", "Hostname": "node-z"}


def read(url, one=None, **settings):
    one = one or workload("trainer-0")
    (usage,) = PrometheusUsage(PrometheusSettings(url, **settings)).read([one], inventory(one), WINDOW)
    return usage


@pytest.mark.parametrize("label", ["cluster", "k8s_cluster_name"])
def test_i28_incident_opencost_2979_several_clusters_without_a_matcher_are_an_error_that_names_them(
    start_prometheus, label
):
    series = openmetrics(NAME, DCGM | {label: "east"}, BUSY) + openmetrics(NAME, ELSEWHERE | {label: "west"}, IDLE)
    with pytest.raises(SourceError, match=f"label {label} is east, west.*prometheus.matchers.*{label}"):
        read(start_prometheus(series=series))


def test_i28_a_matcher_selects_the_series_of_one_cluster(start_prometheus):
    series = openmetrics(NAME, DCGM | {"cluster": "east"}, BUSY)
    series += openmetrics(NAME, ELSEWHERE | {"cluster": "west"}, IDLE)
    usage = read(start_prometheus(series=series), matchers={"cluster": "east"})
    (device,) = usage.devices
    assert device.device_uuid == "GPU-a"
    np.testing.assert_array_equal(device.samples[Signal.GPU_UTIL], 0.9)


def test_i28_pods_of_another_cluster_that_are_gone_are_not_counted(start_prometheus):
    """trainer-1 has been deleted: with a matcher its series of the other cluster are not read."""
    gone = ELSEWHERE | {"pod": "trainer-1"}
    series = openmetrics(NAME, DCGM | {"cluster": "east"}, BUSY)
    series += openmetrics(NAME, gone | {"cluster": "west"}, IDLE)
    one = replace(workload("trainer-0"), ref=replace(workload().ref, kind="StatefulSet"))
    usage = read(start_prometheus(series=series), one, matchers={"cluster": "east"})
    assert {device.pod for device in usage.devices} == {"trainer-0"}


def test_i28_a_running_pod_is_not_measured_on_a_node_that_does_not_exist(start_prometheus):
    series = openmetrics(NAME, ELSEWHERE, IDLE)
    assert read(start_prometheus(series=series)).devices == ()


@pytest.mark.parametrize("label", ["k8s_node_name", "kubernetes_node"])
def test_i28_a_node_in_a_collectors_label_is_another_clusters(start_prometheus, label):
    assert read(start_prometheus(series=openmetrics(NAME, NAMELESS | {label: "node-z"}, IDLE))).devices == ()
    assert len(read(start_prometheus(series=openmetrics(NAME, NAMELESS | {label: "node-a"}, IDLE))).devices) == 1


def test_an_exporter_that_reports_its_own_name_as_the_host_is_read(start_prometheus):
    series = openmetrics(NAME, DCGM | {"Hostname": "nvidia-dcgm-exporter-x7k2p"}, IDLE)
    assert len(read(start_prometheus(series=series)).devices) == 1


OTHER_POD = ELSEWHERE | {"pod": "other-0"}


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({"region": "us"}, {"region": "eu"}),
        ({"prometheus": "us/k8s"}, {"prometheus": "eu/k8s"}),
        ({"cluster": "west"}, {}),  # series that another cluster writes, beside the server's own
    ],
)
def test_i28_a_row_without_a_node_is_not_counted_if_clusters_may_differ(start_prometheus, own, other):
    url = start_prometheus(series=openmetrics(NAME, NAMELESS | own, IDLE) + openmetrics(NAME, OTHER_POD | other, IDLE))
    assert read(url).devices == ()


@pytest.mark.parametrize("host", ["node-a", "nvidia-dcgm-exporter-x7k2p"])
def test_rows_that_name_the_node_or_the_pods_uid_are_counted_beside_others(start_prometheus, host):
    one = workload("trainer-0")
    own = DCGM | {"Hostname": host, "region": "us", "pod_uid": one.pods[0].uid}
    url = start_prometheus(series=openmetrics(NAME, own, IDLE) + openmetrics(NAME, OTHER_POD | {"region": "eu"}, IDLE))
    assert len(read(url, one).devices) == 1


def test_i28_a_row_without_a_node_and_of_another_uid_is_not_counted(start_prometheus):
    assert read(start_prometheus(series=openmetrics(NAME, NAMELESS | {"pod_uid": "another"}, IDLE))).devices == ()


def test_i28_a_row_of_another_uid_ends_when_the_running_pod_starts(start_prometheus):
    """In another cluster a node has the same name, too; before its start the pod had a predecessor here."""
    url = start_prometheus(series=openmetrics(NAME, DCGM | {"pod_uid": "another"}, IDLE))
    one = workload("trainer-0")
    started = replace(one, pods=(replace(one.pods[0], started_s=START_S + 4 * 60),))
    [device] = read(url, started).devices
    assert np.isfinite(device.samples[Signal.GPU_UTIL]).tolist() == [True] * 4 + [False] * (WINDOW.steps - 4)


def test_a_matcher_makes_other_labels_irrelevant(start_prometheus):
    series = openmetrics(NAME, NAMELESS | {"cluster": "a", "region": "us"}, IDLE)
    series += openmetrics(NAME, OTHER_POD | {"cluster": "a", "region": "eu"}, IDLE)
    assert len(read(start_prometheus(series=series), matchers={"cluster": "a"}).devices) == 1


def test_a_query_cited_as_evidence_has_the_matcher(start_prometheus):
    url = start_prometheus(series=openmetrics(NAME, DCGM | {"cluster": "east"}, BUSY))
    source = PrometheusUsage(PrometheusSettings(url, matchers={"cluster": "east"}))
    from gpuwise.model.recommendation import Evidence

    cited = source.cite(WINDOW)(workload("trainer-0"), Evidence("", Signal.GPU_UTIL, "max", 0.9, None, "ratio"))
    assert 'cluster="east"' in cited


@pytest.mark.parametrize("label", ["prometheus_replica", "__replica__", "replica"])
def test_the_two_servers_of_an_ha_pair_count_requests_once(start_prometheus, label):
    labels = {"namespace": "research", "pod": "trainer-0", "model_name": "m"}
    count = {START_S - 60 + 15 * step: float(step) for step in range(45)}
    series = "".join(
        openmetrics("vllm:request_success_total", labels | {label: name}, count, kind="counter") for name in ("a", "b")
    ).replace("# TYPE vllm:request_success counter\n", "", 1)
    series = "# TYPE vllm:request_success counter\n" + series.replace("# TYPE vllm:request_success counter\n", "")
    usage = read(start_prometheus(series=series))
    np.testing.assert_allclose(usage.requests_per_second, 4 / 60)
