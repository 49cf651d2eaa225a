"""Minimal custom resource definitions with the operators' names; they accept any spec and status."""

from typing import Any

from tests.real_cluster.connection import Connection

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = (
    ("keda.sh", "v1alpha1", "ScaledObject"),
    ("kubeflow.org", "v1", "Notebook"),
    ("kubeflow.org", "v1", "PyTorchJob"),
    ("serving.kserve.io", "v1beta1", "InferenceService"),
    ("ray.io", "v1", "RayCluster"),
    ("ray.io", "v1", "RayService"),
    ("ray.io", "v1", "RayJob"),
    ("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet"),
    ("argoproj.io", "v1alpha1", "Rollout"),
    ("jobset.x-k8s.io", "v1alpha2", "JobSet"),
    ("trainer.kubeflow.org", "v1alpha1", "TrainJob"),
    ("kubeflow.org", "v1", "TFJob"),
    ("kubeflow.org", "v1", "XGBoostJob"),
    ("kubeflow.org", "v1", "PaddleJob"),
    ("kubeflow.org", "v1", "JAXJob"),
    ("kubeflow.org", "v2beta1", "MPIJob"),
    ("kubeflow.org", "v1beta1", "Workspace"),
    ("serving.kserve.io", "v1alpha2", "LLMInferenceService"),
    ("kueue.x-k8s.io", "v1beta2", "Workload"),
)


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


def definition(group: str, version: str, kind: str, labels: dict[str, str]) -> Any:
    """One definition; all fields of its objects are preserved."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "subresources": {"status": {}}}
    served["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}}
    names = {"kind": kind, "plural": plural(kind), "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural(kind)}.{group}", "labels": labels},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }


def install(connection: Connection, labels: dict[str, str]) -> None:
    """Create the definitions that the cluster does not have."""
    for group, version, kind in KINDS:
        connection.must("POST", DEFINITIONS, definition(group, version, kind, labels), also=(409,))


def installed(connection: Connection) -> bool:
    """Whether all of them are served."""
    return all(
        connection.call("GET", f"/apis/{group}/{version}/{plural(kind)}")[0] == 200 for group, version, kind in KINDS
    )
