"""Who else controls a workload, read from raw Kubernetes objects: disruption budgets, autoscalers, GitOps.

The same functions are used when planning and just before the effect, so that both give the same answer.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gpuwise.model.kinds import JOBS

Object = Mapping[str, Any]

# Marks that GitOps controllers set on the objects they apply. app.kubernetes.io/managed-by=Helm is not one of them:
# Helm does not re-apply objects.
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_GITOPS_LABELS = {
    "argocd.argoproj.io/instance": "ArgoCD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "kapp.k14s.io/app": "kapp",
    "objectset.rio.cattle.io/hash": "Fleet",
    "pipecd.dev/application": "PipeCD",
    "projectsveltos.io/reference-name": "Sveltos",
    "work.karmada.io/name": "Karmada",
}
_GITOPS_ANNOTATIONS = {
    "objectset.rio.cattle.io/id": "Fleet",
    "configsync.gke.io/resource-id": "ConfigSync",
    "kapp.k14s.io/identity": "kapp",
    "projectsveltos.io/reference-name": "Sveltos",
    "work.karmada.io/name": "Karmada",
}
# API groups of the objects with which an agent records what it applied; it owns them without being their controller.
_APPLIED_BY = {
    "work.open-cluster-management.io": "OpenClusterManagement",
    "placement.kubernetes-fleet.io": "KubeFleet",
    "multicluster.x-k8s.io": "WorkAPI",
}
_CONFIG_SYNC = "configmanagement.gke.io/managed"
_KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_OWNER = "Kueue/"
"""How the owner of a job in a queue of Kueue begins."""
# A CronJob only creates Jobs; every other controller of a Job sets its fields (jobset#1178).
_CREATES_JOBS = ("batch", "CronJob")
_JOB_CONTROLLER = "kubernetes.io/job-controller"
# Field managers of the same controllers, for objects on which a custom label key or a mutating webhook leaves no known
# mark.
_GITOPS_WRITERS = {
    "argocd-controller": "ArgoCD",
    "argocd-application-controller": "ArgoCD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "fleetagent": "Fleet",
    "configsync": "ConfigSync",
    "kapp": "kapp",
    "kapp-controller": "kapp",
}


_KNATIVE_REVISION = "serving.knative.dev/revision"
_KNATIVE_RETENTION = "annotation autoscaling.knative.dev/scale-to-zero-pod-retention-period"
# KEDA's triggers that no request reaches: cpu and memory measure pods, and cron follows the clock.
_WITHOUT_REQUESTS = frozenset({"cpu", "memory", "cron"})


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; None matches nothing, the empty selector everything.

    An unknown operator matches, so that a budget that cannot be read still protects.
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(expression, labels) for expression in selector.get("matchExpressions") or ())


def _matches(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression.get("key", "")), expression.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression.get("operator", ""), True)


def disruptions_allowed(budgets: Iterable[Object], pod_labels: Iterable[Mapping[str, str]]) -> int | None:
    """The fewest disruptions that a PodDisruptionBudget for any of these pods allows now, None without a budget.

    Args:
        budgets: PodDisruptionBudgets of the pods' namespace; a budget without a status allows 0.
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
        scaled_objects: KEDA's ScaledObjects of the namespace; their target is a Deployment unless they name a kind.
        targets: kind and name of each object.
    """
    scalers = [("HorizontalPodAutoscaler", item) for item in hpas] + [("ScaledObject", item) for item in scaled_objects]
    return tuple(sorted(f"{kind}/{item['metadata']['name']}" for kind, item in scalers if _target(item) in targets))


def activator(
    kind: str, scaled_objects: Iterable[Object], targets: frozenset[tuple[str, str]], pod_labels: Mapping[str, str]
) -> str:
    """What starts a workload at its next request, with the field that has the wait; "" if nothing does.

    A ScaledObject starts it from zero unless its triggers are only the CPU and memory of pods or the clock, or it never
    scales to zero. Pods of a Knative revision, which KServe uses too, are started by Knative's activator.

    Args:
        kind: kind of the workload.
        scaled_objects: KEDA's ScaledObjects of the namespace.
        targets: kind and name of each of the workload's objects.
        pod_labels: labels of its pods.
    """
    if _KNATIVE_REVISION in pod_labels:
        return f"{_KNATIVE_RETENTION} of {'the InferenceService' if kind == 'InferenceService' else 'the Service'}"
    names = [item["metadata"]["name"] for item in scaled_objects if _target(item) in targets and _from_zero(item)]
    return f"spec.cooldownPeriod of ScaledObject/{min(names)}" if names else ""


def _from_zero(scaled_object: Object) -> bool:
    spec = scaled_object["spec"]  # it has a target, which is in it
    triggers = spec.get("triggers")
    kinds = {one.get("type") for one in triggers if isinstance(one, Mapping)} if isinstance(triggers, list) else set()
    return not spec.get("minReplicaCount") and bool(kinds - _WITHOUT_REQUESTS)


def _target(autoscaler: Object) -> tuple[str, str]:
    spec = autoscaler.get("spec")
    reference = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    if not isinstance(reference, Mapping):
        return "", ""
    # A reference that is not a name matches no object: a malformed autoscaler does not stop the pass.
    return str(reference.get("kind", "Deployment")), str(reference.get("name", ""))


def job_owners(kind: str, item: Object) -> tuple[str, ...]:
    """What sets the fields of a Job: a controller other than a CronJob, as "JobSet/name", and Kueue's queue.

    A Job that names another controller in spec.managedBy is not run by Kubernetes' own (KEP-4368).

    Kueue sets `suspend`, and reverts a person's value (kueue#1726); a queue on another kind admits pods and leaves the
    replicas alone. Empty for any other kind.

    Args:
        kind: kind of the object.
        item: the object.
    """
    if kind not in JOBS:
        return ()
    metadata, spec = item["metadata"], item.get("spec")
    found = [
        f"{owner['kind']}/{owner['name']}"
        for owner in metadata.get("ownerReferences") or ()
        if (owner.get("controller") or owner.get("kind") == "ScaledJob")
        and (group_of(owner.get("apiVersion", "")), owner["kind"]) != _CREATES_JOBS
    ]
    queue = (metadata.get("labels") or {}).get(_KUEUE_QUEUE)
    managed_by = spec.get("managedBy") if kind == "Job" and isinstance(spec, Mapping) else None
    other = [str(managed_by)] if managed_by and managed_by != _JOB_CONTROLLER else []
    return (*found, *([f"{QUEUE_OWNER}{queue}"] if queue else []), *other)


def group_of(api_version: str) -> str:
    """The API group of an apiVersion; "" for the core group."""
    return api_version.rpartition("/")[0]


def borrowed(rollout: Object) -> str:
    """The Deployment whose template an Argo Rollout runs and whose replicas it keeps at 0.

    Empty if the Rollout has its own template.
    """
    spec = rollout.get("spec")
    reference = spec.get("workloadRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict) or reference.get("kind") != "Deployment":
        return ""
    return str(reference.get("name", ""))


def gitops_owners(metadata: Object) -> tuple[str, ...]:
    """The GitOps controllers that would revert a change to this object, as "Flux/name"; empty if there are none.

    Args:
        metadata: the object's metadata.
    """
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    owners = {f"{tool}/{annotations[key]}" for key, tool in _GITOPS_ANNOTATIONS.items() if annotations.get(key)}
    marked = {owner.partition("/")[0] for owner in owners}
    owners |= {
        f"{tool}/{labels[key]}" for key, tool in _GITOPS_LABELS.items() if labels.get(key) and tool not in marked
    }
    if annotations.get(_CONFIG_SYNC) == "enabled" and "ConfigSync" not in marked:
        owners.add(f"ConfigSync/{metadata.get('name', '')}")
    if tracked := annotations.get(_ARGO_TRACKING):
        # "application:group/Kind:namespace/name"; an application in another namespace is "namespace_application".
        owners.add(f"ArgoCD/{tracked.partition(':')[0]}")
    for one in metadata.get("ownerReferences") or ():
        if tool := _APPLIED_BY.get(group_of(one.get("apiVersion") or "")):
            owners.add(f"{tool}/{one.get('name', '')}")
    writers = {entry.get("manager", "") for entry in metadata.get("managedFields") or ()}
    named = {owner.partition("/")[0] for owner in owners}
    owners |= {
        f"{tool}/{writer}" for writer, tool in _GITOPS_WRITERS.items() if writer in writers and tool not in named
    }
    return tuple(sorted(owners))
