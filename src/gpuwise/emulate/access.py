"""Who asks, what they may do, and what was asked."""

import re
from dataclasses import dataclass

from gpuwise.emulate.status import ApiFailure
from gpuwise.emulate.target import Target

READS = frozenset({"get", "list", "watch"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class User:
    """A token's owner.

    Attributes:
        name: as error messages and the log say it.
        verbs: what they may do, on everything.
    """

    name: str
    verbs: frozenset[str]


ADMIN = User("admin", READS | WRITES)
READER = User("reader", READS)


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the log.

    Attributes:
        verb: as RBAC has it: get, list, watch, create, update, patch, delete or deletecollection.
        path: without the query.
        user: who, "" if the token was not known.
        dry_run: nothing was kept.
        status: HTTP status of the answer.
    """

    verb: str
    path: str
    user: str
    dry_run: bool
    status: int


def authenticate(header: str | None, users: dict[str, User]) -> User:
    """Find the owner of a bearer token.

    Raises:
        ApiFailure: 401.
    """
    match = re.fullmatch(r"Bearer (.+)", header or "")
    user = users.get(match[1]) if match else None
    if user is None:
        raise ApiFailure(401, "Unauthorized")
    return user


def authorize(user: User, verb: str, target: Target) -> None:
    """Check that they may.

    Raises:
        ApiFailure: 403.
    """
    if verb in user.verbs:
        return
    resource = "/".join(filter(None, (target.resource.plural, target.subresource)))
    where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
    name = f' "{target.name}"' if target.name else ""
    raise ApiFailure(
        403,
        f'{target.resource.label}{name} is forbidden: User "{user.name}" cannot {verb} resource "{resource}"'
        f' in API group "{target.resource.group}"{where}',
    )
