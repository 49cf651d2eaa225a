"""What the server says of itself: versions and the kinds it serves."""

from gpuwise.emulate.resources import RESOURCES, Resource
from gpuwise.emulate.status import Object

MINOR = 31
VERSION = {
    "major": "1",
    "minor": str(MINOR),
    "gitVersion": f"v1.{MINOR}.0+emulated",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "emulated",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def discover(path: str) -> Object | None:
    """The answer to a discovery path, None if it is none."""
    answer: Object | None = None
    match path.strip("/").split("/"):
        case ["version"]:
            answer = dict(VERSION)
        case ["api"]:
            answer = {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            answer = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}
        case ["apis", name] if name in _groups():
            answer = {"kind": "APIGroup", "apiVersion": "v1"} | _group(name)
        case ["api", version]:
            answer = _resources(version, [row for row in RESOURCES if not row.group and row.version == version])
        case ["apis", name, version]:
            rows = [row for row in RESOURCES if (row.group, row.version) == (name, version)]
            answer = _resources(f"{name}/{version}", rows)
    return answer


def _groups() -> list[str]:
    return list(dict.fromkeys(row.group for row in RESOURCES if row.group))


def _group(name: str) -> Object:
    versions = dict.fromkeys(row.version for row in RESOURCES if row.group == name)
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(version: str, rows: list[Resource]) -> Object | None:
    if not rows:
        return None
    entries = [_entry(row, "") for row in rows]
    entries += [_entry(row, f"/{part}") for row in rows for part in sorted(row.subresources)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": entries}


def _entry(row: Resource, part: str) -> Object:
    names = {"shortNames": [row.short]} if row.short and not part else {}
    return names | {
        "name": row.plural + part,
        "singularName": "" if part else row.kind.lower(),
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": ["get", "patch", "update"] if part else _VERBS,
    }
