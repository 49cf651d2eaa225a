"""The server's information about itself: versions, resources, and health."""

import base64
import hashlib
from typing import Any

from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import CORE_EVENTS, NAMESPACES, Resource
from gpuwise.emulate.status import NoSuchPath, NoSuchSchema, Object, method_not_allowed, no_such_resource, not_emulated

MINOR = 36
VERSION = {
    "major": "1",
    "minor": str(MINOR),
    "emulationMajor": "1",
    "emulationMinor": str(MINOR),
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": str(MINOR - 1),
    "gitVersion": f"v1.{MINOR}.2",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.10",
    "compiler": "gc",
    "platform": "linux/amd64",
}
"""Version of the server whose answers were recorded, so that clients that check the version behave the same."""

_HEALTH = ("healthz", "livez", "readyz")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_PARTS: dict[str, tuple[str, ...]] = {
    "eviction": ("create",),
    "binding": ("create",),
    "log": ("get",),
    "finalize": ("update",),
}
_PART_KINDS = {
    "scale": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
    "binding": {"kind": "Binding"},
}
_ALL = frozenset({"pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs"})


def discover(registry: Registry, path: str, method: str) -> Object | str:
    """The response for a path that is not a resource: JSON, or text.

    Raises:
        ApiFailure: 404, 405 or 501.
    """
    parts = path.strip("/").split("/")
    if "//" in path:
        raise NoSuchPath
    if parts[0] in _HEALTH:
        if len(parts) == 1 or parts[1:] == ["ping"]:
            return "ok"
        raise NoSuchPath
    if parts == ["version"]:
        if method != "GET":
            raise method_not_allowed()
        return dict(VERSION)
    answer = _groups(registry, parts)
    if answer is not None:
        return answer
    if parts[:2] == ["openapi", "v3"] and len(parts) > 2 and not registry.versions(parts[3] if len(parts) > 3 else ""):
        raise NoSuchSchema
    if parts[0] in ("openapi", "metrics"):
        raise not_emulated(path)
    raise NoSuchPath


def _groups(registry: Registry, parts: list[str]) -> Object | None:
    match parts:
        case ["api"]:
            servers = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:0"}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": servers}
        case ["apis"]:
            groups = [_group(registry, name) for name in registry.groups()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", name] if registry.versions(name):
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(registry, name)
        case ["api", "v1"]:
            return _resources(registry, "", "v1")
        case ["api", _]:
            raise no_such_resource()
        case ["apis", name, version] if registry.versions(name):
            if version in registry.versions(name):
                return _resources(registry, name, version)
            if any(row.group == name and row.builtin for row in registry.rows()):
                raise no_such_resource()
    return None


def _group(registry: Registry, name: str) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in registry.versions(name)]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(registry: Registry, group: str, version: str) -> Object:
    rows = [row for row in registry.rows() if (row.group, row.version) == (group, version)]
    entries: list[Object] = []
    for row in sorted(rows, key=lambda row: row.plural):
        entries.append(_entry(row))
        order = sorted(row.subresources, reverse=not row.builtin)
        entries += [_part(row, part) for part in order]
    head = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
    return head | {"groupVersion": f"{group}/{version}" if group else version, "resources": entries}


def _entry(row: Resource) -> Object:
    verbs: tuple[str, ...] = _VERBS if row.builtin else _CUSTOM_VERBS
    if row is NAMESPACES:
        verbs = tuple(verb for verb in verbs if verb != "deletecollection")
    singular = (row.definition.get("names") or {}).get("singular", row.kind.lower())
    found: dict[str, Any] = {
        "name": row.plural,
        "singularName": singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": list(verbs),
    }
    if row.short:
        found["shortNames"] = [row.short]
    if row.builtin and (row.plural in _ALL or row.plural in ("services", "horizontalpodautoscalers")):
        found["categories"] = ["all"]
    kept = "v1" if row is CORE_EVENTS else row.version
    group = "" if row.kind == "Event" else row.group
    text = f"{group}/{kept}/{row.kind}"
    return found | {"storageVersionHash": base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()}


def _part(row: Resource, part: str) -> Object:
    return {
        "name": f"{row.plural}/{part}",
        "singularName": "",
        "namespaced": row.namespaced,
        **_PART_KINDS.get(part, {"kind": row.kind}),
        "verbs": list(_PARTS.get(part, ("get", "patch", "update"))),
    }
