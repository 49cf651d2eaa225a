"""The Kubernetes rights that gpuwise uses: the one table that the chart's RBAC rules and `doctor` are made of.

A test compares it with the requests that the commands send: what they send is granted, what is granted they send.
"""

from dataclasses import dataclass

HEAD_CONFIG_MAP = "gpuwise-ledger-head"
"""Name of the ConfigMap beside gpuwise that anchors the head of the ledger."""


@dataclass(frozen=True, slots=True)
class Right:
    """One row of RBAC.

    Attributes:
        group: API group, "" for the core.
        resource: plural name.
        verbs: what is done to it, as RBAC has it.
        names: of single objects, empty for all.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


_LIST = ("list",)

READ = (
    Right("", "namespaces", _LIST),
    Right("", "nodes", _LIST),
    Right("", "pods", _LIST),
    Right("apps", "deployments", _LIST),
    Right("apps", "replicasets", _LIST),
    Right("apps", "statefulsets", _LIST),
    Right("argoproj.io", "rollouts", _LIST),
    Right("autoscaling", "horizontalpodautoscalers", _LIST),
    Right("batch", "jobs", _LIST),
    Right("keda.sh", "scaledobjects", _LIST),
    Right("kubeflow.org", "notebooks", _LIST),
    Right("kubeflow.org", "pytorchjobs", _LIST),
    Right("leaderworkerset.x-k8s.io", "leaderworkersets", _LIST),
    Right("policy", "poddisruptionbudgets", _LIST),
    Right("ray.io", "rayclusters", _LIST),
    Right("ray.io", "rayjobs", _LIST),
    Right("ray.io", "rayservices", _LIST),
    Right("serving.kserve.io", "inferenceservices", _LIST),
)
"""In the whole cluster, for every command: the inventory is these lists."""

WRITE = (
    # A namespace is read by its name to see its mode and protections again just before an effect.
    Right("", "namespaces", ("get",)),
    Right("apps", "deployments", ("get", "patch")),
    Right("apps", "statefulsets", ("get", "patch")),
    Right("batch", "jobs", ("get", "patch")),
    Right("kubeflow.org", "notebooks", ("get", "patch")),
)
"""In each namespace where gpuwise may act, besides READ."""

HEAD = (
    # RBAC cannot restrict a creation to a name.
    Right("", "configmaps", ("create",)),
    Right("", "configmaps", ("get", "patch"), (HEAD_CONFIG_MAP,)),
)
"""In gpuwise's own namespace, for the process that writes the ledger."""
