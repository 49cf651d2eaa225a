"""Functions of controllers on pods, and the creation of pods."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from gpuwise.emulate.options import WriteOptions
from gpuwise.emulate.resources import PODS, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import CONTROLLERS, ObjectStore
from gpuwise.emulate.writes import Writing, create

HASH_LABEL = "pod-template-hash"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""For generated names: without vowels, so that they form no words (apimachinery's util/rand)."""

REVISION_LABEL = "controller-revision-hash"


def owner_of(item: Object) -> Object | None:
    """The controlling owner reference, None for an object without a controller."""
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
    """The owner reference that a controller sets on its dependents."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def phase(pod: Object) -> str:
    """The value of status.phase."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_terminating(pod: Object) -> bool:
    """Whether the pod has a deletion timestamp."""
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Object) -> bool:
    """Whether the pod counts as one of its controller's replicas."""
    return not is_terminating(pod) and phase(pod) not in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Whether the pod is active and ready."""
    return is_active(pod) and condition(pod, "Ready") == "True"


def condition(item: Object, kind: str) -> str | None:
    """The status of one condition, None if it does not exist."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((entry["status"] for entry in conditions if entry["type"] == kind), None)


def containers(spec: Object) -> Iterator[Object]:
    """The containers of a pod spec, without init containers."""
    yield from spec.get("containers") or []


def digest(value: object) -> str:
    """Ten characters that identify a template, in the alphabet of Kubernetes' generated names."""
    found = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:10]
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in found)


def make(store: ObjectStore, resource: Resource, namespace: str, item: Object, *, manager: str = CONTROLLERS) -> Object:
    """Create an object like a controller does: through admission.

    Raises:
        ApiFailure: 403 or 422.
    """
    writing = Writing(b"", "", WriteOptions(dry_run=False, manager=manager, validation="Ignore", force=False), manager)
    named = {"kind": resource.kind, "apiVersion": resource.api_version} | item
    return create(store, resource, namespace, named, writing)


def make_pod(
    store: ObjectStore,
    resource: Resource,
    owner: Object,
    *,
    name: str,
    labels: dict[str, str] | None = None,
    spec: Object | None = None,
    finalizer: str = "",
) -> Object:
    """Create the pod that an owner's template describes.

    Args:
        store: the store.
        resource: the owner's resource.
        owner: an object with spec.template.
        name: name of the pod; "" to generate it from the owner's name.
        labels: in addition to the template's.
        spec: in addition to the template's.
        finalizer: keeps the pod until its controller has counted it.

    Raises:
        ApiFailure: 403 or 422.
    """
    template = owner["spec"]["template"]
    inner = template.get("metadata") or {}
    metadata: Object = {
        "generateName": f"{owner['metadata']['name']}-",
        "labels": dict(sorted(((inner.get("labels") or {}) | (labels or {})).items())),
        "annotations": dict(inner.get("annotations") or {}),
        "ownerReferences": [reference_to(resource, owner)],
    } | ({"name": name} if name else {})
    if finalizer:
        metadata["finalizers"] = [finalizer]
    kept = {key: value for key, value in metadata.items() if value not in ({}, [])}
    item = {"metadata": kept, "spec": template["spec"] | (spec or {})}
    return make(store, PODS, owner["metadata"]["namespace"], item)
