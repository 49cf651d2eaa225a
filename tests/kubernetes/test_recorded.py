"""The client, the inventory and the enactor against recorded answers of a real API server, not the emulator's."""

import pytest
from tests.enact.conftest import MemoryLedger
from tests.kubernetes.replay_server import ReplayServer

from gpuwise.cluster import KubernetesCluster
from gpuwise.enact import EnactSettings, KubernetesEnactor
from gpuwise.enact.images import pointer
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Mode, OutcomeStatus
from gpuwise.model.errors import Conflict, Denied, Forbidden, Gone
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.labels import ACTION_ID, WAKE
from gpuwise.model.ports import Access
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, inventory_of
from gpuwise.sources.kubernetes.listings import OPTIONAL_COLLECTIONS, VOLUME_COLLECTIONS

JSON_PATCH = "application/json-patch+json"
NOW_S = 1_795_000_000
NOT_FOUND = (404, "404 page not found\n")
EMPTY = (200, {"metadata": {}, "items": []})


@pytest.fixture
def replay(tmp_path, traces):
    """Serve a scenario, and connect to it as one of its users."""
    opened = []

    def start(scenario, *, user="admin", **stand_in):
        path = traces / "kubernetes_wire" / f"{scenario}.json.gz"
        server = ReplayServer(path, **stand_in)
        server.__enter__()
        kubeconfig = server.write_kubeconfig(tmp_path / "config", user=user)
        cluster = KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.0)
        opened.append((server, cluster))
        return server, cluster

    yield start
    for server, cluster in opened:
        cluster.close()
        server.__exit__(None, None, None)


class Labelled:
    """Lists only the objects of the recording, by its label; optional kinds as they are.

    Resource claims, volumes and some kinds were not listed when the recording was made.
    """

    def __init__(self, cluster, recorded):
        self._cluster = cluster
        self._paths = {OPTIONAL_COLLECTIONS[kind] for kind in recorded}

    def list(self, path, **_):
        if path in VOLUME_COLLECTIONS.values():
            return []
        return self._cluster.list(path, label_selector="wire=lists")

    def list_optional(self, path, **_):
        return self._cluster.list_optional(path) if path in self._paths else []


class TestInventory:
    def test_a_cluster_without_any_operator(self, replay):
        """Every optional kind is answered with 404 in plain text; no 404 may become an error that blocks everything."""
        server, cluster = replay("product_lists")
        absent = [kind for kind in OPTIONAL_COLLECTIONS if f"absent-{kind}" in server.exchanges]
        assert len(absent) >= 9
        fleet = KubernetesInventory(Labelled(cluster, absent)).snapshot(NOW_S)
        assert fleet.unread == ()
        assert {str(one.ref): (one.replicas, one.request) for one in fleet.workloads} == {
            "wire-product-lists/Deployment/web": (2, GpuRequest("nvidia.com/gpu", 1)),
            "wire-product-lists/StatefulSet/db": (1, GpuRequest("nvidia.com/gpu", 1)),
            "wire-product-lists/Job/train": (1, GpuRequest("nvidia.com/gpu", 2)),
        }
        web = next(one for one in fleet.workloads if one.ref.name == "web")
        assert web.managed_by == ("HorizontalPodAutoscaler/web",)
        assert web.disruptions_allowed is not None
        assert [(pod.node, pod.phase, pod.ready) for pod in web.pods] == [("wire-lists-a", "Running", True)] * 2
        assert fleet.nodes["wire-lists-a"].gpu_count == 8
        assert [one for one in server.answered if one.startswith("absent-")] == [f"absent-{kind}" for kind in absent]

    @pytest.mark.parametrize(
        ("exchange", "count"),
        [
            ("d-gpu-3000", 1),  # HAMi's gpumem, which the server returns as 3k: memory, not devices
            ("d-gpu-number", 1000),  # the server returns 1k
            ("d-gpu-plus", 1),  # the server returns +1
            ("d-gpu-12345", 12345),
            ("d-gpu-1Ki", 1024),
        ],
    )
    def test_quantities_as_the_server_returns_them(self, replay, exchange, count):
        server, _ = replay("quantities")
        answer = server.response(exchange)["body"]
        made = {"name": "d", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "namespace": "n"}
        fleet = inventory_of({"Deployment": [answer | {"metadata": answer["metadata"] | made}]}, taken_s=NOW_S)
        assert fleet.unread == ()
        [workload] = fleet.workloads
        assert workload.request == GpuRequest("nvidia.com/gpu", count)

    def test_every_quantity_that_the_server_accepts_is_read(self, replay):
        server, _ = replay("quantities")
        names = [one for one in server.exchanges if one.startswith("d-")]
        answers = [server.response(one) for one in names]
        made = {"name": "d", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "namespace": "n"}
        kept = [one["body"] for one in answers if one["status"] == 201 and one["body"]["kind"] == "Deployment"]
        assert len(kept) > 20
        for item in kept:
            fleet = inventory_of({"Deployment": [item | {"metadata": item["metadata"] | made}]}, taken_s=NOW_S)
            assert fleet.unread == ()


