"""Every server's way to refuse a request as too much leads to smaller requests, and the answer is the same."""

import json
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
from tests.given_cases import given_case
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.sources.prometheus.answers import Answer
from gpuwise.sources.prometheus.refusals import TooMuchAsked, refused
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .fronts import Front, error, over, without
from .test_source import DCGM
from .victoria_metrics import NEEDS_VICTORIA, load, victoria

HOUR_S, DAY_S = 3600, 86_400
START_S = 1_780_000_000 // DAY_S * DAY_S
TWO_DAYS = Window(START_S, START_S + 2 * DAY_S, 300)
TWO_WEEKS = Window(START_S, START_S + 14 * DAY_S, 300)
UTIL = "DCGM_FI_DEV_GPU_UTIL"
ON_NODE_A = [workload("trainer-0"), workload("notebook-0", name="notebook")]


def ramp(window: Window) -> np.ndarray:
    return np.arange(window.steps) % 100 / 100


def shared_card(window: Window) -> str:
    """Two pods on one time-sliced card; each step has another value."""
    samples = {window.start_s + i * 300: float(value) * 100 for i, value in enumerate(ramp(window))}
    return openmetrics(UTIL, DCGM, samples) + openmetrics(UTIL, DCGM | {"pod": "notebook-0"}, samples)


def read(url: str, window: Window, front: Front | None = None, *, api: str = "auto") -> Sequence[UsageSeries]:
    usage = PrometheusUsage(PrometheusSettings(url, read=api, backoff_s=0.0), transport=front)
    return list(usage.read(ON_NODE_A, inventory(*ON_NODE_A), window))


def assert_complete(found: Sequence[UsageSeries], window: Window) -> None:
    """Every step of both pods has its value, and each pod pays half of the card."""
    for usage in found:
        (device,) = usage.devices
        np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], ramp(window))
        assert device.gpu_fraction == 0.5


@pytest.fixture
def two_days(start_prometheus) -> str:
    return start_prometheus(series=shared_card(TWO_DAYS))


@NEEDS_PROMETHEUS
def test_incident_thanos_5952_the_case_limits_not_recognised_is_read_completely(two_days):
    for status, body in json.loads((given_case("reading", "limits-not-recognised") / "bodies.json").read_text()):
        front = Front(without("read"), over(6 * HOUR_S, status, error(body), "query_range"))
        assert_complete(read(two_days, TWO_DAYS, front), TWO_DAYS)
        assert front.refused > 2, body


