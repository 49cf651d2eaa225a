"""The chart's rights, checked by a real server's RBAC: sufficient for every command, and for nothing else.

The emulator knows who may read and who may write, and no roles; test_rbac.py reads the roles without a server.
"""

import json
import time

import numpy as np
import pytest
from tests.cluster_under_test import KUBECONFIG, NAMESPACE
from tests.e2e.conftest import AT_ONCE, gpu_node, gpuwise, of_namespace
from tests.series import IDLE_VALUES

from gpuwise.emulate.objects import deployment
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

__all__ = ["gpuwise"]

KINDS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
OTHER = f"{NAMESPACE}-other"
DAYS, STEP_S = 8, 300

pytestmark = pytest.mark.skipif(
    KUBECONFIG is None, reason="RBAC is a real server's: make conformance, with GPUWISE_TEST_KUBECONFIG"
)


@pytest.fixture
def cluster(start_cluster, helm):
    """Two idle Deployments, and the release's identities and roles, which allow writes in one of two namespaces."""
    fleet = [gpu_node("node-0"), of_namespace("gpuwise"), of_namespace(OTHER)]
    fleet += [deployment("granted"), deployment("other", namespace=OTHER)]
    with start_cluster(fleet) as cluster:
        rights = [one for one in helm.render(enforce__namespaces=[NAMESPACE]) if one["kind"] in KINDS]
        cluster.load(*rights)
        yield cluster


@pytest.fixture
def options_of_service(cluster, tmp_path):
    """Options of scan, plan and run: a recording in which both are idle, and the service's identity."""
    now_s = int(time.time())
    window = Window.ending(now_s, length_s=DAYS * 86_400, step_s=STEP_S)
    writer = RecordingWriter(tmp_path / "recording")
    for number, namespace in enumerate((NAMESPACE, OTHER)):
        [pod] = cluster.connection.items(f"/api/v1/namespaces/{namespace}/pods")
        samples = {signal: np.full(window.steps, value) for signal, value in IDLE_VALUES.items()}
        card = DeviceSeries(pod["metadata"]["name"], f"GPU-{number}", 1.0, "A100-80GB", "node-0", samples)
        writer.append(RecordedPod(namespace, window, (card,), None))
    token = cluster.token("gpuwise", "prod-gpuwise-service")
    kubeconfig = ("--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig", token=token))
    return kubeconfig, (*kubeconfig, "--recording", tmp_path / "recording", "--look-back-h", DAYS * 24, "--now", now_s)


def replicas(cluster, name, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    return cluster.connection.must("GET", path)["spec"]["replicas"]


def test_the_service_has_every_right_that_it_needs(cluster, options_of_service, gpuwise):
    kubeconfig, options = options_of_service
    found = gpuwise("scan", *options, "-o", "json").data["recommendations"]
    assert {one["workload"]["name"] for one in found} == {"granted", "other"}
    # The Lease is in the namespace of the release, as in its pod.
    env = AT_ONCE | {"GPUWISE_LEAD_NAMESPACE": "gpuwise"}
    done = gpuwise("run", "--once", "--mode", "enforce", *options, env=env)
    assert done.code == 0, done.err
    assert (replicas(cluster, "granted", NAMESPACE), replicas(cluster, "other", OTHER)) == (0, 1)
    assert "NoRight" in done.out  # in the namespace in which the release may not write
    (command_id,) = {word for word in done.out.replace("`", " ").split() if word.startswith("a-")}
    assert gpuwise("undo", command_id, "--yes", *kubeconfig, env=env).code == 0
    assert replicas(cluster, "granted", NAMESPACE) == 1
    assert [one for one in cluster.requests if one.status == 403 and OTHER not in one.path] == []
    head = cluster.connection.must("GET", "/api/v1/namespaces/gpuwise/configmaps/gpuwise-ledger-head")
    assert len(head["data"]) == 1


def test_the_report_reads_and_cannot_write(cluster, options_of_service, gpuwise, tmp_path):
    _, options = options_of_service
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token=cluster.token("gpuwise", "prod-gpuwise-report"))
    done = gpuwise("scan", *options, "-o", "json")
    assert len(done.data["recommendations"]) == 2
    planned = json.loads(gpuwise("plan", "--mode", "enforce", *options, "-o", "json").out)
    assert "NoRight" in json.dumps(planned)
    assert replicas(cluster, "granted", NAMESPACE) == 1
