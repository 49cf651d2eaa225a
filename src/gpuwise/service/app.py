"""Serve the page, the JSON API and the metrics over HTTP.

No endpoint writes to the cluster. `POST /api/v1/alerts` only asks for a pass of the loop, which decides by policy.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from gpuwise.model.codec import to_json
from gpuwise.model.command import Trigger
from gpuwise.model.errors import GpuwiseError
from gpuwise.model.report import WeeklyReport
from gpuwise.report import render_html, render_waiting, stylesheet
from gpuwise.service.alerts import receive_alerts
from gpuwise.service.auth import admits
from gpuwise.service.pass_requests import PassRequests
from gpuwise.service.spending import CostDocument, serve_spending

_COST = "/api/v1/cost"
_NAV = (
    ("Report", "/"),
    ("JSON", "/api/v1/report"),
    ("Recommendations", "/api/v1/recommendations"),
    ("Blocked", "/api/v1/holds"),
    ("Cost", _COST),
    ("Budgets", "/api/v1/budgets"),
    ("Changes of cost", "/api/v1/anomalies"),
    ("Metrics", "/metrics"),
)
_PUBLIC = frozenset({"/healthz", "/readyz"})
"""Kubelet probes send no credentials, and these paths return nothing confidential."""


class NotYet(GpuwiseError):
    """No run has finished since the service started."""


def create_app(
    latest: Callable[[], WeeklyReport | None],
    *,
    token: str | None,
    collectors: Sequence[Collector] = (),
    trouble: Callable[[], str | None] = lambda: None,
    triggered: Callable[[], Sequence[Trigger]] = tuple,
    requests: PassRequests | None = None,
    cost: CostDocument | None = None,
) -> FastAPI:
    """Build the service.

    Args:
        latest: returns the latest report, None before the first run.
        token: token that clients must send; None admits everybody, see `auth.token_for`.
        collectors: collectors that `/metrics` exposes.
        trouble: returns why the process should be restarted, None while it is healthy.
        triggered: returns the passes that alerts asked for, oldest first.
        requests: where alerts ask for a pass; None without a loop, so that they cannot.
        cost: computes the cost by keys; None without a cost history.
    """
    # FastAPI's documentation pages load scripts from a CDN, so they are off.
    app = FastAPI(title="gpuwise", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    _guard(app, token)
    _pages(app, latest, [link for link in _NAV if cost is not None or link[1] != _COST])
    _api(app, latest, cost)
    if requests is not None:
        receive_alerts(app, requests, triggered)
    _operations(app, latest, registry, trouble)
    return app


def _guard(app: FastAPI, token: str | None) -> None:
    style = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        allowed = token is None or request.url.path in _PUBLIC or admits(token, request.headers.get("Authorization"))
        response = await call_next(request) if allowed else _unauthorized()
        response.headers.update(headers)
        return response

    @app.exception_handler(NotYet)
    async def not_yet(_: Request, error: NotYet) -> JSONResponse:
        return JSONResponse({"problem": error.problem, "hint": error.hint}, status_code=503)


def _unauthorized() -> Response:
    body = {"problem": "a token is required", "hint": "send it as a Bearer token, or as the password of any user"}
    return JSONResponse(body, status_code=401, headers={"WWW-Authenticate": 'Basic realm="gpuwise"'})


def _pages(app: FastAPI, latest: Callable[[], WeeklyReport | None], nav: Sequence[tuple[str, str]]) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        report = latest()
        return render_waiting(nav=nav) if report is None else render_html(report, nav=nav)


def _api(app: FastAPI, latest: Callable[[], WeeklyReport | None], cost: CostDocument | None) -> None:
    def newest() -> WeeklyReport:
        report = latest()
        if report is None:
            raise NotYet("no run has finished yet", hint="wait for the first run, or run `gpuwise scan`")
        return report

    @app.get("/api/v1/report")
    def report() -> Response:
        """The latest weekly report."""
        return _json(newest())

    @app.get("/api/v1/recommendations")
    def recommendations() -> Response:
        """Open recommendations, the largest saving first."""
        return _json(newest().recommendations)

    @app.get("/api/v1/holds")
    def blocked() -> Response:
        """Changes that were blocked, and why."""
        return _json(newest().blocked)

    serve_spending(app, newest, cost)


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")


def _operations(
    app: FastAPI,
    latest: Callable[[], WeeklyReport | None],
    registry: CollectorRegistry,
    trouble: Callable[[], str | None],
) -> None:
    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        why = trouble()
        return PlainTextResponse("ok\n" if why is None else f"{why}\n", status_code=200 if why is None else 503)

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> PlainTextResponse:
        ready = latest() is not None
        return PlainTextResponse("ok\n" if ready else "no report yet\n", status_code=200 if ready else 503)
