"""Resize: another number of GPUs, or a MIG slice, for each replica."""

from typing import Any

from gpuwise.enact.images import pointer
from gpuwise.enact.refusal import Refusal, Wanted
from gpuwise.model.changes import Resize
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import CARD_SHARES
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices
from gpuwise.model.reasons import Reason

_CONTAINERS = ("spec", "template", "spec", "containers")


def plan_resize(kind: str, item: Object, change: Resize) -> Wanted | Refusal:
    """Which fields give each replica its new GPUs: those of the one container that asks for them.

    Args:
        kind: of the object.
        item: as it is now.
        change: what it should have now, and what it shall have.
    """
    if kind not in ("Deployment", "StatefulSet"):
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"the template of a {kind} cannot be changed safely")
    spec = item["spec"]["template"]["spec"]
    asking = [at for at, container in enumerate(spec["containers"]) if _count(container, change.current)]
    if not asking:
        return Refusal(Reason.CHANGED_SINCE_PLANNED, f"no container asks for {change.current.resource} now")
    if len(asking) > 1 or any(_count(one, change.current) for one in spec.get("initContainers") or []):
        detail = f"more than one container asks for {change.current.resource}"
        return Refusal(Reason.KIND_NOT_SUPPORTED, detail)
    container = spec["containers"][asking[0]]
    shares = sorted(CARD_SHARES & ((container.get("resources") or {}).get("limits") or {}).keys())
    if shares:
        return Refusal(Reason.CARD_SHARED, f"HAMi shares its card by {shares[0]}: change that")
    have = _count(container, change.current)
    if have != change.current.count:
        detail = f"it asks for {have} of {change.current.resource} now, the plan was made for {change.current.count}"
        return Refusal(Reason.CHANGED_SINCE_PLANNED, detail)
    return _swap(asking[0], container, change)


def _count(container: Object, request: GpuRequest) -> int | None:
    resources: dict[str, Any] = container.get("resources") or {}
    amounts = (resources.get("requests") or {}) | (resources.get("limits") or {})
    return devices(amounts[request.resource]) if request.resource in amounts else None


def _swap(at: int, container: Object, change: Resize) -> Wanted:
    """The old resource goes from limits and requests, the new one comes; the API wants both equal for devices."""
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
    # The container is known by its place: its name says at undo that nobody has moved it.
    return Wanted(values, frozenset(old - values.keys()), frozenset({pointer(*where, "name")}))
