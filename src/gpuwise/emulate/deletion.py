"""Deletion of objects: at once, or by a deletion timestamp."""

from gpuwise.emulate import lifecycle
from gpuwise.emulate.resources import CRDS, NAMESPACES, PODS, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore


def delete_object(store: ObjectStore, resource: Resource, old: Object, options: Object | None = None) -> Object | None:
    """Delete an object; returns None if it is gone, otherwise the object with its deletion marks.

    Args:
        store: the store.
        resource: the object's resource.
        old: the object.
        options: DeleteOptions.

    Raises:
        ApiFailure: 409 for a failed precondition.
    """
    options = options or {}
    lifecycle.check_preconditions(resource, old, options.get("preconditions") or {})
    dry_run = options.get("dryRun") == ["All"]
    new = _marked(store, resource, old, options)
    if new is None:
        if not dry_run:
            store.remove(resource, old)
        return _last_seen(store, old) if resource is PODS else None
    if new == old or dry_run:
        return new
    return store.put(resource, old, new)


def _last_seen(store: ObjectStore, old: Object) -> Object:
    """The response to the deletion of a pod that was removed at once."""
    new = lifecycle.marked(old, store.now(), grace_s=0, finalizer="")
    return new | {"metadata": new["metadata"] | {"resourceVersion": str(store.version)}}


def _marked(store: ObjectStore, resource: Resource, old: Object, options: Object) -> Object | None:
    """The object with its deletion marks, None if it is removed at once."""
    if resource is NAMESPACES:
        return _ending_namespace(store, old)
    finalizer = lifecycle.propagation(resource, options)
    has_finalizers = bool(old["metadata"].get("finalizers")) or bool(finalizer)
    grace = lifecycle.grace_s(old, options) if resource is PODS else None
    if resource is CRDS:
        finalizer, has_finalizers = "customresourcecleanup.apiextensions.k8s.io", True
    if grace is None and not has_finalizers:
        return None
    if "deletionTimestamp" in old["metadata"]:
        return old
    new = lifecycle.marked(old, store.now(), grace_s=grace or 0, finalizer=finalizer)
    if resource is CRDS:
        # The generation of a definition does not change, and it has no grace period.
        kept = {key: value for key, value in new["metadata"].items() if key != "deletionGracePeriodSeconds"}
        ending = {
            "type": "Terminating",
            "status": "True",
            "lastTransitionTime": store.now(),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }
        status = old.get("status") or {}
        status = status | {"conditions": [*(status.get("conditions") or []), ending]}
        return old | {"metadata": kept | {"generation": old["metadata"]["generation"]}, "status": status}
    return new


def _ending_namespace(store: ObjectStore, old: Object) -> Object:
    if "deletionTimestamp" in old["metadata"]:
        return old
    metadata = old["metadata"] | {"deletionTimestamp": store.now()}
    return old | {"metadata": metadata, "status": (old.get("status") or {}) | {"phase": "Terminating"}}
