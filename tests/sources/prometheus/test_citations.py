"""The query behind a number returns that number when it is run in the Prometheus that was read."""

import httpx
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import workload

from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .test_source import DCGM, OURS, WINDOW, exported, per_step

pytestmark = NEEDS_PROMETHEUS

LEVELS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]


def result_of(url: str, query: str) -> list[float]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    return [float(one["value"][1]) for one in answer.json()["data"]["result"]]


@pytest.mark.parametrize("labels", [OURS, exported(DCGM)], ids=["own labels", "behind honorLabels: false"])
@pytest.mark.parametrize(
    ("statistic", "number"), [("max", 1.0), ("mean", 0.46), ("p75", 0.7), ("coverage", 40)], ids=str
)
def test_the_query_gives_the_number(start_prometheus, labels, statistic, number):
    name = "gpuwise_gpu_sm_activity_ratio" if labels is OURS else "DCGM_FI_PROF_SM_ACTIVE"
    url = start_prometheus(series=openmetrics(name, labels, per_step(LEVELS)))
    evidence = Evidence("", Signal.SM_ACTIVITY, statistic, None, None, "ratio")
    query = PrometheusUsage(PrometheusSettings(url)).cite(WINDOW)(workload("trainer-0"), evidence)
    assert result_of(url, query) == [pytest.approx(number)]


def test_requests_are_cited_as_their_increase_without_other_pods_series(start_prometheus):
    mine = {"namespace": "research", "pod": "trainer-0"}
    counted = [float(count) for count in range(0, 200, 20)]
    series = openmetrics("vllm:request_success_total", mine, per_step(counted))
    series += openmetrics("vllm:request_success_total", mine | {"pod": "other-0"}, per_step(counted))
    url = start_prometheus(series=series)
    evidence = Evidence("", Signal.REQUESTS, "max", None, None, "requests per second")
    query = PrometheusUsage(PrometheusSettings(url)).cite(WINDOW)(workload("trainer-0"), evidence)
    assert result_of(url, query) == [pytest.approx(180, rel=0.1)]


def test_an_unmeasured_signal_has_no_query(start_prometheus):
    url = start_prometheus(series=openmetrics("gpuwise_gpu_power_watts", OURS, per_step(LEVELS)))
    cite = PrometheusUsage(PrometheusSettings(url)).cite(WINDOW)
    assert cite(workload("trainer-0"), Evidence("", Signal.SM_ACTIVITY, "max", None, None, "ratio")) is None
    assert cite(workload("trainer-0"), Evidence("price", None, "list price", 1.0, None, "USD/h")) is None


def test_pod_names_are_literal(start_prometheus):
    url = start_prometheus(series=openmetrics("gpuwise_gpu_power_watts", OURS | {"pod": "a.b-0"}, per_step(LEVELS)))
    power = Evidence("", Signal.POWER, "max", None, None, "W")
    query = PrometheusUsage(PrometheusSettings(url)).cite(WINDOW)(workload("a.b-0", name="a.b"), power)
    assert result_of(url, query) == [pytest.approx(1.0)]
