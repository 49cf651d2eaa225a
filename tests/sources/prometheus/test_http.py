"""A Prometheus that is down or returns errors, partial or invalid responses never leads to an idle GPU."""

import contextlib
import json
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http_server import answering as answering_to
from tests.http_server import empty_prometheus
from tests.prometheus_server import free_port
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import InputError, SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import RETRIES, PrometheusClient
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

WINDOW = Window(1_780_000_000 // 60 * 60, 1_780_000_000 // 60 * 60 + 300, 60)
LABELS = {"namespace": "research", "pod": "trainer-0", "UUID": "GPU-a"}
NAMES = {"status": "success", "data": ["DCGM_FI_DEV_GPU_UTIL"]}
Answer = Callable[[httpx.Request], httpx.Response]


def source(answer: Answer) -> PrometheusUsage:
    settings = PrometheusSettings("http://prometheus", backoff_s=0.0, read="query-range")
    return PrometheusUsage(settings, transport=httpx.MockTransport(answer))


def read(usage: PrometheusUsage):
    one = workload("trainer-0")
    (series,) = usage.read([one], inventory(one), WINDOW)
    return series


def matrix(*values: object, labels: object = LABELS) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": labels, "values": values}]}}


def at(step: int) -> float:
    return WINDOW.start_s + (step + 1) * WINDOW.step_s - 0.001


def responding(body: object, *, status: int = 200) -> Answer:
    """Returns valid metric names, then this body to each query."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/values", "/labels")):
            return httpx.Response(200, json=NAMES)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content)

    return answer


COMPLETE = matrix([at(0), "0"], [at(1), "50"])


def test_the_stub_implements_the_api():
    (device,) = read(source(responding(COMPLETE))).devices
    (values,) = device.samples.values()
    np.testing.assert_array_equal(values, [0.0, 0.5, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (COMPLETE | {"warnings": ["store a: connection refused"]}, "returned a partial response.*store a"),
        (COMPLETE | {"status": "error", "error": "boom"}, "sent an invalid response: boom"),
        ({"status": "success"}, "sent an invalid response"),
        ({"status": "success", "data": None}, "no matrix"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "no matrix"),
        ({"status": "success", "data": {"resultType": "matrix"}}, "no matrix"),
        (matrix([at(0), 0]), "is not a sample"),
        (matrix([at(0), "idle"]), "matrix entry"),
        (matrix([at(0)]), "matrix entry"),
        (matrix(["soon", "0"]), "is not a time"),
        (matrix([at(0) + 7, "0"]), "not requested"),
        (matrix([at(99), "0"]), "not requested"),
        (matrix([float("nan"), "0"]), "not requested"),
        (matrix([at(0), "0"], labels={"pod": 7}), "labels are not strings"),
        (matrix([at(0), "0"], labels=None), "labels are not strings"),
        (json.dumps(COMPLETE).encode()[:-9], "sent an invalid response"),
        (b"<html>please log in</html>", "sent an invalid response"),
        (b"", "sent an invalid response"),
        (b"[" * 100_000, "sent an invalid response"),
        (b"9" * 5000, "sent an invalid response"),
        (matrix([10**400, "0"]), "matrix entry"),
        ([], "sent an invalid response"),
    ],
)
def test_an_incomplete_or_invalid_response_is_an_error(body, says):
    with pytest.raises(SourceError, match=says):
        read(source(responding(body)))


@pytest.mark.parametrize(
    ("status", "hint", "tries"),
    [
        (400, "this server cannot be read", 3),  # a pattern of names, one exact name, and a query for it
        (401, "check --prometheus-token-file", 1),
        (403, "check --prometheus-token-file", 1),
        (404, "without /api/v1", 1),
        (302, "login page", 1),
        (422, "this server cannot be read", 3),
        (429, "run again", 1 + RETRIES),
        (500, "run again", 1 + RETRIES),
        (503, "run again", 1 + RETRIES),
    ],
)
@pytest.mark.parametrize("body", [b'{"status":"error","error":"because"}', b"no json"])
def test_an_error_status_names_the_address_and_the_hint(status, hint, tries, body):
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(status, content=body)

    with pytest.raises(SourceError, match=rf"http://prometheus returned {status}.*{hint}"):
        read(source(answer))
    assert len(sent) == tries


def test_a_short_outage_is_retried():
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if len(sent) <= RETRIES:
            raise httpx.ConnectError("refused")
        return responding(COMPLETE)(request)

    assert len(read(source(answer)).devices) == 1


@pytest.mark.parametrize("body", ["", "usage limit exceeded", "<html>Too Many Requests</html>"])
def test_a_429_that_names_a_time_is_waited_for(body):
    """Whatever its text says, the same request succeeds later."""
    sent, waits = [], []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if len(sent) == 2:
            return httpx.Response(429, headers={"Retry-After": "7"}, text=body)
        return responding(COMPLETE)(request)

    settings = PrometheusSettings("http://prometheus", read="query-range")
    with PrometheusClient(settings, transport=httpx.MockTransport(answer), wait=waits.append) as client:
        for _ in range(2):
            client.range("x", start_s=WINDOW.start_s, end_s=WINDOW.end_s, step_s=60)
    assert waits == [7.0]
    assert len(sent) == 3


def test_i1_null_is_no_series_and_shows_nothing_idle():
    """Google's frontend and Cortex send it where Prometheus sends [] (prometheus-engine#1645, cortex#1142)."""
    found = read(source(responding({"status": "success", "data": {"resultType": "matrix", "result": None}})))
    assert found.devices == ()
    assert found.requests_per_second is None


def test_a_note_about_the_query_is_no_partial_response():
    """Prometheus 2.48 to 2.53 and Thanos put it beside the warnings (thanos#7597)."""
    note = 'PromQL info: ignored histograms in a range for metric name "x"'
    assert len(read(source(responding(COMPLETE | {"warnings": [note]}))).devices) == 1
    with pytest.raises(SourceError, match="store-2: no such host"):
        read(source(responding(COMPLETE | {"warnings": [note, "store-2: no such host"]})))


def test_a_timeout_is_an_error_and_is_not_repeated():
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise httpx.ReadTimeout("")

    with pytest.raises(SourceError, match="did not respond in time: ReadTimeout"):
        read(source(answer))
    assert len(sent) == 1


def test_a_refused_connection_names_the_address():
    url = f"http://user:hush@127.0.0.1:{free_port()}"
    usage = PrometheusUsage(PrometheusSettings(url, backoff_s=0.0, read="query-range"))
    with pytest.raises(
        SourceError, match=r"cannot reach Prometheus at http://127\.0\.0\.1:\d+.*check --prometheus"
    ) as caught:
        read(usage)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["prometheus:9090", "", "ftp://x", "http://", "http://[::1", "http://x:port"])
