"""KubernetesCluster: every page or none, and errors that a person can act on."""

import socket

import pytest

from gpuwise import cluster as cluster_module
from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate import READER_TOKEN, KubernetesEmulator
from gpuwise.emulate.objects import deployment, node
from gpuwise.model.errors import ClusterError, Conflict, Forbidden, Gone, InputError, Throttled

MERGE = "application/merge-patch+json"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/llm"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def api():
    with KubernetesEmulator() as api:
        yield api


@pytest.fixture
def kubeconfig(api, tmp_path):
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}} for number in range(1201)]
    api.reset([node("gpu-0"), deployment("llm", replicas=2), *maps])
    return api.write_kubeconfig(tmp_path / "config")


@pytest.fixture
def cluster(kubeconfig):
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as cluster:
        yield cluster


class TestList:
    def test_page_by_page(self, api, cluster):
        assert len({item["metadata"]["name"] for item in cluster.list(MAPS)}) == 1201
        assert [one.verb for one in api.requests] == ["list"] * 3

    def test_selectors(self, cluster):
        assert len(cluster.list("/api/v1/pods", label_selector="app=llm")) == 2
        assert cluster.list("/api/v1/pods", field_selector="spec.nodeName=other") == []

    @pytest.mark.parametrize("after", [0, 1, 2])
    @pytest.mark.parametrize("code", [403, 404, 429, 500, 503])
    def test_incident_argo_cd_18480_any_page_that_fails_fails_the_list(self, api, cluster, code, after):
        """I4: an error never becomes an empty, or a shorter, list."""
        api.fail(code, verb="list", after=after)
        with pytest.raises(ClusterError):
            cluster.list(MAPS)

    def test_a_list_that_expires_on_the_way_is_read_once_more(self, api, cluster):
        api.fail(410, verb="list", after=1)
        assert len(cluster.list(MAPS)) == 1201

    def test_and_no_more_than_once(self, api, cluster):
        """It is no 404 either, which would read as "this kind is not installed"."""
        api.fail(410, verb="list", times=2)
        with pytest.raises(ClusterError, match="expired twice") as error:
            cluster.list(MAPS)
        assert not isinstance(error.value, Gone)

    def test_an_answer_without_items_is_no_empty_list(self, cluster):
        with pytest.raises(ClusterError, match="without items"):
            cluster.list(DEPLOYMENT)


class TestErrors:
    def test_gone(self, cluster):
        with pytest.raises(Gone, match=r'deployments.apps "nobody" not found'):
            cluster.get("/apis/apps/v1/namespaces/default/deployments/nobody")

    @pytest.mark.parametrize("metadata", [{"uid": "other"}, {"resourceVersion": "1"}])
    def test_a_precondition_that_does_not_hold_is_a_conflict(self, cluster, metadata):
        with pytest.raises(Conflict):
            cluster.patch(DEPLOYMENT, {"metadata": metadata, "spec": {"replicas": 0}}, content_type=MERGE)
        assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2

    def test_refused_as_invalid(self, cluster):
        with pytest.raises(ClusterError, match=r"spec.replicas: Invalid value: -1"):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": -1}}, content_type=MERGE)

    @pytest.mark.parametrize(("token", "code"), [(READER_TOKEN, 403), ("nobody", 401)])
    def test_forbidden(self, api, kubeconfig, tmp_path, token, code):
        other = api.write_kubeconfig(tmp_path / "other", token=token)
        with (
            KubernetesCluster.connect(kubeconfig=other, context=None) as cluster,
            pytest.raises(Forbidden, match=str(code)),
        ):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": 0}}, content_type=MERGE)

    def test_a_reader_may_read(self, api, kubeconfig, tmp_path):
        other = api.write_kubeconfig(tmp_path / "other", token=READER_TOKEN)
        with KubernetesCluster.connect(kubeconfig=other, context=None) as cluster:
            assert len(cluster.list("/api/v1/nodes")) == 1

    def test_throttled_is_tried_again_as_the_server_says(self, api, cluster):
        api.fail(429, times=3, headers={"Retry-After": "0"})
        assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"

    def test_throttled_beyond_the_budget(self, api, cluster):
        api.fail(429, headers={"Retry-After": "3600"})
        with pytest.raises(Throttled):
            cluster.get(DEPLOYMENT)

    def test_a_write_is_never_sent_twice(self, api, cluster):
        api.fail(503, verb="patch", done=True)
        with pytest.raises(ClusterError):
            cluster.patch(DEPLOYMENT, {"spec": {"replicas": 1}}, content_type=MERGE)
        assert [one.verb for one in api.requests] == ["patch"]

    def test_dry_run_is_asked_of_the_server(self, api, cluster):
        answer = cluster.patch(DEPLOYMENT, {"spec": {"replicas": 7}}, content_type=MERGE, dry_run=True)
        assert answer["spec"]["replicas"] == 7
        assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2
        assert [one.dry_run for one in api.requests if one.verb == "patch"] == [True]

    def test_the_writer_is_on_record(self, cluster):
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

    def test_nobody_listens(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        text = f"cannot reach the Kubernetes API at http://127.0.0.1:{port}: connection refused; check --kubeconfig"
        with self.connect(tmp_path, port) as cluster, pytest.raises(ClusterError, match=text):
            cluster.list("/api/v1/nodes")

    def test_somebody_listens_and_says_nothing(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with self.connect(tmp_path, port) as cluster, pytest.raises(ClusterError, match="timed out"):
                cluster.list("/api/v1/nodes")

    @pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"[]", b'{"items": [{"metadata"'])
    def test_somebody_else_answers(self, tmp_path, body):
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Stranger(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        with HTTPServer(("127.0.0.1", 0), Stranger) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            with self.connect(tmp_path, server.server_port, 5) as cluster, pytest.raises(ClusterError):
                cluster.list("/api/v1/nodes")
            server.shutdown()
            thread.join()


class TestKubeconfig:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"there is no kubeconfig .*/nothing"):
            KubernetesCluster.connect(kubeconfig=tmp_path / "nothing", context=None)

    @pytest.mark.parametrize("text", ["", "[]", "a: b", "a: [", "\0", "clusters: 3\ncontexts: []\ncurrent-context: x"])
    def test_malformed(self, tmp_path, text):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(InputError, match=r"kubeconfig .*/bad"):
            KubernetesCluster.connect(kubeconfig=tmp_path / "bad", context=None)

    def test_an_unknown_context(self, kubeconfig):
        with pytest.raises(InputError, match="nobodys"):
            KubernetesCluster.connect(kubeconfig=kubeconfig, context="nobodys")

    def test_the_context_by_name(self, kubeconfig):
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context="emulated") as cluster:
            assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"

    def test_importing_the_module_does_not_import_the_client(self):
        import subprocess
        import sys

        code = f"import sys, {cluster_module.__name__}; sys.exit('kubernetes' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