class TestClient:
    def test_a_missing_object_and_a_missing_kind_are_both_gone(self, replay):
        server, cluster = replay("not_found")
        for exchange in ("group", "group-version", "group-keda", "path", "custom-metrics"):
            with pytest.raises(Gone):
                cluster.get(server.request(exchange)["path"])

    def test_missing_permissions(self, replay):
        server, cluster = replay("forbidden", user="nobody")
        for exchange in ("list", "get", "get-node", "unknown-group", "crd-group"):
            with pytest.raises(Forbidden, match="cannot"):
                cluster.get(server.request(exchange)["path"])

    def test_an_unknown_token(self, replay):
        server, cluster = replay("unauthenticated", user="bad")
        with pytest.raises(Forbidden, match="401"):
            cluster.get(server.request("bad-nodes")["path"])

    @pytest.mark.parametrize("exchange", ["deny", "deny-no-message", "deny-reason", "expression-fails"])
    def test_a_denial_contains_the_policys_message(self, replay, exchange):
        server, cluster = replay("admission_policy")
        asked = server.request(exchange)
        with pytest.raises(Denied) as refused:
            cluster._request(
                "PATCH",
                asked["path"].partition("?")[0],
                dict(part.split("=") for part in asked["path"].partition("?")[2].split("&")),
                body=asked["body"],
                content_type=asked["headers"]["content-type"],
            )
        assert server.response(exchange)["body"]["message"] in str(refused.value)

    def test_pod_security_is_a_denial_too(self, replay):
        server, cluster = replay("pod_security")
        asked = server.request("enforce")
        with pytest.raises(Denied, match="violates PodSecurity"):
            cluster._request("POST", asked["path"], body=asked["body"], content_type="application/json")

    def test_failed_preconditions_are_conflicts(self, replay):
        """409 for an old version, 422 for another uid."""
        server, cluster = replay("enactor_deployment")
        server.skip_to("stale-version")
        for exchange in ("stale-version", "other-uid", "other-uid-and-stale", "version-future"):
            asked = server.request(exchange)
            with pytest.raises(Conflict):
                cluster.patch(asked["path"].partition("?")[0], asked["body"], content_type=JSON_PATCH)


class WithoutWake:
    """Keeps the annotation that starts an object again to itself: the recording was made before it existed."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._kept = {}

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def patch(self, path, body, **more):
        at = pointer("metadata", "annotations", WAKE)
        (kept,) = [one["value"] for one in body if one["path"] == at]
        self._kept = {WAKE: kept}
        return self._cluster.patch(path, [one for one in body if one["path"] != at], **more)

    def get(self, path):
        item = self._cluster.get(path)
        if ACTION_ID in (item["metadata"].get("annotations") or {}):
            item["metadata"]["annotations"] |= self._kept
        return item


class TestEnactor:
    def test_the_patch_that_stops_a_deployment_is_accepted_by_a_real_server(self, replay):
        """The guard's reads are stand-ins; the target, the patch and the read-back come from the recording."""
        space = "wire-enactor-deployment"
        guard = {
            f"GET /api/v1/namespaces/{space}": (200, {"metadata": {"name": space}}),
            f"GET /api/v1/namespaces/{space}/pods?limit=500&labelSelector=app%3Dd": EMPTY,
            f"GET /apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers?limit=500": EMPTY,
            f"GET /apis/keda.sh/v1alpha1/namespaces/{space}/scaledobjects?limit=500": NOT_FOUND,
            f"GET /apis/argoproj.io/v1alpha1/namespaces/{space}/rollouts?limit=500": NOT_FOUND,
            f"GET /apis/policy/v1/namespaces/{space}/poddisruptionbudgets?limit=500": EMPTY,
            "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (201, {"status": {"allowed": True}}),
        }
        server, cluster = replay("enactor_deployment", stand_in=guard)
        uid = server.response("read")["body"]["metadata"]["uid"]
        command = Command("a1", "r-1", WorkloadRef(space, "Deployment", "d", uid), ScaleTo(0), "policy")
        ledger = MemoryLedger()
        settings = EnactSettings(default_mode=Mode.ENFORCE, settle_timeout_s=0.0)
        [outcome] = KubernetesEnactor(WithoutWake(cluster), ledger, settings, lambda: NOW_S).enact([command])
        assert (outcome.status, outcome.reason) == (OutcomeStatus.APPLIED, None), outcome
        assert [one for one in server.answered if not one.startswith("stand-in")] == ["read", "shrink", "read-back"]

    def test_permission_reviews_match_the_recording(self, replay):
        server, cluster = replay("reviews", user="reader")
        asked = server.request("reader-patch")["body"]["spec"]["resourceAttributes"]
        assert cluster.may(Access(**asked)) is False
        allowed = server.request("unknown-resource")["body"]["spec"]["resourceAttributes"]
        assert cluster.may(Access(**allowed)) is True
        assert server.answered == ["reader-patch", "unknown-resource"]
