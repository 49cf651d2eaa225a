"""MoveToSpot and MoveToOnDemand: prefer or exclude spot nodes by node affinity.

On spot, on-demand nodes stay possible (I22). A move to on-demand excludes each of the labels of spot nodes.
"""

from typing import Any

from gpuwise.enact.images import pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.rollout import blocked_rollout
from gpuwise.model.changes import MoveToSpot
from gpuwise.model.labels import ZONE_LABEL
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
# What a move to on-demand excludes: also the labels of GKE, CAST AI and kOps that gpuwise never asks for.
_EXCLUDED = {key: [value] for key, value in SPOT_LABELS.items()} | {
    "cloud.google.com/gke-provisioning": ["spot", "preemptible"],
    "cloud.google.com/gke-preemptible": ["true"],
    "scheduling.cast.ai/spot": ["true"],
    "node-role.kubernetes.io/spot-worker": ["true"],
}
# Labels that nodes of every capacity type have, and their values on those that are not spot nodes.
_OF_ALL_NODES = ("karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType", "cloud.google.com/gke-provisioning")
_NOT_SPOT = {"on-demand", "ON_DEMAND", "standard"}
# Node pools whose nodes all have one capacity type: GKE, EKS and AKS.
_POOLS = ("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool", "agentpool")
_SPEC = ("spec", "template", "spec")
_AFFINITY = ("affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
# A spot node in another zone is preferred to an on-demand node in the zone.
_HIGHEST_WEIGHT, _ZONE_WEIGHT = 100, 50


def plan_spot(kind: str, item: Object, change: MoveToSpot) -> FieldChanges | Refusal:
    """Plan the fields that move a workload's pods to spot nodes; existing preferences and tolerations are kept.

    Args:
        kind: kind of the object.
        item: the object, as read from the API server.
        change: whether on-demand nodes are the fallback, and which zone is preferred.
    """
    if change.only:
        return Refusal(Reason.KIND_NOT_SUPPORTED, "gpuwise does not write spot without the fallback: do it yourself")
    if (refused := _refused(kind, item)) is not None:
        return refused
    spec = item["spec"]["template"]["spec"]
    pinned = _pinned(spec)
    if any(value != SPOT_LABELS[key] for key, value in pinned.items()):
        return Refusal(Reason.NOT_INTERRUPTIBLE, f"its nodeSelector requires other nodes: {pinned}")
    excluded = [_own_exclusion(term) for term in _required(spec)]
    if excluded and all(excluded):
        return Refusal(Reason.NOT_INTERRUPTIBLE, f"its node affinity excludes spot nodes: {_named(excluded[0])}")
    wanted = [_term(key) for key in SPOT_LABELS]
    if change.zone is not None:
        wanted.append(_preference(_ZONE_WEIGHT, {"key": ZONE_LABEL, "operator": "In", "values": [change.zone]}))
    preferred = _preferred(spec)
    terms = preferred + [term for term in wanted if term not in preferred]
    required = _required(spec)
    allowed = _any_capacity(required)
    tolerations = spec.get("tolerations") or []
    extended = tolerations + [one for one in map(_toleration, SPOT_LABELS) if one not in tolerations]
    if (terms, allowed, extended) == (preferred, required, tolerations):
        return Refusal(Reason.ALREADY_SPOT, "it already prefers spot nodes")
    fields = dict([_nested(spec, terms)] if allowed == required else [_rewritten(spec, terms, allowed)])
    return FieldChanges(fields | {pointer(*_SPEC, "tolerations"): extended})


def plan_on_demand(kind: str, item: Object) -> FieldChanges | Refusal:
    """Plan the fields that keep a workload's pods off spot nodes; what they tolerate and prefer stays.

    Args:
        kind: kind of the object.
        item: the object, as read from the API server.
    """
    if (refused := _refused(kind, item)) is not None:
        return refused
    spec = item["spec"]["template"]["spec"]
    fixed = (*_EXCLUDED, *_POOLS)
    pinned = {key: value for key, value in (spec.get("nodeSelector") or {}).items() if key in fixed}
    if pinned:
        return Refusal(
            Reason.NOT_APPLICABLE, f"its nodeSelector says on which nodes it runs: {pinned}; change it there"
        )
    required = _required(spec)
    allowed = _never_spot(required)
    if allowed == required:
        return Refusal(Reason.ON_CHOSEN_CAPACITY, "it already runs on no spot node")
    asks = [[one for one in term.get("matchExpressions") or [] if _asks(one)] for term in _any_capacity(required)]
    if asks and all(asks):
        return Refusal(
            Reason.NOT_APPLICABLE,
            f"its node affinity says on which nodes it runs: {_named(asks[0])}; change it there",
        )
    return FieldChanges(dict([_rewritten(spec, _preferred(spec), allowed)]))


def _refused(kind: str, item: Object) -> Refusal | None:
    if kind not in ("Deployment", "StatefulSet"):
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"the template of a {kind} cannot be changed safely")
    return blocked_rollout(item)


