"""Range queries in slices: shorter slices if a server rejects one, and the complete window or an error at the end."""

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus import client as http
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings
from gpuwise.sources.prometheus.ranges import RangeQueries
from gpuwise.sources.prometheus.refusals import TooMuchAsked
from gpuwise.sources.prometheus.series import Match, Matcher, Reduce, Selection
from gpuwise.sources.prometheus.slices import Slices

START_S = 1_780_000_000 // 300 * 300
WEEK = Window(START_S, START_S + 7 * 86_400, 300)
UTIL = Selection(("util",), ())

TOO_MUCH = {
    "samples": (422, "query processing would load too many samples into memory in query execution"),
    "points": (400, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"),
    "time": (503, "query timed out in expression evaluation"),
    "a deadline": (503, "context deadline exceeded"),
    "Mimir's chunks": (422, "the query exceeded the maximum number of chunks (limit: 2000000 chunks)"),
    "VictoriaMetrics' samples": (422, "cannot select more than -search.maxSamplesPerQuery=1000000000 samples"),
}


class Server:
    """Rejects more than `most` steps at once; the value of a step is its number."""

    def __init__(self, most: int, refusal: httpx.Response) -> None:
        self.most, self.refusal, self.steps, self.queries = most, refusal, [], []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams(request.content.decode())
        start, end, step = float(form["start"]), float(form["end"]), int(form["step"])
        at = np.arange(start, end + 0.0005, step)
        self.steps.append(len(at))
        self.queries.append(form["query"])
        if len(at) > self.most:
            return self.refusal
        values = [[when, str(round((when + 0.001 - START_S) / step) - 1)] for when in at.round(3).tolist()]
        result = [{"metric": {"gpu": "0"}, "values": values}]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})


def read(server, window: Window = WEEK, selection: Selection = UTIL) -> np.ndarray:
    settings = PrometheusSettings("http://prometheus", backoff_s=0.0)
    with PrometheusClient(settings, transport=httpx.MockTransport(server)) as client:
        parts = [one.values for one in RangeQueries(client).series([selection], window)]
    return np.fmax.reduce(parts)


def refusal(name: str) -> httpx.Response:
    status, error = TOO_MUCH[name]
    return httpx.Response(status, json={"status": "error", "error": error})


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_server_with_limits_is_queried_in_shorter_slices(name):
    server = Server(100, refusal(name))
    np.testing.assert_array_equal(read(server), np.arange(WEEK.steps))
    assert server.steps[:3] == [288, 144, 72]
    assert sum(steps for steps in server.steps if steps <= 100) == WEEK.steps


def test_a_gateway_timeout_shortens_the_slices():
    server = Server(100, httpx.Response(504, html="<html>gateway</html>"))
    np.testing.assert_array_equal(read(server), np.arange(WEEK.steps))


def test_a_timeout_shortens_the_slices():
    inner = Server(100, httpx.Response(200))

    def server(request: httpx.Request) -> httpx.Response:
        answer = inner(request)
        if inner.steps[-1] > inner.most:
            raise httpx.ReadTimeout("timed out")
        return answer

    np.testing.assert_array_equal(read(server), np.arange(WEEK.steps))


def test_a_too_large_response_shortens_the_slices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "_MOST_BYTES", 5_000)
    server = Server(10_000, httpx.Response(500))
    np.testing.assert_array_equal(read(server), np.arange(WEEK.steps))
    assert server.steps[0] > server.steps[-1]


def test_one_step_that_is_too_much_is_an_error():
    server = Server(0, refusal("samples"))
    with pytest.raises(
        TooMuchAsked,
        match=r"too many samples.*shorten the window, or raise the limit that the message names.*--query\.max-samples",
    ):
        read(server)
    assert server.steps == [288, 144, 72, 36, 18, 9, 4, 2, 1]


def test_another_rejection_is_an_error_at_once():
    server = Server(0, httpx.Response(422, json={"status": "error", "error": "parse error"}))
    with pytest.raises(SourceError, match="parse error"):
        read(server)
    assert server.steps == [288]


def test_slices_grow_after_successes_up_to_the_servers_limit():
    window = Window(START_S, START_S + 60_000 * 60, 60)
    server = Server(10_000, httpx.Response(500))
    np.testing.assert_array_equal(read(server, window), np.arange(window.steps))
    assert server.steps[:4] == [1440, 2880, 5760, 10_000]
    assert max(server.steps) == 10_000


def test_slices_grow_again_after_a_short_overload():
    slices = Slices.for_steps_of(300)
    slices.shorten(288)
    for _ in range(8):
        slices.succeeded()
    assert slices.steps == 576


@given(st.integers(1, 86_400), st.lists(st.booleans(), max_size=60))
def test_a_slice_has_at_least_one_step_and_at_most_what_prometheus_answers(step_s, answers):
    slices = Slices.for_steps_of(step_s)
    for answered in answers:
        assert 1 <= slices.steps <= 10_000
        if answered:
            slices.succeeded()
        elif slices.steps > 1:
            slices.shorten(slices.steps)


def test_each_name_is_a_query_and_matchers_are_literals():
    matchers = (Matcher("pod", Match.REGEX, 'a"|b'), Matcher("gpu", Match.NOT_EQUAL, ""))
    server = Server(10_000, httpx.Response(500))
    read(server, Window(START_S, START_S + 600, 300), Selection(("a", "b"), matchers, Reduce.MIN))
    assert server.queries == [
        f'min_over_time({{__name__="{name}",pod=~"a\\"|b",gpu!=""}}[300s] offset 1ms)' for name in ("a", "b")
    ]
