"""The product's client with a real server's own kubeconfig, including TLS and credentials, without a proxy."""

from pathlib import Path

import pytest
import yaml
from tests.cluster_under_test import KUBECONFIG, NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.objects import deployment, node
from gpuwise.model.errors import ClusterError, Forbidden
from gpuwise.model.ports import Access

pytestmark = pytest.mark.skipif(
    KUBECONFIG is None, reason="needs the kubeconfig of a real server: make conformance, with GPUWISE_TEST_KUBECONFIG"
)
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llm"


@pytest.fixture(autouse=True)
def fleet(start_cluster):
    with start_cluster([node("gpu-0"), deployment("llm", replicas=2)]) as cluster:
        yield cluster


@pytest.fixture
def changed(tmp_path):
    """Connect with the kubeconfig, or with a copy that has another certificate authority or user."""

    def connect(*, authority=None, user=None):
        config = yaml.safe_load(Path(KUBECONFIG).read_text())
        for one in config["clusters"]:
            if authority:
                one["cluster"] = {"server": one["cluster"]["server"], "certificate-authority": str(authority)}
        for one in config["users"]:
            one["user"] = user or one["user"]
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        return KubernetesCluster.connect(kubeconfig=path, context=None, wait_budget_s=0.0)

    return connect


def test_it_reads_writes_and_checks_permissions(changed):
    with changed() as cluster:
        assert "gpu-0" in {one["metadata"]["name"] for one in cluster.list("/api/v1/nodes")}
        patch = {"spec": {"replicas": 1}}
        cluster.patch(DEPLOYMENT, patch, content_type="application/merge-patch+json")
        assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 1
        assert cluster.may(Access("patch", "apps", "deployments", NAMESPACE)) is True


def test_an_untrusted_certificate_is_named(changed, tmp_path):
    import trustme

    trustme.CA().cert_pem.write_to_path(tmp_path / "other-ca.pem")
    with changed(authority=tmp_path / "other-ca.pem") as cluster, pytest.raises(ClusterError, match="certificate"):
        cluster.list("/api/v1/nodes")


def test_an_unknown_token_is_forbidden(changed):
    with changed(user={"token": "unknown"}) as cluster, pytest.raises(Forbidden, match="401"):
        cluster.list("/api/v1/nodes")