def test_an_invalid_url_is_an_input_error(url):
    with pytest.raises(InputError, match="give --prometheus"):
        read(PrometheusUsage(PrometheusSettings(url)))


def test_a_valid_token_works_and_a_wrong_one_is_an_error():
    with answering_to(empty_prometheus("right")) as url:
        for token in ("right", "right\n"):
            with pytest.raises(
                SourceError, match="has no GPU metrics"
            ):  # the token is accepted, and there are no metrics
                read(PrometheusUsage(PrometheusSettings(url, bearer_token=token)))
        for token in ("wrong", None):
            with pytest.raises(SourceError, match=r"401 Unauthorized.*check --prometheus-token-file"):
                read(PrometheusUsage(PrometheusSettings(url, bearer_token=token)))


@pytest.mark.parametrize("token", ["", " ", "sec\nret", "sécret", "sec\x00ret"])
def test_a_token_that_cannot_be_sent_is_an_input_error_that_does_not_show_it(token):
    with pytest.raises(InputError, match="check --prometheus-token-file") as caught:
        read(PrometheusUsage(PrometheusSettings("http://prometheus", bearer_token=token)))
    assert "ret" not in str(caught.value)


def test_certificates_that_cannot_be_read_are_an_input_error(tmp_path):
    for path in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(InputError, match="contains no certificates"):
            read(PrometheusUsage(PrometheusSettings("https://prometheus", ca_file=path)))


def vector(count: object) -> dict[str, object]:
    entry = {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, "value": [1, count]}
    return {"status": "success", "data": {"resultType": "vector", "result": [entry]}}


def test_check_counts_series():
    assert source(responding(vector("7"))).check().series == {"DCGM_FI_DEV_GPU_UTIL": 7}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (vector("0"), "has no GPU metrics"),
        (vector("NaN"), "has no GPU metrics"),
        (vector("+Inf"), "has no GPU metrics"),
        (vector(7), "vector entry"),
        (vector("many"), "vector entry"),
        (vector("7") | {"warnings": ["store a is down"]}, "returned a partial response"),
        (COMPLETE, "no vector"),
    ],
)
def test_check_validates_the_response(body, says):
    with pytest.raises(SourceError, match=says):
        source(responding(body)).check()


def test_a_pod_name_is_never_a_pattern():
    queries = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/values", "/labels", "/metadata")):
            return httpx.Response(200, json=NAMES)
        queries.append(httpx.QueryParams(request.content.decode())["query"])
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": []}})

    one = workload('a.b|"c\\', namespace='n"} or vector(0)')
    list(source(answer).read([one], inventory(one), WINDOW))
    assert r'namespace=~"n\"\\} or vector\\(0\\)",exported_pod=~"a\\.b\\|\"c\\\\|trainer-[' in "\n".join(queries)


def test_without_workloads_no_request_is_sent():
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    assert list(source(answer).read([], inventory(), WINDOW)) == []
    assert list(source(answer).read_nodes([], inventory(), WINDOW)) == []


def no_number(value: object) -> bool:
    """Random values must not be valid samples by chance."""
    try:
        return not isinstance(value, str) or float(value) != float(value)
    except ValueError:
        return True


scalars = (st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)).filter(no_number)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))
garbage = st.sampled_from(["", "NaN", "+Inf", "-Inf", "-1", "-0.0001", "4294967295", "1e400", "1e15", "101", "0x0"])
times = st.integers(0, 5).map(at) | st.floats() | scalars
samples = st.lists(st.tuples(times, garbage | scalars).map(list), max_size=4)
entries = st.fixed_dictionaries({}, optional={"metric": st.just(LABELS) | trees, "values": samples | trees})
datas = st.fixed_dictionaries(
    {}, optional={"resultType": st.just("matrix") | scalars, "result": st.lists(entries | trees, max_size=3) | trees}
)
broken = st.fixed_dictionaries(
    {}, optional={"status": st.just("success") | scalars, "data": datas | trees, "warnings": st.just([]) | trees}
)
well_formed = st.lists(st.tuples(st.integers(0, 4).map(at), garbage).map(list)).map(lambda some: matrix(*some))


@settings(max_examples=150, deadline=None)
@given(trees | broken | well_formed)
def test_i1_garbage_is_unknown_or_an_error_never_idle(body):
    with contextlib.suppress(SourceError):
        for device in read(source(responding(body))).devices:
            for values in device.samples.values():
                assert np.isnan(values).all()
