"""What a server is, by what it reports, and what the checks find on servers that report little."""

import httpx
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics

from gpuwise.model.checks import CheckStatus
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.examination import Examination
from gpuwise.sources.prometheus.settings import PrometheusSettings

from .fronts import Front, parameters_of
from .test_source import DCGM, WINDOW, per_step
from .victoria_metrics import NEEDS_VICTORIA, load, victoria

SERVERS = {
    "Prometheus": (
        {"version": "3.5.0", "revision": "8be3a9560fbdd18a94dedec4b747c35178177202"},
        {},
        "Prometheus 3.5.0",
    ),
    "Thanos": ({"version": "0.38.0", "branch": "HEAD"}, {}, "Thanos 0.38.0"),
    "Mimir": ({"application": "Grafana Mimir", "version": "2.17.1", "features": {}}, {}, "Grafana Mimir 2.17.1"),
    "VictoriaMetrics": ({}, {"X-Server-Hostname": "vm-0"}, "VictoriaMetrics (it reports no version)"),
    "VictoriaMetrics for Grafana": (
        {"version": "2.24.0"},
        {"X-Server-Hostname": "vm-0"},
        "VictoriaMetrics (it reports no version)",
    ),
}


def success(data: object, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": data}, headers=headers)


def reporting(build: httpx.Response) -> httpx.MockTransport:
    """A server with its build information, whose clock is right."""
    now = success({"resultType": "vector", "result": [{"metric": {}, "value": [0, str(WINDOW.end_s)]}]})
    return httpx.MockTransport(lambda asked: build if asked.url.path.endswith("/buildinfo") else now)


def status_of(transport: httpx.BaseTransport, name: str, url: str = "http://prometheus", **settings: object):
    with PrometheusClient(PrometheusSettings(url, backoff_s=0.0, **settings), transport=transport) as client:
        found = {one.name: one for one in Examination(client, WINDOW, lambda: float(WINDOW.end_s)).results()}
    return found[name].status, found[name].text


@pytest.mark.parametrize("name", SERVERS)
def test_the_server_is_named(name: str) -> None:
    data, headers, shown = SERVERS[name]
    assert status_of(reporting(success(data, headers)), "server") == (CheckStatus.OK, shown)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_server_without_build_information_is_no_failure(status: int) -> None:
    """Amazon's service documents no such API."""
    assert status_of(reporting(httpx.Response(status)), "server") == (
        CheckStatus.OK,
        "it does not report its software and version",
    )


@pytest.mark.parametrize(("ahead_s", "status"), [(0, "ok"), (29, "ok"), (-29, "ok"), (31, "failed"), (-31, "failed")])
def test_half_a_minute_of_clock_skew_is_tolerated(ahead_s: int, status: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        value = str(WINDOW.end_s + ahead_s)
        return success({"resultType": "vector", "result": [{"metric": {}, "value": [WINDOW.end_s, value]}]})

    assert status_of(httpx.MockTransport(answer), "server clock")[0] == status


@NEEDS_PROMETHEUS
def test_builds_and_images_of_exporters_are_reported(start_prometheus) -> None:
    """dcgm-exporter exports no version: kube-state-metrics has the tag of its image."""
    now = per_step([1.0] * WINDOW.steps)
    image = {"image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.1-4.8.0-ubuntu22.04", "pod": "dcgm-exporter-x2lkq"}
    other = {"image": "docker.io/library/nginx:1.29", "pod": "web-0"}
    rows = [
        openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM, now),
        openmetrics("hami_container_device_memory_bytes", {"deviceuuid": "GPU-1", "podname": "a"}, now),
        openmetrics("hami_build_info", {"version": "v2.9.0"}, now),
        openmetrics("kube_pod_container_info", image, now),
        "\n".join(openmetrics("kube_pod_container_info", other, now).splitlines()[1:]) + "\n",
    ]
    url = start_prometheus(series="".join(rows))
    at = str(WINDOW.end_s - 1)

    class AtTheEnd(httpx.BaseTransport):
        """Instant queries are evaluated at the end of the data and not now."""

        network = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/query"):
                form = dict(parameters_of(request)) | {"time": at}
                request = httpx.Request("POST", request.url, data=form)
            return self.network.handle_request(request)

        def close(self) -> None:
            self.network.close()

    text = "dcgm-exporter 2.0 to 4.8 (by its metric names) with 1 devices and pods; HAMi v2.9.0 with 1 devices and pods"
    text += "; images: dcgm-exporter:4.5.1-4.8.0-ubuntu22.04"
    assert status_of(AtTheEnd(), "exporters", url) == (CheckStatus.OK, text)


@NEEDS_VICTORIA
def test_victoria_metrics_is_recognised_and_answers_without_its_cache(tmp_path) -> None:
    with victoria(tmp_path) as url:
        load(url, {"__name__": "DCGM_FI_DEV_GPU_UTIL"} | DCGM, per_step([1.0] * WINDOW.steps))
        front = Front()
        assert status_of(front, "server", url) == (CheckStatus.OK, "VictoriaMetrics (it reports no version)")
        with PrometheusClient(PrometheusSettings(url), transport=front) as client:
            client.instant("vector(1)")
            client.range("vector(1)", start_s=WINDOW.start_s, end_s=WINDOW.end_s, step_s=60)
        asked = [form for path, form in front.asked if path == "query_range"]
    assert asked
    assert asked[-1]["nocache"] == "1"


@NEEDS_VICTORIA
def test_the_clock_of_a_real_victoriametrics_with_default_flags_is_right(tmp_path) -> None:
    """Without nocache=1 it evaluates `time()` 30 s ago."""
    with victoria(tmp_path) as url, PrometheusClient(PrometheusSettings(url)) as client:
        found = {one.name: one for one in Examination(client, WINDOW).results()}["server clock"]
    assert found.status is CheckStatus.OK
    assert float(found.text.partition(" ")[0]) < 5.0


def test_other_servers_are_not_sent_a_parameter_that_they_do_not_know() -> None:
    forms = []

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(parameters_of(request))
        return success({"resultType": "matrix", "result": []})

    with PrometheusClient(PrometheusSettings("http://p"), transport=httpx.MockTransport(answer)) as client:
        for _ in range(2):
            client.range("up", start_s=0, end_s=60, step_s=60)
    assert not any("nocache" in form for form in forms)
