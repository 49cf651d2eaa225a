"""The proxy for a real server, tested with the emulator: what it logs and which failures it injects."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from tests.cluster_under_test import NAMESPACE, emulated
from tests.prometheus_server import poll
from tests.real_cluster.connection import MERGE, Connection, Watcher
from tests.real_cluster.fault_proxy import Caller, Fault, FaultProxy, verb_of

from gpuwise.emulate import READER_TOKEN
from gpuwise.emulate.objects import deployment

DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@pytest.fixture
def emulator():
    with emulated([deployment("llm", replicas=2)]) as emulator:
        yield emulator


@pytest.fixture
def connection(emulator, tmp_path):
    connection = Connection(str(emulator.write_kubeconfig(tmp_path / "config")))
    yield connection
    connection.close()


@pytest.fixture
def proxy(connection):
    users = {"a": Caller("admin", other=False, token=None), "r": Caller("reader", other=True, token=READER_TOKEN)}
    proxy = FaultProxy(connection, users)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def ask(proxy):
    """Send a request through the proxy; returns status and JSON."""
    with urllib3.PoolManager(retries=False) as pool:

        def send(method, path, body=None, *, token="a", content_type="application/json"):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
            answer = pool.request(method, proxy.url + path, headers=headers, body=body and json.dumps(body))
            return answer.status, answer.json() if answer.data else None

        yield send


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/nodes", "", "list"),
        ("GET", "/api/v1/nodes", "watch=true", "watch"),
        ("GET", "/api/v1/nodes/a", "", "get"),
        ("GET", "/api/v1/namespaces", "", "list"),
        ("GET", "/api/v1/namespaces/a", "", "get"),
        ("PATCH", "/api/v1/namespaces/a/status", "", "patch"),
        ("GET", "/api/v1/namespaces/a/pods", "limit=5", "list"),
        ("GET", "/apis/apps/v1/namespaces/a/deployments/b/scale", "", "get"),
        ("DELETE", "/api/v1/namespaces/a/pods", "", "deletecollection"),
        ("DELETE", "/api/v1/namespaces/a/pods/b", "", "delete"),
        ("PUT", "/api/v1/namespaces/a/pods/b", "", "update"),
        ("POST", "/api/v1/namespaces/a/pods/b/eviction", "", "create"),
        ("GET", "/version", "", "get"),
        ("GET", "/apis/apps/v1", "", "get"),
    ],
)
def test_the_rbac_verb_of_a_request(method, path, query, verb):
    assert verb_of(method, path, query) == verb


def test_it_logs_what_the_emulator_logs(emulator, proxy, ask):
    ask("GET", DEPLOYMENTS)
    ask("GET", f"{DEPLOYMENTS}/llm", token="r")
    ask("PATCH", f"{DEPLOYMENTS}/llm?dryRun=All", {"spec": {"replicas": 1}}, content_type=MERGE)
    ask("PATCH", f"{DEPLOYMENTS}/llm", {"spec": {"replicas": 1}}, content_type=MERGE, token="r")
    ask("DELETE", f"{DEPLOYMENTS}/nobody")

    def lines(log):
        return [(one.verb, one.path, one.user, one.dry_run, one.status) for one in log]

    assert lines(proxy.requests) == lines(emulator.requests)
    assert [one.status for one in proxy.requests] == [200, 200, 200, 403, 404]
    proxy.forget()
    assert proxy.requests == ()


def test_an_unknown_token_is_forwarded(ask):
    assert ask("GET", DEPLOYMENTS, token="somebody")[0] == 401


def test_failures_are_injected_as_requested(emulator, proxy, ask):
    proxy.inject(Fault(503, "list", "/deployments$", times=2, after=1, done=False, headers={"Retry-After": "1"}))
    assert [ask("GET", DEPLOYMENTS)[0] for _ in range(4)] == [200, 503, 503, 200]
    assert [one.status for one in emulator.requests] == [200, 200]


def test_a_response_can_be_lost_after_the_request_took_effect(proxy, ask):
    proxy.inject(Fault(503, "patch", "", times=1, after=0, done=True, headers={}))
    status, answer = ask("PATCH", f"{DEPLOYMENTS}/llm", {"spec": {"replicas": 1}}, content_type=MERGE)
    assert (status, answer["reason"]) == (503, "ServiceUnavailable")
    assert ask("GET", f"{DEPLOYMENTS}/llm")[1]["spec"]["replicas"] == 1


def test_a_watch_is_streamed_event_by_event(proxy, ask):
    with urllib3.PoolManager() as pool, ThreadPoolExecutor(1) as others:
        path = f"{DEPLOYMENTS}?watch=true&timeoutSeconds=20"
        answer = pool.request("GET", proxy.url + path, headers={"Authorization": "Bearer a"}, preload_content=False)
        events = answer.stream()
        assert b'"ADDED"' in next(events)
        seen = others.submit(next, events)
        ask("PATCH", f"{DEPLOYMENTS}/llm", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
        assert b'"MODIFIED"' in seen.result(timeout=15)
        answer.close()


def test_a_watcher_reports_existing_and_changed_objects(emulator, connection):
    seen = []
    watcher = Watcher(connection, DEPLOYMENTS, lambda item: seen.append(item["metadata"]["name"]))
    watcher.start()
    poll(lambda: seen == ["llm"], what="the existing object")
    emulator.load(deployment("late"))
    poll(lambda: "late" in seen, what="the new object")
    watcher.stop()
    assert watcher.failure is None
