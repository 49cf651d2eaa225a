"""Remote read if it is offered, else range queries; any other rejection is an error."""

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
    """Returns the given response to reads and one sample to range queries; records the requested paths."""

    def __init__(self, read: Callable[[], httpx.Response]) -> None:
        self.read, self.paths = read, []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path.rpartition("/")[2])
        if self.paths[-1] == "read":
            return self.read()
        entry = {"metric": {}, "values": [[WINDOW.start_s + WINDOW.step_s - 0.001, "2"]]}
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": [entry]}})


def series(server: Server, *, read: str = "auto", times: int = 1) -> list[GridSeries]:
    settings = PrometheusSettings("http://prometheus", read=read, backoff_s=0.0)
    with PrometheusClient(settings, transport=httpx.MockTransport(server)) as client:
        reader = PrometheusSeries(client)
        return [one for _ in range(times) for one in reader.series(SELECTIONS, WINDOW)]


def test_remote_read_is_used_if_it_is_offered():
    names = iter("ab")
    server = Server(lambda: chunks(next(names)))
    assert [(one.labels["__name__"], one.values[0]) for one in series(server)] == [("a", 1.0), ("b", 1.0)]
    assert server.paths == ["read", "read"]


NOT_OFFERED = {
    "Thanos Query": (404, b"404 page not found\n", "text/plain"),
    "a gateway": (405, b"", "text/plain"),
    "another gateway": (501, b"", "text/plain"),
    "VictoriaMetrics": (400, b'unsupported path requested: "/api/v1/read"', "text/plain"),
    "an old Prometheus": (400, b"server does not support any of the requested response types", "text/plain"),
    "Cortex": (200, b"\x00", "application/x-protobuf"),
}


@pytest.mark.parametrize("who", NOT_OFFERED)
def test_without_remote_read_ranges_are_queried_and_it_is_not_tried_again(who):
    status, content, kind = NOT_OFFERED[who]
    server = Server(lambda: httpx.Response(status, content=content, headers={"Content-Type": kind}))
    found = series(server, times=2)
    assert [(one.labels["__name__"], one.values[0]) for one in found] == [("a", 2.0), ("b", 2.0)] * 2
    assert server.paths == ["read", *["query_range"] * 4]


def test_a_load_balancer_with_two_kinds_of_servers_returns_each_series_once():
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
def test_any_other_error_is_raised_without_trying_ranges(name):
    answer, says = ERRORS[name]
    server = Server(answer)
    with pytest.raises(SourceError, match=says):
        series(server)
    assert set(server.paths) == {"read"}


def test_a_server_that_cannot_be_reached_is_an_error():
    def read() -> httpx.Response:
        raise httpx.ConnectError("refused")

    server = Server(read)
    with pytest.raises(SourceError, match=r"cannot reach Prometheus at .*: refused"):
        series(server)
    assert set(server.paths) == {"read"}


def test_either_api_can_be_forced():
    server = Server(lambda: httpx.Response(404))
    with pytest.raises(
        NotOffered, match=r"does not offer streamed remote read: 404.*prometheus\.read to auto or query-range"
    ):
        series(server, read="remote-read")
    assert server.paths == ["read"]
    server = Server(lambda: chunks("a"))
    assert [one.values[0] for one in series(server, read="query-range")] == [2.0, 2.0]
    assert server.paths == ["query_range"] * 2
