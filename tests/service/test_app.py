"""The service over real HTTP and in a real browser."""

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client.core import GaugeMetricFamily

from gpuwise.finops import Period, compile_report
from gpuwise.model.codec import from_json
from gpuwise.model.errors import InputError, LedgerError
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Inventory, Node, WorkloadRef
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.report import BudgetStatus, CostAnomaly, WeeklyReport
from gpuwise.service.app import create_app
from gpuwise.service.auth import admits, token_for
from gpuwise.service.pass_requests import PassRequests

MONDAY = 1_794_787_200
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a-long-token"
PATHS = [f"/api/v1/{name}" for name in ("report", "recommendations", "holds", "budgets", "anomalies")]


@pytest.fixture
def report() -> WeeklyReport:
    nodes = {"h0": Node("h0", named("H100-80GB"), "H100", 8, {}, CapacityType.ON_DEMAND, None)}
    prices = PriceBook({("H100-80GB", CapacityType.ON_DEMAND): 6.88}, "test prices")
    now_s = MONDAY + 7 * 86_400
    period = Period(Inventory(now_s, nodes, (), {}), {}, prices, MONDAY, now_s, now_s)
    blocked = Blocked(
        WorkloadRef("apps", "Deployment", "<b>web</b>", "u"), "idle", Reason.INSUFFICIENT_DATA, "too young"
    )
    return compile_report(period, name="2026-W47", recommendations=[], blocked=[blocked], actions=[], cluster="test")


class OneGauge:
    """A collector with one series."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("gpuwise_idle_dollars", "Idle money.", value=12.5)


@contextmanager
def served(latest, *, token: str | None = None, trouble=lambda: None, **more) -> Iterator[str]:
    """A real server on a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = create_app(latest, token=token, collectors=[OneGauge()], trouble=trouble, **more)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=300)
    assert not thread.is_alive()


def test_the_page_and_the_api_show_the_latest_report(report):
    newest = [report]
    with served(lambda: newest[0]) as address, httpx.Client(base_url=address) as client:
        assert "No GPU was measured in 2026-W47" in client.get("/").text
        assert from_json(WeeklyReport, client.get("/api/v1/report").content) == report
        assert client.get("/api/v1/recommendations").json() == []
        assert client.get("/api/v1/holds").json()[0]["reason"] == "InsufficientData"
        newest[0] = dataclasses.replace(report, cluster="second")
        assert client.get("/api/v1/report").json()["cluster"] == "second"
        assert "&lt;b&gt;web&lt;/b&gt;" in client.get("/").text


def test_before_the_first_run_the_service_lives_but_is_not_ready():
    with served(lambda: None) as address, httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert "No run yet" in client.get("/").text
        for path in PATHS:
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.json()["hint"]


def test_liveness_follows_the_loop(report):
    why: list[str | None] = [None]
    with served(lambda: report, trouble=lambda: why[0]) as address, httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        why[0] = "the loop has ended"
        answer = client.get("/healthz")
        assert (answer.status_code, answer.text) == (503, "the loop has ended\n")
        assert client.get("/readyz").status_code == 200


def test_the_api_schema_is_served_and_nothing_is_loaded_from_other_hosts(report):
    with served(lambda: report, requests=PassRequests(300)) as address, httpx.Client(base_url=address) as client:
        described = client.get("/api/v1/openapi.json").json()
        paths = {*PATHS, "/api/v1/alerts"}
        assert set(described["paths"]) == paths
        assert {name for name, methods in described["paths"].items() if "post" in methods} == {"/api/v1/alerts"}
        assert client.get("/docs").status_code == 404


def test_the_cost_is_served_with_its_keys_and_mistakes_have_a_hint(report):
    asked = []

    def cost(*words):
        asked.append(words)
        if words[0] == "squad":
            raise InputError("the cost cannot be allocated by 'squad'", hint="name keys")
        if words[1] == "week":
            raise LedgerError("the database is locked", hint="try again")
        return '{"lines": []}'

    with served(lambda: report, cost=cost) as address, httpx.Client(base_url=address) as client:
        assert client.get("/api/v1/cost").json() == {"lines": []}
        wrong = client.get("/api/v1/cost?by=squad")
        assert (wrong.status_code, wrong.json()["hint"]) == (422, "name keys")
        assert client.get("/api/v1/cost?by=team,phase&window=week&spread=even").status_code == 503
        assert "/api/v1/cost" in client.get("/").text
        assert client.post("/api/v1/cost").status_code == 405
    assert asked == [("team", "month", "none"), ("squad", "month", "none"), ("team,phase", "week", "even")]


