"""Servers in front of a Prometheus: transports that change or refuse some requests and forward the others."""

import json
from collections.abc import Callable

import httpx

from gpuwise.sources.prometheus.messages import MESSAGES

Rule = Callable[[httpx.Request], httpx.Response | None]


class Front(httpx.BaseTransport):
    """Answers with the first response of a rule, else forwards the request.

    Attributes:
        asked: path after /api/v1/, and form or parameters, of each request.
        refused: how many requests a rule answered.
    """

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.asked: list[tuple[str, httpx.QueryParams]] = []
        self.refused = 0
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((path_of(request), parameters_of(request)))
        for rule in self.rules:
            if (response := rule(request)) is not None:
                self.refused += 1
                return response
        return self._network.handle_request(request)

    def close(self) -> None:
        self._network.close()


def path_of(request: httpx.Request) -> str:
    return request.url.path.partition("/api/v1/")[2]


def parameters_of(request: httpx.Request) -> httpx.QueryParams:
    """The form of a query, or the parameters of another request; none for remote read."""
    if path_of(request).startswith("query"):
        return httpx.QueryParams(request.content.decode())
    return request.url.params


def span_s(request: httpx.Request) -> float | None:
    """The length of the time range that a request is about, None for an instant query."""
    if path_of(request) == "read":
        content = request.content
        (query,) = MESSAGES["ReadRequest"].FromString(content[content.index(b"\xfc") + 5 :]).queries
        return float(query.end_timestamp_ms - query.start_timestamp_ms) / 1000
    asked = parameters_of(request)
    return float(asked["end"]) - float(asked["start"]) if "start" in asked else None


def over(limit_s: float, status: int, body: str | bytes, *paths: str) -> Rule:
    """Refuse a request about more than a time; only of these paths, if some are given."""

    def rule(request: httpx.Request) -> httpx.Response | None:
        if paths and path_of(request) not in paths:
            return None
        span = span_s(request)
        return httpx.Response(status, content=body) if span is not None and span > limit_s else None

    return rule


def without(*paths: str, status: int = 404) -> Rule:
    """Refuse these paths."""
    return lambda request: httpx.Response(status, text="not found") if path_of(request) in paths else None


def error(text: str) -> str:
    return json.dumps({"status": "error", "errorType": "execution", "error": text})
