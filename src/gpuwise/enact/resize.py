"""Resize: give each replica another number of GPUs, or a MIG slice."""

from typing import Any

from gpuwise.enact.images import pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.rollout import blocked_rollout
from gpuwise.model.changes import Resize
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import CARD_SHARES
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices
from gpuwise.model.reasons import Reason

_CONTAINERS = ("spec", "template", "spec", "containers")


def plan_resize(kind: str, item: Object, change: Resize) -> FieldChanges | Refusal:
    """Plan the fields of a resize: the resources of the one container that requests GPUs.

    Args:
        kind: kind of the object.
        item: the object, as read from the API server.
        change: the expected current request, and the new one.
    """
    if kind not in ("Deployment", "StatefulSet"):
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"the template of a {kind} cannot be changed safely")
    if (blocked := blocked_rollout(item)) is not None:
        return blocked
    spec = item["spec"]["template"]["spec"]
    requesting = [at for at, container in enumerate(spec["containers"]) if _count(container, change.current)]
    if not requesting:
        return Refusal(Reason.CHANGED_SINCE_PLANNED, f"no container requests {change.current.resource} now")
    if len(requesting) > 1 or any(_count(one, change.current) for one in spec.get("initContainers") or []):
        detail = f"more than one container requests {change.current.resource}"
        return Refusal(Reason.KIND_NOT_SUPPORTED, detail)
    container = spec["containers"][requesting[0]]
    shares = sorted(CARD_SHARES & ((container.get("resources") or {}).get("limits") or {}).keys())
    if shares:
        return Refusal(Reason.CARD_SHARED, f"HAMi shares its card by {shares[0]}: change that resource instead")
    have = _count(container, change.current)
    if have != change.current.count:
        detail = f"it requests {have} of {change.current.resource} now; the plan expected {change.current.count}"
        return Refusal(Reason.CHANGED_SINCE_PLANNED, detail)
    return _swap(requesting[0], container, change)


def requests(item: Object, request: GpuRequest) -> bool:
    """Return whether a container of an object's template requests exactly these GPUs.

    Args:
        item: a Deployment or StatefulSet, as read from the API server.
        request: the resource and its count.
    """
    return any(_count(one, request) == request.count for one in item["spec"]["template"]["spec"]["containers"])


def _count(container: Object, request: GpuRequest) -> int | None:
    resources: dict[str, Any] = container.get("resources") or {}
    amounts = (resources.get("requests") or {}) | (resources.get("limits") or {})
    return devices(amounts[request.resource]) if request.resource in amounts else None


def _swap(at: int, container: Object, change: Resize) -> FieldChanges:
    """Replace the old resource by the new one in limits and requests: for devices the API requires both equal."""
    where = (*_CONTAINERS, at)
    sections = [
        section
        for section in ("limits", "requests")
        if change.current.resource in ((container.get("resources") or {}).get(section) or {})
    ]
    values = {
        pointer(*where, "resources", section, change.proposed.resource): str(change.proposed.count)
        for section in dict.fromkeys(["limits", *sections])
    }
    old = {pointer(*where, "resources", section, change.current.resource) for section in sections}
    # The pointer contains the container's index. Its name is compared at undo, to detect that it was moved.
    return FieldChanges(values, frozenset(old - values.keys()), frozenset({pointer(*where, "name")}))
