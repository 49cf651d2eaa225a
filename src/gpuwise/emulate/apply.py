"""Server-side apply without field ownership: for custom resources, and for a Scale with force."""

from typing import Any

from gpuwise.emulate import writes
from gpuwise.emulate.admission import open_namespace
from gpuwise.emulate.bodies import Body
from gpuwise.emulate.intake import read_object, read_patched
from gpuwise.emulate.managed import owners
from gpuwise.emulate.patch import merge_patch
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.scale import SCALES, scale_of, with_scale
from gpuwise.emulate.status import ApiFailure, Object, not_emulated
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.target import Target
from gpuwise.emulate.views import shown
from gpuwise.emulate.writes import Writing


def apply(store: ObjectStore, target: Target, body: Any, writing: Writing) -> tuple[Object, int]:
    """Apply a configuration; returns the object and the HTTP status.

    Raises:
        ApiFailure: 409 for a field of another manager, 501 for what needs more than the managers' names.
    """
    resource = target.resource
    old = store.peek(store.registry.kept(resource), target.namespace, target.name)
    if old is None and resource.namespaced:
        open_namespace(store, resource, target.namespace, target.name)
    if target.subresource == "scale" and old is not None and writing.options.force:
        return _apply_scale(store, target, old, body, writing), 200
    if resource.builtin or target.subresource:
        raise not_emulated("server-side apply of built-in kinds")
    writes.check_identity(resource, target.namespace, target.name, {"name": target.name} | (body.get("metadata") or {}))
    item = read_object(
        store.registry,
        resource,
        Body(body, ()),
        validation=writing.options.validation,
        warnings=writing.warnings,
    )
    if old is None:
        named = item | {"metadata": item["metadata"] | {"name": target.name}}
        return shown(resource, writes.create(store, resource, target.namespace, named, writing)), 201
    return _apply_over(store, resource, old, item, writing), 200


def _apply_scale(store: ObjectStore, target: Target, old: Object, body: Any, writing: Writing) -> Object:
    seen = scale_of(target.resource, old)
    scale = read_patched(
        SCALES,
        seen,
        merge_patch(seen, body),
        validation=writing.options.validation,
        warnings=writing.warnings,
    )
    wanted = with_scale(target.resource, old, scale)
    new = writes.revise(store, store.registry.kept(target.resource), old, wanted, writing, scale=True)
    return scale_of(target.resource, new)


def _apply_over(store: ObjectStore, resource: Resource, old: Object, item: Object, writing: Writing) -> Object:
    entries = old["metadata"].get("managedFields") or []
    changed = list(_changed({key: value for key, value in item.items() if key not in ("metadata", "status")}, old, ""))
    applied_before = any(entry["manager"] == writing.manager for entry in entries)
    if applied_before:
        raise not_emulated("server-side apply that may give up fields")
    conflicts = [(path, owner) for path in changed for owner in owners(old, path)]
    if len(conflicts) > 1:
        raise not_emulated("several conflicts of a server-side apply")
    if conflicts and not writing.options.force:
        path, owner = conflicts[0]
        by = f'conflict with "{owner}" using {resource.api_version}'
        causes = [{"reason": "FieldManagerConflict", "message": by, "field": path}]
        raise ApiFailure(409, f"Apply failed with 1 conflict: {by}: {path}", details={"causes": causes})
    return writes.revise(store, resource, old, merge_patch(old, item), writing)


def _changed(wanted: Any, have: Any, path: str) -> list[str]:
    """Paths of existing values that would change."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        return [
            one for key, value in wanted.items() if key in have for one in _changed(value, have[key], f"{path}.{key}")
        ]
    return [] if wanted == have else [path]
