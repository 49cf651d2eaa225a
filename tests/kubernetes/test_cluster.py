"""KubernetesCluster: a list is complete or an error, and errors name their remedy."""

import json
import socket
from contextlib import contextmanager

import pytest
import yaml
from kubernetes import client
from tests.cluster_under_test import NAMESPACE
from tests.http_server import answering

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate import READER_TOKEN
from gpuwise.emulate.objects import deployment, node
from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, Gone, InputError, Throttled

MERGE = "application/merge-patch+json"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llm"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


FORBIDDEN = json.dumps(
    {
        "kind": "Status",
        "message": 'scaledobjects.keda.sh is forbidden: User "u" cannot list resource "scaledobjects" in API group '
        '"keda.sh" at the cluster scope',
    }
).encode()
PAGE_1 = json.dumps({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}).encode()
PAGE_2 = json.dumps({"items": [{"metadata": {"name": "b"}}], "metadata": {}}).encode()
# Messages of a real server: a ValidatingAdmissionPolicy (422), Pod Security, a webhook, a quota.
DENIALS = (
    "deployments.apps \"held\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not zero",
    'admission webhook "deny.example" denied the request: no scaling here',
)


@contextmanager
def plain(url):
    """A client of a plain HTTP server."""
    settings = client.Configuration()
    settings.host, settings.retries = url, False
    with KubernetesCluster(client.ApiClient(settings), wait_budget_s=1.0) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def api(start_cluster):
    with start_cluster() as api:
        yield api


@pytest.fixture
def kubeconfig(api, tmp_path):
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}} for number in range(1201)]
    api.reset([node("gpu-0"), deployment("llm", replicas=2), *maps])
    return api.write_kubeconfig(tmp_path / "config")


@pytest.fixture
def cluster(kubeconfig):
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=1.5) as cluster:
        yield cluster


def maps_of(cluster):
    """How many of the fixture's ConfigMaps are listed; a real server has some of its own in each namespace."""
    return len({item["metadata"]["name"] for item in cluster.list(MAPS)} & {f"c{number}" for number in range(1201)})


class TestList:
    def test_page_by_page(self, api, cluster):
        assert maps_of(cluster) == 1201
        assert [one.verb for one in api.requests] == ["list"] * 3

    def test_selectors(self, cluster):
        assert len(cluster.list("/api/v1/pods", label_selector="app=llm")) == 2
        assert cluster.list("/api/v1/pods", field_selector="spec.nodeName=other") == []

    @pytest.mark.parametrize("after", [0, 1, 2])
    @pytest.mark.parametrize("code", [403, 404, 429, 500, 503])
    def test_incident_argo_cd_18480_one_failed_page_fails_the_list(self, api, cluster, code, after):
        """I4: an error never becomes an empty or a shorter list."""
        api.fail(code, verb="list", after=after, times=1000)
        with pytest.raises(ClusterError):
            cluster.list(MAPS)

    @pytest.mark.parametrize("after", [0, 1, 2])
    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_reads_are_retried_while_the_server_restarts(self, api, cluster, code, after):
        api.fail(code, verb="list", after=after, times=2)
        assert maps_of(cluster) == 1201

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_list_that_expires_between_pages_is_read_again(self, api, cluster, times):
        api.fail(410, verb="list", after=1, times=times)
        assert maps_of(cluster) == 1201

    def test_a_list_that_keeps_expiring_is_an_error(self, api, cluster):
        """The error is not a 404, which would mean that the kind is not installed."""
        api.fail(410, verb="list", times=10_000)
        with pytest.raises(ClusterError, match="expired repeatedly") as error:
            cluster.list(MAPS)
        assert not isinstance(error.value, Gone)

    def test_a_connection_that_breaks_is_opened_again(self):
        """The second page breaks off in the middle of its body; the third attempt succeeds."""
        pages = iter([(200, PAGE_1), (200, PAGE_2, {"Content-Length": str(len(PAGE_2) + 1)}), (200, PAGE_2)])
        with answering(lambda _: next(pages)) as url, plain(url) as cluster:
            assert [item["metadata"]["name"] for item in cluster.list(MAPS)] == ["a", "b"]

    def test_an_answer_without_items_is_an_error(self, cluster):
        with pytest.raises(ClusterError, match="returned no items"):
            cluster.list(DEPLOYMENT)


