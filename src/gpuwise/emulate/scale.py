"""The scale subresource: a view of spec.replicas."""

from typing import Any

from gpuwise.emulate.causes import Cause, wrong
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import Object, invalid, invalid_object

SCALES = Resource("autoscaling", "v1", "scales", "Scale", schema="autoscaling.v1.Scale")


def scale_of(resource: Resource, item: Object) -> Object:
    """The Scale of an object; a spec.replicas of 0 is omitted, as Go does."""
    metadata = item["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    paths = (resource.definition.get("subresources") or {}).get("scale") or {}
    if resource.builtin:
        replicas, have = item["spec"].get("replicas", 0), (item.get("status") or {}).get("replicas", 0)
        labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    else:
        replicas = _at(item, paths.get("specReplicasPath", "")) or 0
        have = _at(item, paths.get("statusReplicasPath", "")) or 0
        selector = _at(item, paths.get("labelSelectorPath", "")) or ""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept if field in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": have} | ({"selector": selector} if selector else {}),
    }


def with_scale(resource: Resource, item: Object, scale: Object) -> Object:
    """The object with the replicas of a Scale; absent replicas mean 0, other fields of the Scale are ignored.

    Raises:
        ApiFailure: 422 for a negative count.
    """
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    name = item["metadata"]["name"]
    if replicas < 0 and resource.builtin:
        why = "must be greater than or equal to 0"
        raise invalid("Scale", "autoscaling", name, [wrong("spec.replicas", replicas, why)])
    if resource.builtin:
        return item | {"spec": item["spec"] | {"replicas": replicas}}
    path = resource.definition["subresources"]["scale"]["specReplicasPath"]
    if replicas < 0:
        raise invalid_object(resource, name, [wrong(path, replicas, "should be a non-negative integer")])
    return _put(item, path.strip(".").split("."), replicas)


def replicas_causes(resource: Resource, item: Object) -> list[Cause]:
    """Problems of the replicas of a custom resource with a scale subresource."""
    path = ((resource.definition.get("subresources") or {}).get("scale") or {}).get("specReplicasPath", "")
    value = _at(item, path)
    if value is None or type(value) is int:
        return [wrong(path, value, "should be a non-negative integer")] if value is not None and value < 0 else []
    word = {str: "string", bool: "bool", float: "float64", dict: "map[string]interface {}"}.get(type(value), "array")
    return [wrong(path, 0, f"{path} accessor error: {value} is of the type {word}, expected int64")]


def _at(item: Any, path: str) -> Any:
    if not path:
        return None
    for step in path.strip(".").split("."):
        item = item.get(step) if isinstance(item, dict) else None
    return item


def _put(item: Object, steps: list[str], value: Any) -> Object:
    head, rest = steps[0], steps[1:]
    return item | {head: _put(item.get(head) or {}, rest, value) if rest else value}
