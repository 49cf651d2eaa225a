"""ReplayServer: recorded answers in their order, and mismatches that fail the test."""

import json
import urllib.error
import urllib.request

import pytest
from tests.kubernetes.replay_server import MISMATCH, ReplayServer

DEPLOYMENT = "/apis/apps/v1/namespaces/wire-enactor-deployment/deployments/d"


@pytest.fixture
def server(traces):
    folder = traces / "kubernetes_wire"
    if not folder.is_dir():
        pytest.skip(f"no recorded exchanges in {folder}")
    with ReplayServer(folder / "enactor_deployment.json.gz") as server:
        yield server
        server.mismatches.clear()  # the tests below cause them on purpose


def send(server, method, path, body=None, *, media="application/json-patch+json", user="admin"):
    headers = {"Authorization": server.fill(f"Bearer <token:{user}>"), "Content-Type": media}
    raw = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(server.url + path, raw, headers, method=method)  # loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def shrink(server):
    asked = server.request("shrink")
    return send(server, "PATCH", asked["path"], asked["body"])


def test_a_read_shows_only_the_writes_that_were_made(server):
    assert send(server, "GET", DEPLOYMENT)[1]["spec"]["replicas"] == 1
    assert send(server, "GET", DEPLOYMENT)[1]["spec"]["replicas"] == 1
    code, shrunk = shrink(server)
    assert (code, shrunk["spec"]["replicas"]) == (200, 0)
    assert send(server, "GET", DEPLOYMENT)[1]["metadata"]["annotations"]["gpuwise.dev/action-id"] == "a1"
    assert server.answered == ["read", "read", "shrink", "read-back"]


def test_placeholders_are_the_same_values_everywhere(server):
    _, before = send(server, "GET", DEPLOYMENT)
    assert server.fill("<uid:3>") == before["metadata"]["uid"]
    _, after = shrink(server)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_rejected_requests_may_come_in_any_order_within_their_span(server):
    shrink(server)
    for exchange, code in (("test-value-fails", 422), ("stale-version", 409), ("other-uid", 422)):
        asked = server.request(exchange)
        assert send(server, "PATCH", asked["path"], asked["body"])[0] == code


@pytest.mark.parametrize(
    "change",
    [
        {"path": DEPLOYMENT + "?fieldManager=other"},
        {"body": [{"op": "replace", "path": "/spec/replicas", "value": 0}]},
        {"media": "application/merge-patch+json"},
        {"user": "reader"},
        {"method": "PUT"},
    ],
)
def test_any_difference_is_a_mismatch(server, change):
    asked = server.request("shrink")
    plain = {key: asked[key] for key in ("method", "path", "body")}
    code, body = send(server, **(plain | change))
    assert (code, len(server.mismatches)) == (MISMATCH, 1)
    assert "does not contain" in body["message"]


def test_a_later_write_is_a_mismatch_until_the_earlier_one_was_made(server):
    asked = server.request("undo")
    assert send(server, "PATCH", asked["path"], asked["body"])[0] == MISMATCH
    assert "undo (in another span)" in server.mismatches[0]
    server.skip_to("undo")
    assert send(server, "PATCH", asked["path"], asked["body"])[0] == 200


def test_a_mismatch_fails_the_test_that_made_it(traces):
    if not (traces / "kubernetes_wire").is_dir():
        pytest.skip("no recorded exchanges")
    with (
        pytest.raises(AssertionError, match="does not contain GET /api/v1/secrets"),
        ReplayServer(traces / "kubernetes_wire/product_lists.json.gz") as server,
    ):
        assert send(server, "GET", "/api/v1/secrets")[0] == MISMATCH


def test_missing_answers_can_be_added(traces):
    if not (traces / "kubernetes_wire").is_dir():
        pytest.skip("no recorded exchanges")
    extra = {"GET /api/v1/secrets?limit=1": (200, {"items": []})}
    with ReplayServer(traces / "kubernetes_wire/product_lists.json.gz", stand_in=extra) as server:
        assert send(server, "GET", "/api/v1/secrets?limit=1") == (200, {"items": []})
