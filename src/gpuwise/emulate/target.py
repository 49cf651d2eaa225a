"""What a request speaks of: the path, taken apart."""

from dataclasses import dataclass

from gpuwise.emulate.resources import BY_PLURAL, NAMESPACES, Resource
from gpuwise.emulate.status import no_such_path


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, an object or a subresource of one.

    Attributes:
        resource: of which kind.
        namespace: where, "" for all of them or for a kind without.
        name: which, "" for the collection.
        subresource: "", or one that the kind has.
    """

    resource: Resource
    namespace: str
    name: str
    subresource: str


def target_of(path: str) -> Target:
    """Take a path apart.

    Raises:
        ApiFailure: 404, nothing is served there.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACES.subresources:
        namespace, rest = rest[1], rest[2:]
    resource = BY_PLURAL.get((group, version, rest[0]))
    padded = [*rest, "", ""]
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    target = Target(resource, namespace, padded[1], padded[2])
    unplaced = bool(resource.namespaced and target.name and not namespace)
    if unplaced or (target.subresource and target.subresource not in resource.subresources):
        raise no_such_path()
    return target


def verb_of(method: str, target: Target, *, watch: bool) -> str:
    """RBAC's word for what is asked."""
    if method == "GET":
        return "get" if target.name else "watch" if watch else "list"
    if method == "DELETE" and not target.name:
        return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