class TestOptional:
    """Which kinds are installed: a real server answers plain text for a group that it does not serve."""

    KEDA = "/apis/keda.sh/v1alpha1/scaledobjects"

    @pytest.mark.parametrize("text", [b"404 page not found\n", b"", b"<html>not here</html>"])
    def test_a_kind_that_is_not_served(self, text):
        with answering(lambda _: (404, text, {"Content-Type": "text/plain"})) as url, plain(url) as cluster:
            assert cluster.list_optional(self.KEDA) == []
            with pytest.raises(Gone):
                cluster.list(self.KEDA)

    def test_403_where_it_is_not_served(self):
        """RBAC answers first: without the permission, the answer is 403 whether the group exists or not."""
        answers = iter([(403, FORBIDDEN), (404, b"404 page not found")])
        with answering(lambda _: next(answers)) as url, plain(url) as cluster:
            assert cluster.list_optional(self.KEDA) == []

    def test_403_where_it_is_served_is_an_error(self):
        served = json.dumps({"kind": "APIResourceList", "resources": [{"name": "scaledobjects"}]}).encode()
        answers = iter([(403, FORBIDDEN), (200, served)])
        with (
            answering(lambda _: next(answers)) as url,
            plain(url) as cluster,
            pytest.raises(Forbidden, match="cannot list"),
        ):
            cluster.list_optional(self.KEDA)

    @pytest.mark.parametrize("code", [500, 503])
    def test_an_error_is_not_an_absent_kind(self, code):
        with (
            answering(lambda _: (code, b"upstream connect error")) as url,
            plain(url) as cluster,
            pytest.raises(ClusterError, match="upstream connect error"),
        ):
            cluster.list_optional(self.KEDA)


class TestErrors:
    def test_gone(self, cluster):
        with pytest.raises(Gone, match=r'deployments.apps "nobody" not found'):
            cluster.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/nobody")

    @pytest.mark.parametrize("metadata", [{"uid": "other"}, {"resourceVersion": "1"}])
    def test_a_failed_precondition_is_a_conflict(self, cluster, metadata):
        with pytest.raises(Conflict):
            cluster.patch(DEPLOYMENT, {"metadata": metadata, "spec": {"replicas": 0}}, content_type=MERGE)
        assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2

    def test_an_invalid_object_is_an_error(self, cluster):
        with pytest.raises(ClusterError, match=r"spec.replicas: Invalid value: -1"):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": -1}}, content_type=MERGE)

    @pytest.mark.parametrize(
        ("token", "message"),
        [(READER_TOKEN, "with 403: .*grant this identity the permission"), ("nobody", "with 401: .*sign in again")],
    )
    def test_forbidden(self, api, kubeconfig, tmp_path, token, message):
        other = api.write_kubeconfig(tmp_path / "other", token=token)
        with (
            KubernetesCluster.connect(kubeconfig=other, context=None) as cluster,
            pytest.raises(Forbidden, match=message),
        ):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": 0}}, content_type=MERGE)

    def test_a_reader_may_read(self, api, kubeconfig, tmp_path):
        other = api.write_kubeconfig(tmp_path / "other", token=READER_TOKEN)
        with KubernetesCluster.connect(kubeconfig=other, context=None) as cluster:
            assert len(cluster.list("/api/v1/nodes")) == 1

    def test_a_throttled_request_is_retried_after_the_servers_pause(self, api, cluster):
        api.fail(429, times=3, headers={"Retry-After": "0"})
        assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"

    @pytest.mark.parametrize("message", DENIALS)
    def test_a_denial_by_admission_is_not_a_missing_permission(self, message):
        body = json.dumps(
            {"kind": "Status", "message": message, "reason": "Invalid", "details": {"causes": []}}
        ).encode()
        for code in (400, 403, 422):
            with answering(lambda _, code=code: (code, body)) as url, plain(url) as cluster, pytest.raises(Denied) as e:
                cluster.get(DEPLOYMENT)
            assert message in str(e.value)
            assert "grant this identity" not in str(e.value)

    def test_throttled_beyond_the_budget(self, api, cluster):
        api.fail(429, headers={"Retry-After": "3600"})
        with pytest.raises(Throttled):
            cluster.get(DEPLOYMENT)

    def test_a_write_is_never_sent_twice(self, api, cluster):
        api.fail(503, verb="patch", done=True)
        with pytest.raises(ClusterError):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": 1}}, content_type=MERGE)
        assert [one.verb for one in api.requests] == ["patch"]

    def test_dry_run_is_sent_to_the_server(self, api, cluster):
        answer = cluster.patch(DEPLOYMENT, {"spec": {"replicas": 7}}, content_type=MERGE, dry_run=True)
        assert answer["spec"]["replicas"] == 7
        assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2
        assert [one.dry_run for one in api.requests if one.verb == "patch"] == [True]

    def test_the_field_manager_is_gpuwise(self, cluster):
        answer = cluster.patch(DEPLOYMENT, {"spec": {"replicas": 1}}, content_type=MERGE)
        assert "gpuwise" in {entry["manager"] for entry in answer["metadata"]["managedFields"]}


