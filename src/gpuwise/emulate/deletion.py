"""How objects end: what goes at once, and what is marked."""

from gpuwise.emulate import lifecycle
from gpuwise.emulate.resources import CRDS, NAMESPACES, PODS, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore


def end(store: ObjectStore, resource: Resource, old: Object, options: Object | None = None) -> Object | None:
    """End an object: None if it is gone, else the object with its marks.

    Args:
        store: where it is.
        resource: of which kind.
        old: the object.
        options: DeleteOptions.

    Raises:
        ApiFailure: 409 for a precondition that does not hold.
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
    """A pod that went at once, as its deletion is answered."""
    new = lifecycle.marked(old, store.now(), grace_s=0, finalizer="")
    return new | {"metadata": new["metadata"] | {"resourceVersion": str(store.version)}}


def _marked(store: ObjectStore, resource: Resource, old: Object, options: Object) -> Object | None:
    """The object with the marks that it is to get, None if it goes at once."""
    if resource is NAMESPACES:
        return _ending_namespace(store, old)
    finalizer = lifecycle.propagation(resource, options)
    held = bool(old["metadata"].get("finalizers")) or bool(finalizer)
    grace = lifecycle.grace_s(old, options) if resource is PODS else None
    if resource is CRDS:
        finalizer, held = "customresourcecleanup.apiextensions.k8s.io", True
    if grace is None and not held:
        return None
    if "deletionTimestamp" in old["metadata"]:
        return old
    new = lifecycle.marked(old, store.now(), grace_s=grace or 0, finalizer=finalizer)
    if resource is CRDS:
        # A definition's generation stays, and it has no grace.
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
