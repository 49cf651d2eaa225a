"""The scale subresource: a view of spec.replicas."""

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object


def scale_of(item: Object) -> Object:
    """The Scale of a Deployment, StatefulSet or ReplicaSet."""
    metadata = item["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept},
        "spec": {"replicas": item["spec"]["replicas"]},
        "status": {
            "replicas": (item.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def with_scale(resource: Resource, item: Object, scale: Object) -> Object:
    """The object with the replicas, and the preconditions, of a Scale.

    Raises:
        ApiFailure: 400 for something that is no Scale.
    """
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int):
        raise ApiFailure(400, f"cannot read spec.replicas {replicas!r} of a Scale of {resource.label}")
    wanted = {
        field: value for field, value in (scale.get("metadata") or {}).items() if field in ("uid", "resourceVersion")
    }
    return item | {"metadata": item["metadata"] | wanted, "spec": item["spec"] | {"replicas": replicas}}
