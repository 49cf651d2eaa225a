"""Remote read where it is offered, range queries where it is not; any other refusal is an error."""

from collections.abc import Callable

import httpx
import pytest
from tests.xor_chunks import encode

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings
from gpuwise.sources.prometheus.reader import PrometheusSeries
from gpuwise.sources.prometheus.refusals import NotOffered
from gpuwise.sources.prometheus.series import GridSeries, Selection

from .remote_read import frame, streamed

WINDOW = Window(1_780_000_200, 1_780_000_500, 60)
SELECTIONS = [Selection(("a",), ()), Selection(("b",), ())]


def chunks(name: str) -> httpx.Response:
    return streamed(frame({"__name__": name}, encode([(WINDOW.start_s * 1000, 1.0)])))


class Server:
    """Answers reads as told, range queries with one sample, and remembers what was asked."""

    def __init__(self, read: Callable[[], httpx.Response]) -> None:
        self.read, self.asked = read, []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.rpartition("/")[2])
        if self.asked[-1] == "read":
            return self.read()
        entry = {"metric": {}, "values": [[WINDOW.start_s + WINDOW.step_s - 0.001, "2"]]}
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": [entry]}})


def series(server: Server, *, read: str = "auto", times: int = 1) -> list[GridSeries]:
    settings = PrometheusSettings("http://prometheus", read=read, backoff_s=0.0)
    with PrometheusClient(settings, transport=httpx.MockTransport(server)) as client:
        reader = PrometheusSeries(client)
        return [one for _ in range(times) for one in reader.series(SELECTIONS, WINDOW)]


def test_remote_read_is_taken_where_it_is_offered():
    names = iter("ab")
    server = Server(lambda: chunks(next(names)))
    assert [(one.labels["__name__"], one.values[0]) for one in series(server)] == [("a", 1.0), ("b", 1.0)]
    assert server.asked == ["read", "read"]


NOT_OFFERED = {
    "Thanos Query": (404, b"404 page not found\n", "text/plain"),
    "a gateway": (405, b"", "text/plain"),
    "another gateway": (501, b"", "text/plain"),
    "VictoriaMetrics": (400, b'unsupported path requested: "/api/v1/read"', "text/plain"),
    "an old Prometheus": (400, b"server does not support any of the requested response types", "text/plain"),
    "Cortex": (200, b"\x00", "application/x-protobuf"),
}


@pytest.mark.parametrize("who", NOT_OFFERED)
def test_where_it_is_not_offered_ranges_are_queried_and_it_is_not_asked_for_again(who):
    status, content, kind = NOT_OFFERED[who]
    server = Server(lambda: httpx.Response(status, content=content, headers={"Content-Type": kind}))
    found = series(server, times=2)
    assert [(one.labels["__name__"], one.values[0]) for one in found] == [("a", 2.0), ("b", 2.0)] * 2
    assert server.asked == ["read", *["query_range"] * 4]


def test_a_balancer_before_two_kinds_of_servers_gives_each_series_once():
    answers = iter([chunks("a"), httpx.Response(404)])
    server = Server(lambda: next(answers))
    assert [(one.labels["__name__"], one.values[0]) for one in series(server)] == [("a", 1.0), ("b", 2.0)]


ERRORS = {
    "not let in": (lambda: httpx.Response(401), "401.*--prometheus-token-file"),
    "forbidden": (lambda: httpx.Response(403), "403"),
    "a bad request": (
        lambda: httpx.Response(400, content=b"snappy: corrupt input"),
        "400 Bad Request: snappy: corrupt",
    ),
    "a failure": (lambda: httpx.Response(500, content=b"disk on fire"), "500 Internal Server Error: disk on fire"),
    "busy": (lambda: httpx.Response(429), "429"),
    "a page": (lambda: httpx.Response(200, html="<html>"), "text/html"),
    "damage": (lambda: streamed(b"\x07damage"), "ends within a frame"),
    "a redirect": (lambda: httpx.Response(302), "login page"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_any_other_refusal_is_an_error_and_ranges_are_not_tried(name):
    answer, says = ERRORS[name]
    server = Server(answer)
    with pytest.raises(SourceError, match=says):
        series(server)
    assert set(server.asked) == {"read"}


def test_a_server_that_cannot_be_reached_is_an_error():
    def read() -> httpx.Response:
        raise httpx.ConnectError("refused")

    server = Server(read)
    with pytest.raises(SourceError, match="cannot be reached: refused"):
        series(server)
    assert set(server.asked) == {"read"}


def test_either_can_be_forced():
    server = Server(lambda: httpx.Response(404))
    with pytest.raises(
        NotOffered, match=r"offers no streamed remote read: 404.*prometheus\.read to auto or query-range"
    ):
        series(server, read="remote-read")
    assert server.asked == ["read"]
    server = Server(lambda: chunks("a"))
    assert [one.values[0] for one in series(server, read="query-range")] == [2.0, 2.0]
    assert server.asked == ["query_range"] * 2
