"""What controllers ask of a pod, and how they make one."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore

HASH_LABEL = "pod-template-hash"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: no vowels, so no words (apimachinery's util/rand)."""

REVISION_LABEL = "controller-revision-hash"


def owner_of(item: Object) -> Object | None:
    """The controlling owner reference, None for an object of its own."""
    references = item["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def owned(items: Iterable[Object]) -> dict[str, list[Object]]:
    """Objects by the uid of their controlling owner."""
    found: dict[str, list[Object]] = {}
    for item in items:
        owner = owner_of(item)
        if owner is not None:
            found.setdefault(owner["uid"], []).append(item)
    return found


def reference_to(resource: Resource, owner: Object) -> Object:
    """The owner reference that a controller puts on what it makes."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def phase(pod: Object) -> str:
    """status.phase."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_terminating(pod: Object) -> bool:
    """Marked for deletion."""
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Object) -> bool:
    """Counts as one of its controller's replicas."""
    return not is_terminating(pod) and phase(pod) not in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Serves."""
    return is_active(pod) and condition(pod, "Ready") == "True"


def condition(item: Object, kind: str) -> str | None:
    """The status of one condition, None if it is not there."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((entry["status"] for entry in conditions if entry["type"] == kind), None)


def containers(spec: Object) -> Iterator[Object]:
    """The containers of a pod spec, init containers left out."""
    yield from spec.get("containers") or []


def digest(value: object) -> str:
    """Ten characters that tell two templates apart, in the alphabet that Kubernetes names things with."""
    found = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:10]
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in found)


def make_pod(store: ObjectStore, resource: Resource, owner: Object, *, name: str, labels: dict[str, str]) -> Object:
    """The pod that an owner's template describes.

    Args:
        store: names what has no name yet.
        resource: the owner's kind.
        owner: with spec.template.
        name: the pod's; one that ends with "-" gets a suffix.
        labels: on top of the template's.
    """
    template = owner["spec"]["template"]
    inner = template.get("metadata") or {}
    metadata = {
        "name": name + store.suffix() if name.endswith("-") else name,
        "namespace": owner["metadata"]["namespace"],
        "labels": (inner.get("labels") or {}) | labels,
        "annotations": dict(inner.get("annotations") or {}),
        "ownerReferences": [reference_to(resource, owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