def _pinned(spec: Object) -> dict[str, str]:
    return {key: value for key, value in (spec.get("nodeSelector") or {}).items() if key in SPOT_LABELS}


def _asks(one: Object) -> bool:
    """Whether an expression asks for spot nodes or for one node pool, so that without spot nodes none is left."""
    values = set(one.get("values") or [])
    if one["key"] in _POOLS:
        return one["operator"] == "In" and len(values) == 1
    if one["key"] not in _EXCLUDED:
        return False
    if one["operator"] == "NotIn":
        return bool(values & _NOT_SPOT)
    return one["key"] not in _OF_ALL_NODES if one["operator"] == "Exists" else _means_spot(one, "In")


def _means_spot(one: Object, operator: str) -> bool:
    """Whether an expression has an operator with values of spot nodes alone."""
    values = set(one.get("values") or [])
    return one["operator"] == operator and bool(values) and values <= set(_EXCLUDED.get(one["key"], ()))


def _own_exclusion(term: Object) -> list[Object]:
    """What keeps a term off spot nodes, unless gpuwise wrote it, which excludes each of the labels."""
    here = term.get("matchExpressions") or []
    written = all(_expression(key, "NotIn") in here for key in SPOT_LABELS)
    return [] if written else [one for one in here if _means_spot(one, "NotIn")]


def _named(expressions: list[Object]) -> str:
    return ", ".join(f"{one['key']} {one['operator']} {one.get('values') or ''}".rstrip() for one in expressions)


def _required(spec: Object) -> list[Object]:
    """The terms of its required node affinity, of which one must hold; empty without one."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return list((affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or [])


def _any_capacity(terms: list[Object]) -> list[Object]:
    """The terms without what gpuwise adds to them: copies become one, and an empty one requires nothing."""
    added = [_expression(key, "In") for key in SPOT_LABELS] + _exclusions()
    found: list[Object] = []
    for term in terms:
        kept = [one for one in term.get("matchExpressions") or [] if one not in added]
        rest = {name: value for name, value in term.items() if name != "matchExpressions" and value}
        plain = rest | ({"matchExpressions": kept} if kept else {})
        if plain not in found:
            found.append(plain)
    return terms if found == terms else [term for term in found if term]


def _never_spot(terms: list[Object]) -> list[Object]:
    """A node without the label meets NotIn as well."""
    return [_with(term, _exclusions()) for term in _any_capacity(terms) or [{}]]


def _exclusions() -> list[Object]:
    return [{"key": key, "operator": "NotIn", "values": list(values)} for key, values in _EXCLUDED.items()]


def _with(term: Object, expressions: list[Object]) -> Object:
    return term | {"matchExpressions": [*(term.get("matchExpressions") or []), *expressions]}


def _rewritten(spec: Object, preferred: list[Object], required: list[Object]) -> tuple[str, Any]:
    """The whole affinity with these terms: one field, so that undo restores what was absent."""
    affinity = dict(spec.get("affinity") or {})
    nodes = {key: value for key, value in (affinity.get("nodeAffinity") or {}).items() if key != _REQUIRED}
    if preferred:
        nodes[_AFFINITY[-1]] = preferred
    if required:
        nodes[_REQUIRED] = {"nodeSelectorTerms": required}
    return pointer(*_SPEC, "affinity"), affinity | {"nodeAffinity": nodes}


def _preferred(spec: Object) -> list[Object]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return list(affinity.get(_AFFINITY[-1]) or [])


def _term(key: str) -> Object:
    return _preference(_HIGHEST_WEIGHT, _expression(key, "In"))


def _preference(weight: int, expression: Object) -> Object:
    return {"weight": weight, "preference": {"matchExpressions": [expression]}}


def _expression(key: str, operator: str) -> Object:
    return {"key": key, "operator": operator, "values": [SPOT_LABELS[key]]}


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