def test_budgets_and_lasting_changes_are_those_of_the_report(report):
    budget = BudgetStatus("b", "team ml", "2026-11", 9.0, 5.0, 0, 1.0, 9.0, 8.0, 9.5, "", None, "risk", clusters=2)
    step = CostAnomaly("team <b>", 0, 1.0, 2.0, 30.0, "more GPU time", None, "", 1.0)
    shown = dataclasses.replace(report, budgets=(budget,), anomalies=(step,))
    with served(lambda: shown) as address, httpx.Client(base_url=address) as client:
        assert from_json(tuple[BudgetStatus, ...], client.get("/api/v1/budgets").content) == (budget,)
        assert from_json(tuple[CostAnomaly, ...], client.get("/api/v1/anomalies").content) == (step,)
        page = client.get("/").text
        assert "team ml in 2 clusters" in page
        assert "team &lt;b&gt;" in page


def test_metrics_expose_the_given_collectors_and_no_others(report):
    with served(lambda: report) as address:
        text = httpx.get(f"{address}/metrics").text
    assert "gpuwise_idle_dollars 12.5" in text
    assert "python_info" not in text


def test_without_the_token_only_the_probes_are_served(report):
    with served(lambda: report, token=TOKEN) as address, httpx.Client(base_url=address) as client:
        for path in ("/", *PATHS, "/api/v1/cost", "/api/v1/openapi.json", "/metrics", "/nowhere"):
            answer = client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert "2026-W47" not in answer.text
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/", auth=("anyone", TOKEN)).status_code == 200
        assert client.get("/", auth=(TOKEN, "anyone")).status_code == 401


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer a-long-toke", "Basic !!!", "Basic //8=", "Token a-long-token", TOKEN],
)
def test_a_wrong_token_is_rejected(header):
    assert not admits(TOKEN, header)


def test_a_token_may_contain_a_colon():
    import base64

    assert admits("a:b", "Basic " + base64.b64encode(b"me:a:b").decode())
    assert admits("a:b", "bearer a:b")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_token(host):
    assert token_for(host, None) is None
    assert token_for(host, "") is None
    assert token_for(host, "t") == "t"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gpuwise.example", ""])
def test_other_addresses_need_a_token(host):
    with pytest.raises(InputError, match="token"):
        token_for(host, None)
    assert token_for(host, "t") == "t"


@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_response_has_the_security_headers(report, token):
    with served(lambda: report, token=token) as address, httpx.Client(base_url=address) as client:
        for path in ("/", "/api/v1/report", "/nowhere", "/healthz"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "script" not in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_write_methods_are_not_allowed(report, method):
    with served(lambda: report) as address, httpx.Client(base_url=address) as client:
        for path in ("/", *PATHS):
            assert client.request(method, path).status_code == 405


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium: apt-get install chromium")
def test_a_browser_shows_the_page_with_its_style_and_logs_no_errors(report):
    from playwright.sync_api import sync_playwright

    newest = [None]
    with served(lambda: newest[0], token=TOKEN) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for shown in (None, report):
            newest[0] = shown
            for width in (1280, 390):
                context = browser.new_context(
                    viewport={"width": width, "height": 844}, http_credentials={"username": "me", "password": TOKEN}
                )
                page = context.new_page()
                logged = []
                page.on("console", lambda message, logged=logged: logged.append(message.text))
                page.on("pageerror", lambda error, logged=logged: logged.append(str(error)))
                page.goto(address)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                # The policy admits the style by its hash; without it the page would use the browser's serif font.
                assert "system-ui" in page.evaluate("getComputedStyle(document.body).fontFamily")
                assert page.locator("nav a").count() == 7
                assert [text for text in logged if "401" not in text] == []
                context.close()
        browser.close()
