"""managedFields: the writers of an object; the written fields are tracked for custom resources only."""

from typing import Any

from gpuwise.emulate.status import Object

_TRACKED = ("labels", "annotations", "finalizers", "ownerReferences")


def with_manager(
    item: Object, *, manager: str, subresource: str, now: str, old: Object | None = None, fields: bool = False
) -> Object:
    """The object with its writer in managedFields.

    Args:
        item: the object to write.
        manager: the writer's name, truncated to the API's limit of 128 characters.
        subresource: the written subresource, "" for none.
        now: RFC 3339.
        old: the object before, None for a new one.
        fields: track the written fields; a list counts as one value.
    """
    changed = _changed(_content(old or {}), _content(item)) if fields else {}
    entry = {
        "manager": manager[:128],
        "operation": "Update",
        "apiVersion": item["apiVersion"],
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": changed,
    }
    if subresource:
        entry["subresource"] = subresource
    others = []
    for other in item["metadata"].get("managedFields") or []:
        if (other["manager"], other.get("subresource", "")) == (entry["manager"], subresource):
            entry["fieldsV1"] = _union(other["fieldsV1"], changed)
        elif fields:
            others.append(other | {"fieldsV1": _without(other["fieldsV1"], changed)})
        else:
            others.append(other)
    return item | {"metadata": item["metadata"] | {"managedFields": [*others, entry]}}


def owners(item: Object, path: str) -> list[str]:
    """The writers of a field of a custom resource.

    Args:
        item: the object.
        path: such as ".spec.replicas".
    """
    found = []
    for entry in item["metadata"].get("managedFields") or []:
        tree: Any = entry["fieldsV1"]
        for step in path.strip(".").split("."):
            tree = tree.get(f"f:{step}") if isinstance(tree, dict) else None
        if tree is not None:
            found.append(entry["manager"])
    return found


def _content(item: Object) -> Object:
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key in _TRACKED}
    rest = {key: value for key, value in item.items() if key not in ("apiVersion", "kind", "metadata")}
    return rest | ({"metadata": metadata} if metadata else {})


def _changed(old: Any, new: Object) -> Object:
    before = old if isinstance(old, dict) else {}
    found: Object = {}
    for key, value in new.items():
        if key in before and before[key] == value:
            continue
        inner = isinstance(value, dict) and bool(value)
        found[f"f:{key}"] = _changed(before.get(key), value) if inner else {}
        if inner and key not in before:
            found[f"f:{key}"]["."] = {}
    return found


def _union(one: Object, other: Object) -> Object:
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _union(merged.get(key, {}), value)
    return merged


def _without(tree: Object, taken: Object) -> Object:
    """The fields of a tree without the given ones; only leaves are removed."""
    found: Object = {}
    for key, value in tree.items():
        if key not in taken:
            found[key] = value
        elif taken[key] and (left := _without(value, taken[key])):
            found[key] = left
    return found