# Text, status and source of each server's limits.
LIMITS = [
    # Prometheus: promql/engine.go, web/api/v1/api.go, storage/remote/codec.go
    (422, "query processing would load too many samples into memory in query execution"),
    (400, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"),
    (503, "query timed out in expression evaluation"),
    (503, "query timed out in query queue"),
    (400, "exceeded sample limit (50000000)"),
    # Thanos: pkg/store/limiter.go, thanos#5952, thanos#6325, cortex#5285
    (422, "code = ResourceExhausted desc = exceeded bytes limit while fetching postings: limit 1 violated (got 8)"),
    (500, "fetch series for block 01GX: rpc error: code = ResourceExhausted desc = exceeded series limit: limit 12000"),
    (500, "failed to send series: limit 2 violated (got 3)"),
    (500, "code = ResourceExhausted desc = grpc: received message larger than max (398218677 vs. 104857600)"),
    # Cortex and Amazon Managed Service for Prometheus: pkg/util/limiter/query_limiter.go; AMP_quotas.html
    (422, "expanding series: the query hit the aggregated data size limit (limit: 5368709120 bytes)"),
    (422, "expanding series: the query hit the max number of series limit while fetching chunks (limit: 12000000)"),
    (422, "The query hit the max number of chunk bytes limit while fetching chunks {a} (limit: 1)"),
    (400, "invalid query, length > limit (744h0m0s > 720h0m0s)"),
    # Mimir: its runbooks, "Errors catalog"
    (422, "the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query)"),
    (422, "the query exceeded the aggregated chunks size limit (err-mimir-max-chunks-bytes-per-query)"),
    (422, "the query exceeded the maximum allowed estimated amount of memory consumed by a single query"),
    (422, "the total query time range exceeds the limit (query length: 9h0m0s, limit: 6h0m0s)"),
    (413, "the response size is larger than the maximum"),
    # VictoriaMetrics: app/vmselect, lib/storage
    (422, "cannot select more than -search.maxSamplesPerQuery=1000000000 samples; possible solutions: reduce"),
    (422, "the number of matching timeseries exceeds 300000; either narrow down the search or increase -search.max*"),
    (422, "too many points for the given step=300000: 60481; cannot exceed -search.maxPointsPerTimeseries=30000"),
    (422, "not enough memory for processing 5000 data points; total available memory for concurrent requests: 9 bytes"),
    (503, "cannot execute query: timeout exceeded during query execution: 30.000 seconds"),
    # Google: prometheus-engine#767
    (500, "generic::aborted: User has requested 5853MiB of memory for processing queries on one node (limit 5847MiB)"),
    # Gateways
    (413, ""),
    (504, ""),
    (502, "upstream response is too large"),
    (400, "time range too large: ask for a shorter one"),
    (422, "the range is longer than 32 days"),
]  # fmt: skip
OTHER = [
    (400, "1:5: parse error: unexpected character: '$'"),
    (422, 'invalid parameter "query": unknown function with name "foo"'),
    (500, "disk on fire"),
    (401, "exceeded"),
    (403, "limit"),
    (404, "too many"),
    # Waiting helps, not a smaller request.
    (429, "too many outstanding requests"),
    (429, "the request has been rejected because the tenant exceeded the request rate limit, set to 10 requests/s"),
    (429, "Rate exceeded"),  # Amazon's gateway
    (429, "local_rate_limited"),  # Envoy
    (429, "Quota exceeded for quota metric 'Time series queries' and limit 'Time series queries per minute'"),
    (503, "couldn't start executing the request, since -search.maxConcurrentRequests=8 concurrent requests"),
    (500, "Cancelled due to the number of queries whose evaluation is blocked waiting for memory is 502, limit 500"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text"), LIMITS)
@pytest.mark.parametrize("path", ["query_range", "read", "label/__name__/values"])
def test_a_limit_of_any_server_asks_for_less(status, text, path):
    for body in (text, error(text), message(text)):
        assert isinstance(refused("http://p", path, status, "Reason", body.encode()), TooMuchAsked), text


@pytest.mark.parametrize("pod", ["throttle-me", "rate-limit-0", 'a"b' * 5_000])
def test_a_reason_behind_a_long_query_is_recognised_and_shown(pod):
    """VictoriaMetrics quotes the query first; a pod's name must not count as the reason."""
    query = json.dumps(f'max_over_time({{pod=~"{pod}"}}[300s])')
    limit, other = "cannot select more than -search.maxSamplesPerQuery=200 samples", "missing )"
    for reason in (limit, other):
        text = error(f"error when executing query={query} on the time range (start=1, end=2): {reason}")
        found = refused("http://p", "query_range", 422, "Unprocessable Entity", text.encode())
        assert isinstance(found, TooMuchAsked) is (reason is limit)
        assert reason in str(found)


@pytest.mark.parametrize(("status", "text"), OTHER)
def test_another_refusal_is_an_error_that_shows_the_message(status, text):
    for body in (text, error(text), message(text)):
        found = refused("http://p", "query_range", status, "Too Many Requests", body.encode())
        assert not isinstance(found, TooMuchAsked)
        assert text[:40] in str(found)


def message(text: str) -> str:
    """The body of Amazon's and Kubernetes' gateways and of Grafana's proxy."""
    return json.dumps({"message": text})


@pytest.mark.parametrize(
    "body",
    [
        # Some gateways send an error with status 200.
        {"status": "error", "error": "the query hit the max number of chunks limit (limit: 2000000 chunks)"},
        # Thanos Query, partial responses enabled (the default): a store's limit is a warning beside partial data.
        {
            "status": "success",
            "data": {"resultType": "matrix", "result": []},
            "warnings": ["receive series from Addr: store:10901: rpc error: code = ResourceExhausted desc = exceeded"],
        },
    ],
)
def test_i1_a_limit_in_a_response_with_status_200_asks_for_less_and_is_never_an_empty_answer(body):
    with pytest.raises(TooMuchAsked):
        Answer("http://p", json.dumps(body).encode()).matrix()


@NEEDS_PROMETHEUS
@pytest.mark.parametrize("most", [20, 50])
def test_a_real_prometheus_with_a_limit_of_samples_is_read_completely(start_prometheus, most):
    url = start_prometheus(series=shared_card(TWO_DAYS), flags=(f"--query.max-samples={most}",))
    assert_complete(read(url, TWO_DAYS, api="query-range"), TWO_DAYS)


@NEEDS_VICTORIA
def test_a_real_victoriametrics_with_a_limit_of_points_is_read_completely(tmp_path):
    with victoria(tmp_path, "-search.maxPointsPerTimeseries=60") as url:
        load_shared_card(url)
        assert_complete(read(url, TWO_DAYS), TWO_DAYS)


@NEEDS_VICTORIA
@pytest.mark.parametrize("flag", ["-search.maxSamplesPerQuery=200", "-search.maxUniqueTimeseries=1"])
def test_i1_a_real_victoriametrics_whose_limit_no_length_satisfies_is_an_error(tmp_path, flag):
    """It counts whole blocks of samples, however short the query is."""
    with victoria(tmp_path, flag) as url:
        load_shared_card(url)
        with pytest.raises(SourceError, match=r"returned 422.*(search\.max|exceeds 1)"):
            read(url, TWO_DAYS)


def load_shared_card(url: str) -> None:
    samples = {TWO_DAYS.start_s + i * 300: value * 100 for i, value in enumerate(ramp(TWO_DAYS).tolist())}
    for pod in ("trainer-0", "notebook-0"):
        load(url, {"__name__": UTIL} | DCGM | {"pod": pod}, samples)


@NEEDS_PROMETHEUS
def test_a_store_that_leaves_out_data_over_its_limit_is_asked_for_less(two_days):
    body = json.dumps(
        {
            "status": "success",
            "data": {"resultType": "matrix", "result": []},
            "warnings": ["fetch series for block 01G: exceeded chunks limit: limit 2000000 violated (got 2000033)"],
        }
    )
    front = Front(without("read"), over(6 * HOUR_S, 200, body, "query_range"))
    assert_complete(read(two_days, TWO_DAYS, front), TWO_DAYS)


@NEEDS_VICTORIA
def test_a_real_victoriametrics_whose_limit_a_pattern_of_names_exceeds_is_asked_for_each_name(tmp_path):
    with victoria(tmp_path, "-search.maxUniqueTimeseries=2") as url:
        load_shared_card(url)
        for name in ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE"):
            load(url, {"__name__": name} | DCGM, {TWO_DAYS.start_s: 100.0})
        assert_complete(read(url, TWO_DAYS), TWO_DAYS)


@NEEDS_PROMETHEUS
def test_lists_of_labels_are_asked_for_shorter_times_too(two_days):
    limit = over(12 * HOUR_S, 422, error("the query time range exceeds the limit (query length: 48h0m0s)"))
    front = Front(without("read"), limit)
    assert_complete(read(two_days, TWO_DAYS, front), TWO_DAYS)
    assert {"label/__name__/values", "labels"} <= {path for path, _ in front.asked}


@NEEDS_PROMETHEUS
def test_i1_a_limit_that_no_length_satisfies_is_an_error_and_not_no_data(two_days):
    front = Front(without("read"), over(-1, 422, error("the query hit the max number of series limit"), "query_range"))
    with pytest.raises(SourceError, match=r"max number of series limit.*raise the limit that the message names"):
        read(two_days, TWO_DAYS, front)


@NEEDS_PROMETHEUS
def test_i1_a_refusal_that_is_not_recognised_is_an_error_and_not_no_data(two_days):
    front = Front(without("read"), over(6 * HOUR_S, 422, error("computer says no"), "query_range"))
    with pytest.raises(SourceError, match="computer says no"):
        read(two_days, TWO_DAYS, front)


@NEEDS_PROMETHEUS
def test_incident_mimir_4245_the_case_remote_read_over_the_limit_is_read_by_parts(start_prometheus):
    answer = json.loads((given_case("reading", "remote-read-over-the-limit") / "answer.json").read_text())
    front = Front(over(168 * HOUR_S, answer["status"], answer["body"], "read"))
    url = start_prometheus(series=shared_card(TWO_WEEKS))
    assert_complete(read(url, TWO_WEEKS, front), TWO_WEEKS)
    assert front.refused == 1
    assert len([path for path, _ in front.asked if path == "read"]) > 2


@NEEDS_PROMETHEUS
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "the query time range exceeds the limit (query length: 336h0m0s, limit: 12h0m0s)"),
        (422, error("the query exceeded the maximum number of chunks (err-mimir-max-chunks-per-query)")),
        (400, "exceeded sample limit (50000000)"),  # Prometheus' storage.remote.read-sample-limit
        (413, b""),
    ],
)
def test_a_server_that_refuses_a_day_of_remote_read_is_asked_by_range_queries(two_days, status, body):
    front = Front(over(12 * HOUR_S, status, body, "read"))
    assert_complete(read(two_days, TWO_DAYS, front), TWO_DAYS)
    assert any(path == "query_range" and "over_time" in asked["query"] for path, asked in front.asked)


