"""The target of a request: the parsed path, first for authorization, then as a served resource."""

from dataclasses import dataclass

from gpuwise.emulate.registry import REVIEWS, UNSERVED, Registry
from gpuwise.emulate.resources import NAMESPACES, Resource
from gpuwise.emulate.status import (
    ApiFailure,
    NoSuchPath,
    method_not_allowed,
    no_such_resource,
    not_emulated,
    not_found,
)

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PART_METHODS = {
    "status": {"GET", "PUT", "PATCH"},
    "scale": {"GET", "PUT", "PATCH"},
    "resize": {"GET", "PUT", "PATCH"},
    "log": {"GET"},
    "eviction": {"POST"},
    "binding": {"POST"},
    "finalize": {"PUT"},
}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A parsed request, for authorization, before it is known whether the path is served.

    Attributes:
        verb: RBAC verb: get, list, watch, create, update, patch, delete or deletecollection.
        path: the complete path, without the query.
        group: API group, "" for the core.
        version: API version, "" for a path that is not a resource.
        plural: the resource, "" for a path that is not a resource.
        namespace: the namespace, "" for all namespaces or a resource that is not namespaced.
        name: the object's name, "" for the collection.
        part: the subresource, "" for none.
        rest: path segments after the subresource.
    """

    verb: str
    path: str
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    part: str = ""
    rest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, an object or a subresource of one.

    Attributes:
        resource: the resource.
        namespace: the namespace, "" for all namespaces or a resource that is not namespaced.
        name: the object's name, "" for the collection.
        subresource: a subresource of the resource, "" for none.
    """

    resource: Resource
    namespace: str
    name: str
    subresource: str


def request_info(method: str, path: str, *, watch: bool, field_name: str = "") -> RequestInfo:
    """Parse a path.

    Args:
        method: HTTP method.
        path: without the query.
        watch: whether the query requests a watch.
        field_name: the name required by a field selector, which RBAC uses as the object's name.
    """
    parts = path.strip("/").split("/")
    group, version, rest = "", "", parts
    if parts[0] == "api" and len(parts) > 2 and "" not in parts:
        version, rest = parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3 and "" not in parts:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(method.lower(), path)
    if rest[0] == "watch" and len(rest) > 1:
        watch, rest = True, rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACES.subresources:
            rest = rest[2:]
    padded = [*rest, "", "", ""]
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not padded[1]:
        verb = "watch" if watch else "list"
    if verb == "delete" and not padded[1]:
        verb = "deletecollection"
    name = padded[1] or (field_name if verb in ("list", "watch", "deletecollection") else "")
    return RequestInfo(verb, path, group, version, padded[0], namespace, name, padded[2], tuple(rest[3:]))


def find(registry: Registry, asked: RequestInfo, method: str) -> Target:
    """The served resource at a path.

    Raises:
        ApiFailure: 404 if it is not served, 405 if it does not support the method, 501 if it is not emulated.
    """
    resource = registry.find(asked.group, asked.version, asked.plural)
    if resource is None:
        raise _absent(registry, asked, method)
    named = asked.name if asked.verb not in ("list", "watch", "deletecollection") else ""
    namespace = asked.namespace if resource.namespaced else ""
    has_extra_namespace = bool(asked.namespace and not resource.namespaced and resource.plural != "namespaces")
    lacks_namespace = bool(resource.namespaced and named and not namespace)
    if has_extra_namespace or lacks_namespace or asked.rest:
        raise no_such_resource() if resource.builtin else NoSuchPath()
    if asked.part and asked.part not in resource.subresources:
        raise no_such_resource() if resource.builtin else not_found(resource, named)
    _check_method(resource, asked, method, named=bool(named))
    return Target(resource, namespace, named, asked.part)


def _check_method(resource: Resource, asked: RequestInfo, method: str, *, named: bool) -> None:
    if asked.part:
        allowed = _PART_METHODS[asked.part]
    elif named:
        allowed = {"GET", "PUT", "PATCH", "DELETE"}
    else:
        inside = bool(asked.namespace) or not resource.namespaced
        allowed = {"GET", "POST", "DELETE"} if inside and resource is not NAMESPACES else {"GET"}
        if resource is NAMESPACES:
            allowed = {"GET", "POST"}
    if method not in allowed:
        raise method_not_allowed()


def _absent(registry: Registry, asked: RequestInfo, method: str) -> ApiFailure:
    where = asked.group, asked.version
    if asked.plural in REVIEWS.get(where, ()):
        return no_such_resource() if asked.name else method_not_allowed()
    if asked.plural in UNSERVED.get(where, ()):
        # Bindings can only be created.
        return method_not_allowed() if asked.plural == "bindings" and method == "GET" else not_emulated(asked.path)
    builtin = not asked.group or any(row.group == asked.group and row.builtin for row in registry.rows())
    if builtin or where in UNSERVED or where in REVIEWS or asked.group in _BUILTIN_GROUPS:
        return no_such_resource()
    return NoSuchPath()


_BUILTIN_GROUPS = {group for group, _ in (*UNSERVED, *REVIEWS)}
