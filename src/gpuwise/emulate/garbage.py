"""The garbage collector: deletes dependents of deleted owners, and removes finalizers that wait for dependents."""

from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.lifecycle import FOREGROUND, ORPHAN
from gpuwise.emulate.resources import NAMESPACES, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of


def run_garbage_collector(store: ObjectStore) -> None:
    """Orphan dependents, delete them, or remove finalizers, for every owner that is deleted or terminating."""
    if store.scratch.get("collected") == store.collectable:
        return
    before = store.collectable
    kinds = [resource for resource in store.registry.stored() if resource is not NAMESPACES]
    alive = {item["metadata"]["uid"] for resource in store.registry.stored() for item in store.all(resource)}
    for resource in kinds:
        for item in list(store.all(resource)):
            finalizers = item["metadata"].get("finalizers") or []
            if "deletionTimestamp" in item["metadata"] and (ORPHAN in finalizers or FOREGROUND in finalizers):
                _remove_finalizer(store, resource, item)
            elif _ownerless(store, item, alive) and "deletionTimestamp" not in item["metadata"]:
                delete_object(store, resource, item, {"propagationPolicy": "Background"})
    if store.collectable == before:
        store.scratch["collected"] = before


def _ownerless(store: ObjectStore, item: Object, alive: set[str]) -> bool:
    owners = item["metadata"].get("ownerReferences") or []
    known = [one for one in owners if store.registry.of_kind(one["apiVersion"], one["kind"])]
    return bool(owners) and len(known) == len(owners) and all(one["uid"] not in alive for one in owners)


def _remove_finalizer(store: ObjectStore, resource: Resource, owner: Object) -> None:
    """Remove the finalizer of an owner when its dependents are orphaned or deleted."""
    uid, finalizers = owner["metadata"]["uid"], owner["metadata"]["finalizers"]
    orphan = ORPHAN in finalizers
    waiting = False
    for kind in store.registry.stored():
        for item in list(store.all(kind)):
            owners = item["metadata"].get("ownerReferences") or []
            reference = next((one for one in owners if one["uid"] == uid), None)
            if reference is None:
                continue
            if orphan:
                _release(store, kind, item, uid)
            else:
                waiting = waiting or bool(reference.get("blockOwnerDeletion"))
                if "deletionTimestamp" not in item["metadata"]:
                    delete_object(store, kind, item, {"propagationPolicy": "Foreground"})
    if waiting:
        return
    left = [one for one in finalizers if one not in (ORPHAN, FOREGROUND)]
    metadata = {key: value for key, value in owner["metadata"].items() if key != "finalizers"}
    new = metadata | ({"finalizers": left} if left else {})
    store.update(resource, *key_of(owner), lambda item: item | {"metadata": new})


def _release(store: ObjectStore, resource: Resource, item: Object, uid: str) -> None:
    left = [one for one in item["metadata"]["ownerReferences"] if one["uid"] != uid]
    metadata = {key: value for key, value in item["metadata"].items() if key != "ownerReferences"}
    new = metadata | ({"ownerReferences": left} if left else {})
    store.update(resource, *key_of(item), lambda one: one | {"metadata": new})
