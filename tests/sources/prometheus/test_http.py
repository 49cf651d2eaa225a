"""What comes back from a Prometheus that is down, refuses, answers in part, or is none: never an idle GPU."""

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
from gpuwise.sources.prometheus.client import RETRIES
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


def answering(body: object, *, status: int = 200) -> Answer:
    """Names as they should be, then this to each query."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/values"):
            return httpx.Response(200, json=NAMES)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content)

    return answer


WHOLE = matrix([at(0), "0"], [at(1), "50"])


def test_the_stub_itself_speaks_prometheus():
    (device,) = read(source(answering(WHOLE))).devices
    (values,) = device.samples.values()
    np.testing.assert_array_equal(values, [0.0, 0.5, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (WHOLE | {"warnings": ["store a: connection refused"]}, "answered in part.*store a"),
        (WHOLE | {"status": "error", "error": "boom"}, "no whole answer: boom"),
        ({"status": "success"}, "no whole answer"),
        ({"status": "success", "data": None}, "no matrix"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "no matrix"),
        ({"status": "success", "data": {"resultType": "matrix", "result": None}}, "no matrix"),
        (matrix([at(0), 0]), "is no sample"),
        (matrix([at(0), "idle"]), "matrix entry"),
        (matrix([at(0)]), "matrix entry"),
        (matrix(["soon", "0"]), "is no time"),
        (matrix([at(0) + 7, "0"]), "not asked for"),
        (matrix([at(99), "0"]), "not asked for"),
        (matrix([float("nan"), "0"]), "not asked for"),
        (matrix([at(0), "0"], labels={"pod": 7}), "labels are no strings"),
        (matrix([at(0), "0"], labels=None), "labels are no strings"),
        (json.dumps(WHOLE).encode()[:-9], "no whole answer"),
        (b"<html>please log in</html>", "no whole answer"),
        (b"", "no whole answer"),
        (b"[" * 100_000, "no whole answer"),
        (b"9" * 5000, "no whole answer"),
        (matrix([10**400, "0"]), "matrix entry"),
        ([], "no whole answer"),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(body, says):
    with pytest.raises(SourceError, match=says):
        read(source(answering(body)))


@pytest.mark.parametrize(
    ("status", "hint", "tries"),
    [
        (400, "too many samples", 1),
        (401, "check --prometheus-token-file", 1),
        (403, "check --prometheus-token-file", 1),
        (404, "without /api/v1", 1),
        (302, "login page", 1),
        (422, "shorten the window", 1),
        (429, "run again", 1 + RETRIES),
        (500, "run again", 1 + RETRIES),
        (503, "run again", 1 + RETRIES),
    ],
)
@pytest.mark.parametrize("body", [b'{"status":"error","error":"because"}', b"no json"])
def test_a_refusal_names_the_address_and_the_hint(status, hint, tries, body):
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, content=body)

    with pytest.raises(SourceError, match=rf"http://prometheus refused: {status}.*{hint}"):
        read(source(answer))
    assert len(asked) == tries


def test_a_passing_outage_is_waited_out():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) <= RETRIES:
            raise httpx.ConnectError("refused")
        return answering(WHOLE)(request)

    assert len(read(source(answer)).devices) == 1


def test_a_timeout_is_an_error_and_is_not_repeated():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ReadTimeout("")

    with pytest.raises(SourceError, match="cannot be reached: ReadTimeout"):
        read(source(answer))
    assert len(asked) == 1


def test_nobody_listening_names_the_address():
    url = f"http://user:hush@127.0.0.1:{free_port()}"
    usage = PrometheusUsage(PrometheusSettings(url, backoff_s=0.0, read="query-range"))
    with pytest.raises(
        SourceError, match=r"at http://127\.0\.0\.1:\d+ cannot be reached.*check --prometheus"
    ) as caught:
        read(usage)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["prometheus:9090", "", "ftp://x", "http://", "http://[::1", "http://x:port"])
def test_a_url_that_is_none_is_an_input_error(url):
    with pytest.raises(InputError, match="give --prometheus"):
        read(PrometheusUsage(PrometheusSettings(url)))


def test_the_token_opens_and_a_wrong_one_is_named():
    with answering_to(empty_prometheus("right")) as url:
        for token in ("right", "right\n"):
            with pytest.raises(SourceError, match="has no GPU metrics"):  # it was let in, and there is nothing
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
        with pytest.raises(InputError, match="holds no certificates"):
            read(PrometheusUsage(PrometheusSettings("https://prometheus", ca_file=path)))


def vector(count: object) -> dict[str, object]:
    entry = {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, "value": [1, count]}
    return {"status": "success", "data": {"resultType": "vector", "result": [entry]}}


def test_check_counts_series():
    assert source(answering(vector("7"))).check().series == {"DCGM_FI_DEV_GPU_UTIL": 7}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (vector("0"), "has no GPU metrics"),
        (vector("NaN"), "has no GPU metrics"),
        (vector("+Inf"), "has no GPU metrics"),
        (vector(7), "vector entry"),
        (vector("many"), "vector entry"),
        (vector("7") | {"warnings": ["store a is down"]}, "answered in part"),
        (WHOLE, "no vector"),
    ],
)
def test_check_takes_nothing_for_granted(body, says):
    with pytest.raises(SourceError, match=says):
        source(answering(body)).check()


def test_a_pod_name_is_data_never_a_pattern():
    queries = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/values"):
            return httpx.Response(200, json=NAMES)
        queries.append(httpx.QueryParams(request.content.decode())["query"])
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": []}})

    one = workload('a.b|"c\\', namespace='n"} or vector(0)')
    list(source(answer).read([one], inventory(one), WINDOW))
    assert r'namespace=~"n\"\\} or vector\\(0\\)",exported_pod=~"a\\.b\\|\"c\\\\|trainer-[' in queries[0]


def test_no_workloads_ask_nothing():
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("asked")

    assert list(source(answer).read([], inventory(), WINDOW)) == []
    assert list(source(answer).read_nodes([], inventory(), WINDOW)) == []


def no_number(value: object) -> bool:
    """Garbage must not happen to be a sample."""
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
        for device in read(source(answering(body))).devices:
            for values in device.samples.values():
                assert np.isnan(values).all()
