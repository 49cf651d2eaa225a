"""Strategic-merge patch: lists are merged by the keys that Kubernetes' types declare; supports its directives."""

from typing import Any

from gpuwise.emulate.schema import Field, fields_of
from gpuwise.emulate.status import ApiFailure

_DIRECTIVE, _ORDER, _DROP, _RETAIN = "$patch", "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def strategic_merge(schema: str, target: Any, patch: Any) -> Any:
    """Apply a strategic-merge patch and return the new value; the target is not changed.

    Args:
        schema: the type of the target in fields.json.
        target: the value to patch.
        patch: the patch.

    Raises:
        ApiFailure: 500 for an unknown directive, or a list element without its merge key.
    """
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(_DIRECTIVE, "merge")
    if directive not in ("merge", "replace", "delete"):
        raise _unknown(patch)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    return _merge_map(schema, target if isinstance(target, dict) else {}, patch)


def _merge_map(schema: str, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(schema) or {}
    merged = dict(target)
    if _RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            merged.pop(key, None)
            continue
        field = fields.get(key)
        if isinstance(value, list) and field is not None and field.merge_key is not None:
            order = patch.get(_ORDER + key)
            merged[key] = _merge_list(field, merged.get(key) or [], value, order)
        elif isinstance(value, dict):
            kind = field.kind if field is not None and not field.shape else ""
            merged[key] = strategic_merge(kind, merged.get(key), value)
        else:
            merged[key] = value
    for key, value in patch.items():
        if key.startswith(_DROP):
            name = key.removeprefix(_DROP)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
        if key.startswith(_ORDER) and key.removeprefix(_ORDER) not in patch:
            name = key.removeprefix(_ORDER)
            field = fields.get(name)
            merged[name] = _ordered(field.merge_key if field else None, merged.get(name) or [], value)
    return merged


def _merge_list(field: Field, target: list[Any], patch: list[Any], order: list[Any] | None) -> list[Any]:
    if {_DIRECTIVE: "replace"} in patch:
        return [item for item in patch if item != {_DIRECTIVE: "replace"}]
    if not field.merge_key:
        return target + [item for item in patch if item not in target]
    key = field.merge_key
    merged, named = list(target), []
    for element in patch:
        directive = element.get(_DIRECTIVE) if isinstance(element, dict) else None
        if directive not in (None, "merge", "delete", "replace"):
            raise _unknown(element)
        if not isinstance(element, dict) or key not in element:
            raise ApiFailure(500, f"map: {_go(element)} does not contain declared merge key: {key}", reason="")
        at = next((i for i, item in enumerate(merged) if item.get(key) == element[key]), None)
        if directive == "delete":
            merged = merged if at is None else merged[:at] + merged[at + 1 :]
            continue
        named.append(element[key])
        if at is None:
            merged.append(strategic_merge(field.kind, {}, element))
        else:
            merged[at] = strategic_merge(field.kind, merged[at], element)
    if order is not None:
        return _ordered(key, merged, order)
    return _interleaved(key, merged, named, [item.get(key) for item in target])


def _interleaved(key: str, items: list[Any], named: list[Any], before: list[Any]) -> list[Any]:
    """Order patched elements as in the patch and others as in the target; the target's order takes precedence."""
    by_key = {item.get(key): item for item in items}
    patched = [name for name in named if name in by_key]
    others = [name for name in by_key if name not in named]
    found: list[Any] = []
    while patched and others:
        first, other = patched[0], others[0]
        patched_first = first not in before or before.index(first) < before.index(other)
        found.append(patched.pop(0) if patched_first else others.pop(0))
    return [by_key[name] for name in (*found, *patched, *others)]


def _ordered(key: str | None, items: list[Any], order: list[Any]) -> list[Any]:
    def place(item: Any) -> int:
        probe = {key: item.get(key)} if key and isinstance(item, dict) else item
        return order.index(probe) if probe in order else len(order)

    return sorted(items, key=place)


def _unknown(element: Any) -> ApiFailure:
    return ApiFailure(500, f"unknown patch type: {element[_DIRECTIVE]} in map: {_go(element)}", reason="")


def _go(value: Any) -> str:
    """A value as Go's %v prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    return str(value)
