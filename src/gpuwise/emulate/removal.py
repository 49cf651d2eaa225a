"""The verbs delete and deletecollection, and their responses."""

from gpuwise.emulate import lifecycle
from gpuwise.emulate.admission import check_delete
from gpuwise.emulate.api import Api, list_of, success
from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.options import ListOptions
from gpuwise.emulate.status import Object, details_of, not_found
from gpuwise.emulate.target import Target
from gpuwise.emulate.views import shown


def delete(api: Api, target: Target, options: Object, warnings: list[str]) -> Object:
    """Delete one object; returns a Status if it is gone, otherwise the terminating object."""
    resource, store = api.kept(target), api.store
    check_delete(resource, target.name)
    with store.lock:
        old = store.peek(resource, target.namespace, target.name)
        if old is None:
            raise not_found(target.resource, target.name)
        if resource.plural == "jobs" and lifecycle.propagation(resource, {}) and not _chosen(options):
            warnings.append(lifecycle.JOB_WARNING)
        left = delete_object(store, resource, old, options)
    if left is not None:
        return shown(target.resource, left)
    details = details_of(target.name, target.resource.group, target.resource.plural)
    return success(details=details | {"uid": old["metadata"]["uid"]})


def _chosen(options: Object) -> bool:
    return options.get("propagationPolicy") is not None or options.get("orphanDependents") is not None


def delete_all(api: Api, target: Target, selection: ListOptions, options: Object) -> Object:
    """Delete all objects of a collection that match the selectors."""
    matches, resource, store = api.matcher(target, selection), api.kept(target), api.store
    with store.lock:
        version = store.version
        items = [item for item in store.all(resource) if matches(item)]
        for item in items:
            delete_object(store, resource, item, options)
        return list_of(target.resource, items, version)
