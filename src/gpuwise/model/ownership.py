"""Who else has a say over a workload, by raw Kubernetes objects: disruption budgets, autoscalers, GitOps.

Read when planning and again at the moment of the effect, so both must mean the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]

# Marks that GitOps controllers put on what they apply. app.kubernetes.io/managed-by=Helm is none: nobody re-applies it.
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_GITOPS_LABELS = {
    "argocd.argoproj.io/instance": "ArgoCD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
# Field managers of the same, where an own label key or a mutating webhook leaves no mark that is known.
_GITOPS_WRITERS = {
    "argocd-controller": "ArgoCD",
    "argocd-application-controller": "ArgoCD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; None matches nothing, the empty one everything.

    An operator that is not known matches: a budget that cannot be read guards.
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression.get("key", "")), expression.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression.get("operator", ""), True)


def disruptions_allowed(budgets: Iterable[Object], pod_labels: Iterable[Mapping[str, str]]) -> int | None:
    """The least that a PodDisruptionBudget over any of these pods allows now, None when none covers them.

    Args:
        budgets: PodDisruptionBudgets of the pods' namespace; one without a status yet allows 0.
        pod_labels: the labels of each pod.
    """
    pods = tuple(pod_labels)
    return min(
        (
            int((budget.get("status") or {}).get("disruptionsAllowed") or 0)
            for budget in budgets
            if any(selects((budget.get("spec") or {}).get("selector"), labels) for labels in pods)
        ),
        default=None,
    )


def autoscalers(
    hpas: Iterable[Object], scaled_objects: Iterable[Object], targets: frozenset[tuple[str, str]]
) -> tuple[str, ...]:
    """The autoscalers that set the replicas of one of these objects, as "HorizontalPodAutoscaler/name".

    Args:
        hpas: HorizontalPodAutoscalers of the objects' namespace.
        scaled_objects: KEDA's ScaledObjects of it; their target is a Deployment unless they say otherwise.
        targets: kind and name of each object.
    """
    found = [("HorizontalPodAutoscaler", item) for item in hpas] + [("ScaledObject", item) for item in scaled_objects]
    return tuple(sorted(f"{kind}/{item['metadata']['name']}" for kind, item in found if _target(item) in targets))


def _target(autoscaler: Object) -> tuple[str, str]:
    spec = autoscaler.get("spec")
    reference = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    if not isinstance(reference, Mapping):
        return "", ""
    # What is no name names nothing: an odd autoscaler scales nobody, and costs nobody.
    return str(reference.get("kind", "Deployment")), str(reference.get("name", ""))


def makers(metadata: Object) -> tuple[str, ...]:
    """KEDA's ScaledJob that made this Job and makes the next, as "ScaledJob/name"; empty for any other object.

    Args:
        metadata: of the object.
    """
    owners = metadata.get("ownerReferences") or ()
    return tuple(f"ScaledJob/{owner['name']}" for owner in owners if owner.get("kind") == "ScaledJob")


def borrowed(rollout: Object) -> str:
    """The Deployment whose template an Argo Rollout runs, and whose replicas it keeps at 0; "" if it has its own."""
    spec = rollout.get("spec")
    reference = spec.get("workloadRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict) or reference.get("kind") != "Deployment":
        return ""
    return str(reference.get("name", ""))


def gitops_owners(metadata: Object) -> tuple[str, ...]:
    """The GitOps controllers that would put this object back, as "Flux/name"; empty when none does.

    Args:
        metadata: of the object.
    """
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    found = {f"{tool}/{labels[key]}" for key, tool in _GITOPS_LABELS.items() if labels.get(key)}
    if tracked := annotations.get(_ARGO_TRACKING):
        # "application:group/Kind:namespace/name"; an application of another namespace is "namespace_application".
        found.add(f"ArgoCD/{tracked.partition(':')[0]}")
    writers = {entry.get("manager", "") for entry in metadata.get("managedFields") or ()}
    named = {owner.partition("/")[0] for owner in found}
    found |= {f"{tool}/{writer}" for writer, tool in _GITOPS_WRITERS.items() if writer in writers and tool not in named}
    return tuple(sorted(found))
