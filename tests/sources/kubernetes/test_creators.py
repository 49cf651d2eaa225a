"""Who created a workload, as its objects say."""

import pytest
from kubernetes import client, config
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.objects import deployment, node
from gpuwise.sources.kubernetes.creators import creator_of, marks
from gpuwise.sources.kubernetes.inventory import KubernetesInventory


def entry(manager: str, time: str, **more: str) -> dict[str, str]:
    return {"manager": manager, "operation": "Update", "time": time} | more


WRITTEN = [
    entry("kube-controller-manager", "2026-01-01T00:00:00Z"),
    entry("kube-controller-manager", "2026-01-01T00:00:00Z", subresource="status"),
    entry("kubectl-edit", "2026-01-03T00:00:00Z"),
    entry("kubectl-create", "2026-01-02T00:00:00Z"),
]
ACCOUNT = {"metadata": {}, "spec": {"serviceAccountName": "trainer"}}
DEFAULT = {"metadata": {}, "spec": {"serviceAccountName": "default"}}
LAB = {"metadata": {"labels": {"hub.jupyter.org/username": "bo"}}, "spec": {}}


@pytest.mark.parametrize(
    ("metadata", "pods", "namespace", "tools", "expected"),
    [
        ({}, [], {}, [], ""),
        ({"managedFields": WRITTEN}, [], {}, [], "kubectl-create"),
        ({"managedFields": WRITTEN}, [DEFAULT], {}, [], "kubectl-create"),
        ({"managedFields": WRITTEN}, [DEFAULT, ACCOUNT], {}, [], "ServiceAccount/trainer"),
        ({"managedFields": WRITTEN}, [ACCOUNT], {}, ["ArgoCD/chat"], "ArgoCD/chat"),
        ({"managedFields": WRITTEN}, [ACCOUNT], {"openshift.io/requester": "ada"}, ["ArgoCD/chat"], "ada"),
        ({}, [LAB], {"openshift.io/requester": "ada"}, [], "bo"),
        ({"annotations": {"gpuwise.dev/creator": "cy"}}, [LAB], {}, [], "cy"),
        ({"labels": {"workflows.argoproj.io/creator": "system-serviceaccount-a-b"}}, [], {}, [],
         "system-serviceaccount-a-b"),
    ],
)  # fmt: skip
def test_a_person_comes_before_a_tool_a_tool_before_an_account_and_an_account_before_a_writer(
    metadata, pods, namespace, tools, expected
):
    assert creator_of({"metadata": metadata}, pods, marks({"annotations": namespace}), tools) == expected


def test_the_first_writer_is_known_after_others_and_controllers_wrote(start_cluster, tmp_path):
    with start_cluster([node("gpu-0")]) as cluster:
        kubeconfig = str(cluster.write_kubeconfig(tmp_path / "config"))
        with config.new_client_from_config(kubeconfig) as api:
            apps = client.AppsV1Api(api)
            body = deployment("llm", replicas=2)
            body["metadata"]["namespace"] = NAMESPACE
            apps.create_namespaced_deployment(NAMESPACE, body, field_manager="kubectl-create")
            cluster.settle()
            changed = {"metadata": {"annotations": {"note": "changed"}}}
            apps.patch_namespaced_deployment("llm", NAMESPACE, changed, field_manager="kubectl-edit")
        with KubernetesCluster(config.new_client_from_config(kubeconfig)) as reader:
            [found] = KubernetesInventory(reader).snapshot(0).workloads
    assert (found.annotations["note"], found.creator) == ("changed", "kubectl-create")
