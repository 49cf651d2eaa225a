"""MoveToSpot: prefer spot nodes and tolerate their taints; on-demand nodes stay the fallback (I22)."""

from typing import Any

from gpuwise.enact.images import pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.rollout import blocked_rollout
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

# Labels of spot nodes by provider, with the value that means spot. GKE and AKS also taint them with the same key;
# with Karpenter and EKS that is a convention. See model/labels.py CAPACITY_TYPE_LABELS.
SPOT_LABELS = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
_SPEC = ("spec", "template", "spec")
_AFFINITY = ("affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
_HIGHEST_WEIGHT = 100


def plan_spot(kind: str, item: Object) -> FieldChanges | Refusal:
    """Plan the fields that make a workload's pods prefer spot nodes; existing preferences and tolerations are kept.

    Args:
        kind: kind of the object.
        item: the object, as read from the API server.
    """
    if kind not in ("Deployment", "StatefulSet"):
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"the template of a {kind} cannot be changed safely")
    if (blocked := blocked_rollout(item)) is not None:
        return blocked
    spec = item["spec"]["template"]["spec"]
    pinned = {key: value for key, value in (spec.get("nodeSelector") or {}).items() if key in SPOT_LABELS}
    if any(value != SPOT_LABELS[key] for key, value in pinned.items()):
        return Refusal(Reason.NOT_INTERRUPTIBLE, f"its nodeSelector requires other nodes: {pinned}")
    preferred = _preferred(spec)
    terms = preferred + [term for term in map(_term, SPOT_LABELS) if term not in preferred]
    tolerations = spec.get("tolerations") or []
    extended = tolerations + [one for one in map(_toleration, SPOT_LABELS) if one not in tolerations]
    if terms == preferred and extended == tolerations:
        return Refusal(Reason.ALREADY_SPOT, "it already prefers spot nodes")
    at, value = _nested(spec, terms)
    return FieldChanges({at: value, pointer(*_SPEC, "tolerations"): extended})


def _preferred(spec: Object) -> list[Object]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return list(affinity.get(_AFFINITY[-1]) or [])


def _term(key: str) -> Object:
    expression = {"key": key, "operator": "In", "values": [SPOT_LABELS[key]]}
    return {"weight": _HIGHEST_WEIGHT, "preference": {"matchExpressions": [expression]}}


def _toleration(key: str) -> Object:
    return {"key": key, "operator": "Equal", "value": SPOT_LABELS[key], "effect": "NoSchedule"}


def _nested(spec: Object, terms: list[Object]) -> tuple[str, Any]:
    """Return the topmost absent field of the affinity, with the terms in it: undo then removes exactly that field."""
    value: Any = terms
    for depth in range(1, len(_AFFINITY)):
        parent: Any = spec
        for part in _AFFINITY[:depth]:
            parent = parent.get(part) if isinstance(parent, dict) else None
        if parent is None:
            for part in reversed(_AFFINITY[depth:]):
                value = {part: value}
            return pointer(*_SPEC, *_AFFINITY[:depth]), value
    return pointer(*_SPEC, *_AFFINITY), value
