"""Minimal objects to start a cluster with."""

from collections.abc import Mapping
from typing import Any

from gpuwise.emulate.status import Object

GPU = "nvidia.com/gpu"


def node(
    name: str,
    *,
    gpus: int = 8,
    mig: Mapping[str, int] | None = None,
    labels: Mapping[str, str] | None = None,
    taints: list[Object] | None = None,
) -> Object:
    """A Node.

    Args:
        name: its name.
        gpus: allocatable whole GPUs.
        mig: allocatable MIG instances by profile, "1g.10gb".
        labels: its labels.
        taints: its taints.
    """
    devices = {GPU: gpus} | {f"nvidia.com/mig-{profile}": count for profile, count in (mig or {}).items()}
    allocatable = {"cpu": "96", "memory": "1Ti", "pods": "110"} | {key: str(count) for key, count in devices.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | dict(labels or {})},
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": allocatable, "allocatable": allocatable},
    }


def pod_spec(*, gpus: int = 1, resource: str = GPU, **fields: Any) -> Object:
    """A pod spec with one container that requests GPUs.

    Args:
        gpus: number of GPUs, 0 for none.
        resource: name of the extended resource.
        **fields: further fields of the pod spec.
    """
    container: Object = {"name": "main", "image": "registry.example/work:1"}
    if gpus:
        container["resources"] = {"limits": {resource: str(gpus)}}
    return {"containers": [container]} | fields


def pod(name: str, *, namespace: str = "default", spec: Object | None = None, **metadata: Any) -> Object:
    """A Pod without an owner; further metadata by keyword."""
    return _object("v1", "Pod", name, namespace, metadata) | {"spec": spec or pod_spec()}


def deployment(
    name: str, *, replicas: int = 1, namespace: str = "default", spec: Object | None = None, **metadata: Any
) -> Object:
    """A Deployment of pods with this spec; further metadata by keyword."""
    found = _object("apps/v1", "Deployment", name, namespace, metadata)
    return found | {"spec": {"replicas": replicas} | _selected(name, spec)}


def statefulset(
    name: str, *, replicas: int = 1, namespace: str = "default", spec: Object | None = None, **metadata: Any
) -> Object:
    """A StatefulSet of pods with this spec; further metadata by keyword."""
    found = _object("apps/v1", "StatefulSet", name, namespace, metadata)
    return found | {"spec": {"replicas": replicas, "serviceName": name} | _selected(name, spec)}


def job(
    name: str, *, parallelism: int = 1, namespace: str = "default", spec: Object | None = None, **metadata: Any
) -> Object:
    """A Job of pods with this spec; further metadata by keyword."""
    template = {"spec": (spec or pod_spec()) | {"restartPolicy": "Never"}}
    counts = {"parallelism": parallelism, "completions": parallelism}
    return _object("batch/v1", "Job", name, namespace, metadata) | {"spec": counts | {"template": template}}


def notebook(name: str, *, namespace: str = "default", spec: Object | None = None, **metadata: Any) -> Object:
    """A Kubeflow Notebook; further metadata by keyword."""
    found = _object("kubeflow.org/v1", "Notebook", name, namespace, metadata)
    return found | {"spec": {"template": {"spec": spec or pod_spec()}}}


def budget(name: str, *, app: str, namespace: str = "default", **spec: Any) -> Object:
    """A PodDisruptionBudget for the pods of the workload named `app`; minAvailable or maxUnavailable by keyword."""
    found = _object("policy/v1", "PodDisruptionBudget", name, namespace, {})
    return found | {"spec": {"selector": {"matchLabels": {"app": app}}} | spec}


def autoscaler(name: str, *, kind: str, target: str, namespace: str = "default", most: int = 4) -> Object:
    """A HorizontalPodAutoscaler for an object."""
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": target}
    found = _object("autoscaling/v2", "HorizontalPodAutoscaler", name, namespace, {})
    return found | {"spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": most}}


def _object(version: str, kind: str, name: str, namespace: str, metadata: Mapping[str, Any]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace} | dict(metadata)}


def _selected(name: str, spec: Object | None) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec or pod_spec()}
    return {"selector": {"matchLabels": labels}, "template": template}