class TestUnreachable:
    def connect(self, tmp_path, port, timeout_s=0.2):
        path = tmp_path / "config"
        path.write_text(
            f"""{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{}}}}],
            clusters: [{{name: k, cluster: {{server: "http://127.0.0.1:{port}"}}}}],
            contexts: [{{name: c, context: {{cluster: k, user: u}}}}]}}"""
        )
        return KubernetesCluster.connect(kubeconfig=path, context=None, request_timeout_s=timeout_s)

    def test_nothing_listens(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        text = f"cannot reach the Kubernetes API at http://127.0.0.1:{port}: connection refused; check --kubeconfig"
        with self.connect(tmp_path, port) as cluster, pytest.raises(ClusterError, match=text):
            cluster.list("/api/v1/nodes")

    def test_a_server_that_does_not_answer(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with self.connect(tmp_path, port) as cluster, pytest.raises(ClusterError, match="timed out"):
                cluster.list("/api/v1/nodes")

    @pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"[]", b'{"items": [{"metadata"'])
    def test_a_server_that_is_not_kubernetes(self, tmp_path, body):
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class OtherServer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        with HTTPServer(("127.0.0.1", 0), OtherServer) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            with self.connect(tmp_path, server.server_port, 5) as cluster, pytest.raises(ClusterError):
                cluster.list("/api/v1/nodes")
            server.shutdown()
            thread.join()


class TestKubeconfig:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"the kubeconfig .*/nothing does not exist"):
            KubernetesCluster.connect(kubeconfig=tmp_path / "nothing", context=None)

    @pytest.mark.parametrize("text", ["", "[]", "a: b", "a: [", "\0", "clusters: 3\ncontexts: []\ncurrent-context: x"])
    def test_malformed(self, tmp_path, text):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(InputError, match=r"kubeconfig .*/bad"):
            KubernetesCluster.connect(kubeconfig=tmp_path / "bad", context=None)

    def test_an_unknown_context(self, kubeconfig):
        with pytest.raises(InputError, match="no-such-context"):
            KubernetesCluster.connect(kubeconfig=kubeconfig, context="no-such-context")

    def test_a_user_that_is_not_in_the_file(self, kubeconfig):
        """The client would continue unauthenticated, and every request would fail with 401."""
        config = yaml.safe_load(kubeconfig.read_text())
        config["users"] = []
        kubeconfig.write_text(yaml.safe_dump(config))
        with pytest.raises(InputError, match=r"names the user .*, which is not in it"):
            KubernetesCluster.connect(kubeconfig=kubeconfig, context=None)

    @pytest.mark.parametrize(
        ("provider", "message"),
        [
            (
                {"name": "gcp", "config": {}},
                "auth-provider gcp, which Kubernetes 1.26 removed; .*gke-gcloud-auth-plugin",
            ),
            ({"name": "azure"}, "auth-provider azure, which Kubernetes 1.26 removed; .*kubelogin convert-kubeconfig"),
            ({"name": "oidc", "config": {"id-token": "stale"}}, "has no valid token; sign in again"),
            ({"name": "somebody's"}, "has no valid token; sign in again"),
        ],
    )
    def test_an_auth_provider_without_a_token_is_named(self, kubeconfig, provider, message):
        config = yaml.safe_load(kubeconfig.read_text())
        config["users"][0]["user"] = {"auth-provider": provider}
        kubeconfig.write_text(yaml.safe_dump(config))
        with pytest.raises(InputError, match=message):
            KubernetesCluster.connect(kubeconfig=kubeconfig, context=None)

    def test_a_user_without_credentials_is_anonymous(self, kubeconfig):
        """As for kubectl: a proxy in front of the server may add the credentials."""
        config = yaml.safe_load(kubeconfig.read_text())
        config["users"][0]["user"] = None
        kubeconfig.write_text(yaml.safe_dump(config))
        with (
            KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as cluster,
            pytest.raises(Forbidden, match=r"401|403"),
        ):
            cluster.get(DEPLOYMENT)

    def test_the_context_by_name(self, kubeconfig):
        name = yaml.safe_load(kubeconfig.read_text())["current-context"]
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context=name) as cluster:
            assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"

    def test_importing_the_module_does_not_import_the_client(self):
        import subprocess
        import sys

        code = "import sys, gpuwise.cluster; sys.exit('kubernetes' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
