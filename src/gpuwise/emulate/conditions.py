"""Conditions of a status, updated as the controllers do."""

from typing import Any

from gpuwise.emulate.status import Object


def find(item: Object, kind: str) -> Object | None:
    """The condition of a type, None if it does not exist."""
    conditions = (item.get("status") or {}).get("conditions") or []
    found: Object | None = next((one for one in conditions if one["type"] == kind), None)
    return found


def made(kind: str, status: str, reason: str, message: str, *times: str, now: str) -> Object:
    """A condition with all its times set to now.

    Args:
        kind: its type.
        status: True, False or Unknown.
        reason: CamelCase reason.
        message: human-readable.
        *times: the time fields, in the order in which they are written.
        now: RFC 3339.
    """
    found: dict[str, Any] = {"type": kind, "status": status} | dict.fromkeys(times, now)
    return found | {"reason": reason, "message": message}


def moved(conditions: list[Object], new: Object) -> list[Object]:
    """Set a condition and move it to the end if it changed, as Deployments do; an equal one changes nothing."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    if old is not None and all(old.get(field) == new[field] for field in ("status", "reason", "message")):
        return conditions
    return [one for one in conditions if one["type"] != new["type"]] + [_dated(old, new)]


def replaced(conditions: list[Object], new: Object) -> list[Object]:
    """Set a condition in place, as most kinds do; an equal one changes nothing."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    if old is None:
        return [*conditions, new]
    fields = ("status", "reason", "message", "observedGeneration")
    if all(old.get(field) == new.get(field) for field in fields):
        return conditions
    return [_dated(old, new) if one is old else one for one in conditions]


def without(conditions: list[Object], kind: str) -> list[Object]:
    """Remove a condition."""
    return [one for one in conditions if one["type"] != kind]


def _dated(old: Object | None, new: Object) -> Object:
    if old is None or old["status"] != new["status"] or "lastTransitionTime" not in old:
        return new
    return new | {"lastTransitionTime": old["lastTransitionTime"]}