@NEEDS_PROMETHEUS
def test_forced_remote_read_uses_parts_as_short_as_the_limit(two_days):
    front = Front(over(HOUR_S, 422, "the query time range exceeds the limit", "read"))
    assert_complete(read(two_days, TWO_DAYS, front, api="remote-read"), TWO_DAYS)
    assert not any(path == "query_range" and "max_over_time" in asked["query"] for path, asked in front.asked)


@NEEDS_PROMETHEUS
def test_remote_read_that_no_length_satisfies_is_an_error_where_it_is_forced(two_days):
    front = Front(over(-1, 500, "the query time range exceeds the limit", "read"))
    with pytest.raises(SourceError, match="exceeds the limit"):
        read(two_days, TWO_DAYS, front, api="remote-read")


@NEEDS_PROMETHEUS
def test_a_part_that_breaks_off_is_read_again_and_nothing_is_lost(two_days):
    """A stream that times out within a response: its series are read again in shorter parts."""
    front = Front(over(6 * HOUR_S, 200, b"", "read"))
    inner = front.rules[0]

    def slow(request: httpx.Request) -> httpx.Response | None:
        if inner(request) is not None:
            raise httpx.ReadTimeout("timed out", request=request)
        return None

    front.rules = (slow,)
    assert_complete(read(two_days, TWO_DAYS, front, api="remote-read"), TWO_DAYS)
