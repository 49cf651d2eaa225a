"""The rules of a policy: what their expressions see, and what they forbid."""

from collections.abc import Mapping
from typing import Any

from gpuwise.decide.calendar import instant
from gpuwise.decide.expression import Unevaluable, holds
from gpuwise.decide.question import Question, Refusal
from gpuwise.model.codec import to_plain
from gpuwise.model.inventory import Namespace, Workload
from gpuwise.model.reasons import Reason


def forbidden(q: Question) -> Refusal | None:
    """A rule of the policy forbids it, or cannot be evaluated (I11)."""
    rules = [rule for rule in q.situation.settings.rules if rule.people or q.actor is None]
    if not rules:
        return None
    seen = variables(q)
    for rule in rules:
        try:
            if holds(rule.forbid_if, seen):
                return Reason.RULE_FORBIDS, f"rule {rule.name}: {rule.message or rule.forbid_if}"
        except Unevaluable as error:
            return Reason.RULE_FORBIDS, f"rule {rule.name} cannot be evaluated, so it forbids: {error}"
    return None


def variables(q: Question) -> Mapping[str, Any]:
    """Return what expressions see, by name; docs/policy.md lists it.

    Args:
        q: the recommendation. Of a person's command, the workload's labels are not known.
    """
    item, target = q.recommendation, q.target
    return {
        "recommendation": {
            "id": item.id,
            "finding": item.finding.value,
            "change": to_plain(item.change),
            "owner": item.owner,
            "saving_usd_month": item.saving.usd_month,
            "saving_low_usd_month": item.saving.low_usd_month,
            "risk": item.risk,
            "confidence": item.confidence,
            "coverage": item.coverage,
            "restart_needed": item.restart_needed,
        },
        "workload": {
            "namespace": q.ref.namespace,
            "kind": q.ref.kind,
            "name": q.ref.name,
            **(_known(target, q.namespace) if target is not None else {}),
        },
        "nodes": [{"name": node.name, "labels": dict(node.marks)} for node in q.nodes],
        "now": instant(q.situation.now_s),
        "by": "automation" if q.actor is None else q.actor,
    }


def _known(target: Workload, namespace: Namespace | None) -> Mapping[str, Any]:
    return {
        "class": target.workload_class.value,
        "replicas": target.replicas,
        "labels": dict(target.labels),
        "annotations": dict(target.annotations),
        "namespace_labels": dict(namespace.labels) if namespace is not None else {},
    }
