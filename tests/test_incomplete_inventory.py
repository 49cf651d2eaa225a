"""I4: the loop in mode enforce, on a cluster that does not answer every list completely, changes nothing."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpuwise.config import Config, load
from gpuwise.emulate.objects import deployment
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.errors import ClusterError
from gpuwise.sources.kubernetes.listings import COLLECTIONS, OPTIONAL_COLLECTIONS, VOLUME_COLLECTIONS
from gpuwise.wiring import loop
from tests.api_requests import changes, effects
from tests.e2e.fleets import NOW_S, recorded

DAYS = 8
LISTS = COLLECTIONS | OPTIONAL_COLLECTIONS
pytestmark = pytest.mark.emulator_only(reason="the pods of the recording started 8 days ago")


@pytest.fixture(scope="module")
def fleet(start_cluster, tmp_path_factory):
    """An idle Deployment that the loop stops if it may; no test of this fleet lets it."""
    folder = tmp_path_factory.mktemp("fleet")
    with recorded(start_cluster, [deployment("forgotten", namespace="prod")], folder, days=DAYS) as (
        cluster,
        recording,
    ):
        yield cluster, recording, cluster.write_kubeconfig(folder / "kubeconfig")


@pytest.fixture
def cluster(fleet):
    fleet[0].forget()
    return fleet[0]


def configured(fleet, tmp_path: Path, kubeconfig: Path | None = None) -> Config:
    _, recording, own = fleet
    flags = {
        "recording": str(recording),
        "kubernetes.kubeconfig": str(kubeconfig or own),
        "ledger.path": str(tmp_path / "ledger.db"),
        "observe.look_back_h": DAYS * 24,
        "policy.mode": "enforce",
    }
    return load(None, {}, flags)


def assert_nothing_was_done(cluster, tmp_path: Path) -> None:
    assert [one for one in cluster.requests if changes(one)] == []
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        assert ledger.intents() == []


def test_with_every_list_the_loop_changes_the_fleet(start_cluster, tmp_path):
    """Without a failure the same pass stops the Deployment: the tests below can fail."""
    idle = [deployment("forgotten", namespace="prod")]
    with recorded(start_cluster, idle, tmp_path, days=DAYS) as (cluster, recording):
        found = (cluster, recording, cluster.write_kubeconfig(tmp_path / "kubeconfig"))
        with loop(configured(found, tmp_path), writing=True, at_s=NOW_S) as pipeline:
            outcomes = pipeline.run_once(NOW_S).outcomes
        assert [one.status for one in outcomes] == [OutcomeStatus.APPLIED]
        assert [one.path.rpartition("/")[2] for one in cluster.requests if effects(one)] == ["forgotten"]


def test_without_the_rights_to_list_volumes_the_loop_still_changes_the_fleet(start_cluster, tmp_path):
    """Volumes only restrict where pods may move: an installation of an earlier version lacks these two rights."""
    idle = [deployment("forgotten", namespace="prod")]
    with recorded(start_cluster, idle, tmp_path, days=DAYS) as (cluster, recording):
        for path in VOLUME_COLLECTIONS.values():
            cluster.fail(403, verb="list", path=f"^{path}$", times=100)
        found = (cluster, recording, cluster.write_kubeconfig(tmp_path / "kubeconfig"))
        with loop(configured(found, tmp_path), writing=True, at_s=NOW_S) as pipeline:
            outcomes = pipeline.run_once(NOW_S).outcomes
        assert [one.status for one in outcomes] == [OutcomeStatus.APPLIED]


@pytest.mark.parametrize("kind", VOLUME_COLLECTIONS)
def test_i4_a_list_of_volumes_that_is_not_complete_changes_nothing(fleet, cluster, tmp_path, kind):
    cluster.fail(400, verb="list", path=f"^{VOLUME_COLLECTIONS[kind]}$", times=100)
    with loop(configured(fleet, tmp_path), writing=True, at_s=NOW_S) as pipeline, pytest.raises(ClusterError):
        pipeline.run_once(NOW_S)
    assert_nothing_was_done(cluster, tmp_path)


@pytest.mark.parametrize("kind", LISTS)
def test_i4_without_the_right_to_list_one_kind_nothing_is_changed(fleet, cluster, tmp_path, kind):
    cluster.fail(403, verb="list", path=f"^{LISTS[kind]}$", times=100)
    with loop(configured(fleet, tmp_path), writing=True, at_s=NOW_S) as pipeline, pytest.raises(ClusterError):
        pipeline.run_once(NOW_S)
    assert_nothing_was_done(cluster, tmp_path)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_i4_without_a_list_that_every_cluster_serves_nothing_is_changed(fleet, cluster, tmp_path, kind):
    cluster.fail(404, verb="list", path=f"^{LISTS[kind]}$", times=100)
    with loop(configured(fleet, tmp_path), writing=True, at_s=NOW_S) as pipeline, pytest.raises(ClusterError):
        pipeline.run_once(NOW_S)
    assert_nothing_was_done(cluster, tmp_path)


@pytest.mark.parametrize("path", ["/pods", "/poddisruptionbudgets", "/horizontalpodautoscalers", "/scaledobjects"])
def test_i4_a_list_that_fails_in_one_namespace_before_the_effect_blocks_it(fleet, cluster, tmp_path, path):
    """The fleet was listed completely; what is read again for the target is refused in its namespace."""
    cluster.fail(403, verb="list", path=f"/namespaces/prod{path}$", times=100)
    with loop(configured(fleet, tmp_path), writing=True, at_s=NOW_S) as pipeline:
        run = pipeline.run_once(NOW_S)
    assert run.outcomes == ()
    assert [one.reason.value for one in run.decision.blocked] == ["RefusedByCluster"]
    assert [one for one in cluster.requests if effects(one)] == []


def test_i4_a_fleet_that_cannot_be_read_again_after_a_long_pass_is_not_changed(fleet, cluster, tmp_path):
    """Scoring took longer than the inventory's greatest age: the fleet is read again, and one list fails then."""
    cluster.fail(403, verb="list", path="^/api/v1/nodes$", after=1, times=100)
    with loop(configured(fleet, tmp_path), writing=True, at_s=NOW_S) as pipeline:
        late = replace(pipeline, clock=lambda: NOW_S + pipeline.settings.policy.max_inventory_age_s + 1)
        with pytest.raises(ClusterError, match="/api/v1/nodes"):
            late.run_once(NOW_S)
    assert_nothing_was_done(cluster, tmp_path)


