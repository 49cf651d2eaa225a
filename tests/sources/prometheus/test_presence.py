"""Servers that select no names by a pattern are asked by exact names, and clusters are still told apart."""

import json

import httpx
import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .fronts import Front, parameters_of, path_of, without
from .test_source import DCGM, WINDOW, per_step

pytestmark = NEEDS_PROMETHEUS

UTIL, POWER = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE"
VALUES = [float(10 * i) for i in range(WINDOW.steps)]


def bad_data(text: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, text=json.dumps({"status": "error", "errorType": "bad_data", "error": text}))


def google(request: httpx.Request) -> httpx.Response | None:
    """Managed Service for Prometheus: messages of prometheus-engine#1601 and istio#43270."""
    asked, path = parameters_of(request), path_of(request)
    if "__name__=~" in asked.get("query", ""):
        return bad_data(
            'invalid parameter "query": substitute queries failed: convert vector selector failed: =~ is an '
            "unsupported matchtype for the __name__ label: invalid argument"
        )
    if "__name__=~" in asked.get("match[]", ""):
        return bad_data('invalid parameter "match[]": invalid selector: exact matcher on __name__ required')
    if path.startswith("label/") and path != "label/__name__/values":
        return bad_data('invalid parameter "label_name": labels other than __name__ are not supported')
    return None


def azure(request: httpx.Request) -> httpx.Response | None:
    """One exact name in every query, and no lists of labels: the limitations on Azure Monitor's page of its API."""
    asked, path = parameters_of(request), path_of(request)
    if path.startswith("label"):
        return bad_data("the request is not supported for this workspace", 422)
    if "__name__=~" in asked.get("query", ""):
        return bad_data("each query must contain a __name__ label matcher", 422)
    return None


def cortex(request: httpx.Request) -> httpx.Response | None:
    """Cortex' chunk store (cortex#1079); it also refuses the pattern in a remote read."""
    asked = parameters_of(request)
    if path_of(request) == "read" or "__name__=~" in asked.get("query", "") + asked.get("match[]", ""):
        return bad_data("query must contain metric name")
    return None


def gateway(request: httpx.Request) -> httpx.Response | None:
    """A gateway that implements queries alone."""
    return httpx.Response(501) if path_of(request).startswith("label") else None


class NullForNothing(Front):
    """Google's frontend, Cortex and old Thanos send null where there are no series (prometheus-engine#1645)."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if response.status_code != httpx.codes.OK or path_of(request) == "read":
            return response
        body = json.loads(response.read())
        if body["data"] == []:
            body["data"] = None
        elif isinstance(body["data"], dict) and body["data"].get("result") == []:
            body["data"] = {"resultType": "", "result": None}
        return httpx.Response(200, json=body)


SERVERS = {
    "Google": Front(google, without("read", "metadata")),
    "Azure": Front(azure, without("read", "metadata")),
    "Cortex": Front(cortex),
    "gateway": Front(gateway, without("read", "metadata", status=501)),
    "gateway without a list of labels": Front(without("read", "labels", "metadata")),
}


def front(name: str) -> Front:
    return Front(*SERVERS[name].rules)


def usage(url: str, server: Front, **settings: object) -> PrometheusUsage:
    return PrometheusUsage(PrometheusSettings(url, backoff_s=0.0, **settings), transport=server)


@pytest.fixture
def url(start_prometheus) -> str:
    labels = DCGM | {"cluster": "east"}
    rows = openmetrics(UTIL, labels, per_step(VALUES)) + openmetrics(POWER, labels, per_step([100.0] * WINDOW.steps))
    return start_prometheus(series=rows)


@pytest.mark.parametrize("name", SERVERS)
def test_incident_prometheus_engine_1601_the_case_name_by_regex_refused_is_read_by_exact_names(url, name):
    one = workload("trainer-0")
    (found,) = usage(url, front(name)).read([one], inventory(one), WINDOW)
    (device,) = found.devices
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], np.array(VALUES) / 100)
    np.testing.assert_allclose(device.samples[Signal.POWER], 100.0)


@pytest.mark.parametrize("name", SERVERS)
def test_i28_clusters_are_told_apart_without_patterns_and_lists_of_labels(start_prometheus, name):
    both = [openmetrics(UTIL, DCGM | {"cluster": one}, per_step(VALUES)) for one in ("east", "west")]
    url, one = start_prometheus(series="".join(both)), workload("trainer-0")
    with pytest.raises(SourceError, match="label cluster is east, west"):
        usage(url, front(name)).read([one], inventory(one), WINDOW)
    (found,) = usage(url, front(name), matchers={"cluster": "east"}).read([one], inventory(one), WINDOW)
    assert len(found.devices) == 1


@pytest.mark.parametrize("name", SERVERS)
def test_metrics_of_another_cluster_alone_are_no_gpu_metrics(url, name):
    one = workload("trainer-0")
    with pytest.raises(SourceError, match="has no GPU metrics in the window"):
        usage(url, front(name), matchers={"cluster": "west"}).read([one], inventory(one), WINDOW)


@pytest.mark.parametrize("name", SERVERS)
def test_doctor_counts_by_exact_names(start_prometheus, monkeypatch, name):
    """Answers of the present: the samples end at the time of the query."""
    url = start_prometheus(series=openmetrics(UTIL, DCGM, per_step(VALUES)))
    late = Front(*SERVERS[name].rules)
    inner = late.handle_request

    def at_the_end(request: httpx.Request) -> httpx.Response:
        if path_of(request) == "query":
            form = dict(parameters_of(request)) | {"time": str(WINDOW.end_s)}
            request = httpx.Request("POST", request.url, data=form)
        return inner(request)

    monkeypatch.setattr(late, "handle_request", at_the_end)
    assert usage(url, late).check().series == {UTIL: 1}


def test_null_is_an_empty_list_of_series(url):
    one = workload("trainer-0")
    server = NullForNothing(google, without("read", "metadata"))
    (found,) = usage(url, server).read([one], inventory(one), WINDOW)
    (device,) = found.devices
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], np.array(VALUES) / 100)
    with pytest.raises(SourceError, match="has no GPU metrics in the window"):
        usage(url, server, matchers={"cluster": "west"}).read([one], inventory(one), WINDOW)
    with pytest.raises(SourceError, match="has no GPU metrics now"):
        usage(url, server).check()


def test_a_server_that_takes_no_exact_name_either_cannot_be_read(url):
    everything = Front(lambda request: None if path_of(request) == "read" else bad_data("go away"))
    one = workload("trainer-0")
    with pytest.raises(
        SourceError, match=r"go away.*With one exact name: .*go away; this server cannot be read"
    ) as told:
        usage(url, everything).read([one], inventory(one), WINDOW)
    assert "samples" not in str(told.value)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_another_error_of_the_first_request_is_raised_at_once(url, status):
    server = Front(lambda request: httpx.Response(status, text="broken"))
    one = workload("trainer-0")
    with pytest.raises(SourceError, match="broken"):
        usage(url, server, retry_burst=0.0, retry_ratio=0.0).read([one], inventory(one), WINDOW)
    assert len(server.asked) == 1
