"""Users, their permissions, and the log of requests."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpuwise.emulate.status import ApiFailure, details_of
from gpuwise.emulate.target import RequestInfo

READS = frozenset({"get", "list", "watch"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"

_PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
_SELF = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})


@dataclass(frozen=True, slots=True)
class User:
    """The owner of a token.

    Attributes:
        name: as shown in error messages and the log.
        groups: the groups in Kubernetes' sense; system:masters may do everything.
        verbs: allowed verbs, on every resource.
        role: name of the ClusterRole and ClusterRoleBinding that grant them.
        uid: as TokenReview returns it.
    """

    name: str
    groups: tuple[str, ...] = (AUTHENTICATED,)
    verbs: frozenset[str] = frozenset()
    role: str = ""
    uid: str = ""


ADMIN = User("admin", (MASTERS, AUTHENTICATED))
READER = User("reader", ("", AUTHENTICATED), READS, "wire-reader", "reader")
NOBODY = User("nobody", ("", AUTHENTICATED), uid="nobody")
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of the log.

    Attributes:
        verb: RBAC verb: get, list, watch, create, update, patch, delete or deletecollection.
        path: without the query.
        user: name of the user, "" for an unknown token.
        dry_run: whether the request was a dry run.
        status: HTTP status of the response.
    """

    verb: str
    path: str
    user: str
    dry_run: bool
    status: int


def authenticate(header: str | None, users: dict[str, User]) -> User:
    """Find the owner of a bearer token; a request without a token is the anonymous user's.

    Raises:
        ApiFailure: 401, the token is unknown.
    """
    if not header:
        return ANONYMOUS
    match = re.fullmatch(r"Bearer (.+)", header)
    user = users.get(match[1]) if match else None
    if user is None:
        raise ApiFailure(401, "Unauthorized")
    return user


def allowed(user: User, asked: RequestInfo) -> str | None:
    """The authorizer's reason to allow the request, possibly ""; None if it is not allowed."""
    if MASTERS in user.groups:
        return ""
    known = AUTHENTICATED in user.groups
    if not asked.plural:
        return _path_allowed(asked, known=known)
    if asked.verb in user.verbs:
        return f'RBAC: allowed by ClusterRoleBinding "{user.role}" of ClusterRole "{user.role}" to User "{user.name}"'
    if known and asked.verb == "create" and asked.plural in _SELF:
        return (
            'RBAC: allowed by ClusterRoleBinding "system:basic-user" of ClusterRole "system:basic-user"'
            f' to Group "{AUTHENTICATED}"'
        )
    return None


def _path_allowed(asked: RequestInfo, *, known: bool) -> str | None:
    if asked.verb not in ("get", "head"):
        return None
    by = "system:discovery"
    below = asked.path in ("/api", "/apis", "/openapi") or asked.path.startswith(("/api/", "/apis/", "/openapi/"))
    if known and (below or asked.path in _PUBLIC):
        return f'RBAC: allowed by ClusterRoleBinding "{by}" of ClusterRole "{by}" to Group "{AUTHENTICATED}"'
    if asked.path in _PUBLIC or asked.path.startswith("/.well-known"):
        by, group = "system:public-info-viewer", "system:unauthenticated"
        return f'RBAC: allowed by ClusterRoleBinding "{by}" of ClusterRole "{by}" to Group "{group}"'
    return None


def authorize(user: User, asked: RequestInfo) -> None:
    """Check that the user may send the request.

    Raises:
        ApiFailure: 403.
    """
    if allowed(user, asked) is not None:
        return
    if not asked.plural:
        raise ApiFailure(403, f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"', details={})
    resource = "/".join(filter(None, (asked.plural, asked.part)))
    where = f' in the namespace "{asked.namespace}"' if asked.namespace else " at the cluster scope"
    name = f' "{asked.name}"' if asked.name else ""
    label = f"{asked.plural}.{asked.group}" if asked.group else asked.plural
    raise ApiFailure(
        403,
        f'{label}{name} is forbidden: User "{user.name}" cannot {asked.verb} resource "{resource}"'
        f' in API group "{asked.group}"{where}',
        details=details_of(asked.name, asked.group, asked.plural),
    )


def by_name(users: Iterable[User], name: str) -> User | None:
    """The user with a name, None if there is none."""
    return next((user for user in users if user.name == name), None)