def cut(body: bytes) -> bytes:
    return body[: len(body) - 2]


def without_items(_: bytes) -> bytes:
    return b'{"kind": "List", "metadata": {}}'


def a_status(_: bytes) -> bytes:
    return json.dumps({"kind": "Status", "status": "Failure", "message": "etcdserver: request timed out"}).encode()


@contextmanager
def answering_badly(cluster, path: str, spoil) -> Iterator[str]:
    """A proxy that spoils the lists of one collection, with status 200.

    Args:
        cluster: the server.
        path: of the collection.
        spoil: makes the body that is sent from the server's.
    """

    class Proxy(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key: self.headers[key] for key in ("Authorization", "Content-Type") if key in self.headers}
            request = urllib.request.Request(cluster.url + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    status, found = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, found = error.code, error.read()
            found = spoil(found) if self.path.partition("?")[0] == path else found
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        do_GET = do_POST = do_PATCH = _forward  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("spoil", [cut, without_items, a_status])
@pytest.mark.parametrize("kind", ["Node", "Pod", "PodDisruptionBudget", "ScaledObject", "ResourceClaim"])
def test_i4_a_page_that_is_not_complete_changes_nothing(fleet, cluster, tmp_path, kind, spoil):
    with answering_badly(cluster, LISTS[kind], spoil) as url:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(fleet[2].read_text().replace(cluster.url, url))
        config = configured(fleet, tmp_path, kubeconfig)
        with loop(config, writing=True, at_s=NOW_S) as pipeline, pytest.raises(ClusterError):
            pipeline.run_once(NOW_S)
    assert_nothing_was_done(cluster, tmp_path)
