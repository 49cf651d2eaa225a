"""Strategic-merge patch: lists merged by the key that Kubernetes' types declare, and its directives.

Source of the keys: the `patchMergeKey` tags in k8s.io/api (core, apps, batch, policy). A list that is not here is
atomic, tolerations and taints among them: the patch replaces it.
"""

from typing import Any

from gpuwise.emulate.status import ApiFailure

MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "port"),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "resourceClaims": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "addresses": ("type",),
    "podIPs": ("ip",),
    "secrets": ("name",),
}
_SETS = frozenset({"finalizers"})
_DIRECTIVE, _ORDER, _DROP, _RETAIN = "$patch", "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def strategic_merge(target: Any, patch: Any) -> Any:
    """Apply a strategic-merge patch and give the new value; the target is left alone.

    Raises:
        ApiFailure: 400 for a directive that does not exist, 422 for a list element without its merge key.
    """
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(_DIRECTIVE, "merge")
    if directive not in ("merge", "replace", "delete"):
        raise ApiFailure(400, f"unknown patch directive: {directive!r}")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    return _merge_map(target if isinstance(target, dict) else {}, patch)


def _merge_map(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    if _RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _merge_list(key, merged.get(key) or [], value)
        else:
            merged[key] = strategic_merge(merged.get(key), value)
    for key, value in patch.items():
        if key.startswith(_DROP):
            name = key.removeprefix(_DROP)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            merged[name] = _ordered(name, merged.get(name) or [], value)
    return merged


def _merge_list(name: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if {_DIRECTIVE: "replace"} in patch:
        return [item for item in patch if item != {_DIRECTIVE: "replace"}]
    if name in _SETS:
        return target + [item for item in patch if item not in target]
    keys = MERGE_KEYS.get(name)
    if keys is None or not all(isinstance(item, dict) for item in target + patch):
        return patch
    merged = list(target)
    for element in patch:
        key = _merge_key(name, keys, element)
        at = next((i for i, item in enumerate(merged) if item.get(key) == element[key]), None)
        if element.get(_DIRECTIVE) == "delete":
            merged = merged if at is None else merged[:at] + merged[at + 1 :]
        elif at is None:
            merged.append(strategic_merge({}, element))
        else:
            merged[at] = strategic_merge(merged[at], element)
    return merged


def _merge_key(name: str, keys: tuple[str, ...], element: dict[str, Any]) -> str:
    key = next((key for key in keys if key in element), None)
    if key is None:
        raise ApiFailure(422, f"map: {element} does not contain declared merge key: {keys[0]} (in {name})")
    return key


def _ordered(name: str, items: list[Any], order: list[Any]) -> list[Any]:
    def place(item: Any) -> int:
        probe = item
        if isinstance(item, dict):
            key = _merge_key(name, MERGE_KEYS.get(name, ("name",)), item)
            probe = {key: item[key]}
        return order.index(probe) if probe in order else len(order)

    return sorted(items, key=place)
