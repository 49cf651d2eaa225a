"""What a server fills in: only the fields that clients read back.

Source: pkg/apis/*/v1/defaults.go of Kubernetes.
"""

from typing import Any

from gpuwise.emulate.resources import (
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    HPAS,
    JOBS,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Resource,
)
from gpuwise.emulate.status import Object

_SPEC: dict[Resource, dict[str, Any]] = {
    DEPLOYMENTS: {"replicas": 1, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10},
    REPLICASETS: {"replicas": 1},
    STATEFULSETS: {
        "replicas": 1,
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 10,
    },
    JOBS: {"parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False},
    CRONJOBS: {"suspend": False, "concurrencyPolicy": "Allow"},
}
# A built-in kind always has a status: its Go struct is written before a controller has seen it, with the fields that
# are not omitempty (staging/src/k8s.io/api/*/types.go).
_STATUS: dict[Resource, dict[str, Any]] = {
    NAMESPACES: {"phase": "Active"},
    NODES: {},
    PODS: {"phase": "Pending"},
    DEPLOYMENTS: {},
    REPLICASETS: {"replicas": 0},
    STATEFULSETS: {"replicas": 0, "availableReplicas": 0},
    DAEMONSETS: dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    ),
    JOBS: {},
    CRONJOBS: {},
    PDBS: dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0),
    HPAS: {"desiredReplicas": 0, "currentMetrics": None},
}
_POD_SPEC: dict[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
# A pod leaves a node that is not ready after 300 s (admission plug-in DefaultTolerationSeconds).
_POD_TOLERATIONS: tuple[dict[str, Any], ...] = tuple(
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
)


def with_defaults(resource: Resource, item: Object) -> Object:
    """The object with what the server would have filled in; the argument is left alone."""
    filled = dict(item)
    metadata = {key: value for key, value in item["metadata"].items() if value not in ({}, [])}
    filled["metadata"] = metadata
    if resource is NAMESPACES:
        metadata["labels"] = {"kubernetes.io/metadata.name": metadata["name"]} | (metadata.get("labels") or {})
    if resource in _STATUS:
        filled["status"] = _STATUS[resource] | (item.get("status") or {})
    if resource in _SPEC and isinstance(item.get("spec"), dict):
        filled["spec"] = _with_template(_SPEC[resource] | item["spec"])
    if resource is DEPLOYMENTS and "spec" in filled:
        filled["spec"]["strategy"] = _strategy(filled["spec"].get("strategy") or {})
    if resource is JOBS and "spec" in filled:
        filled["spec"] = _job_spec(filled["spec"], metadata)
    if resource is PODS and isinstance(item.get("spec"), dict):
        filled["spec"] = _pod_spec(item["spec"])
    return filled


def _with_template(spec: Object) -> Object:
    template = spec.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return spec
    return spec | {"template": template | {"spec": _POD_SPEC | template["spec"]}}


def _strategy(strategy: Object) -> Object:
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return strategy
    rolling = {"maxSurge": "25%", "maxUnavailable": "25%"} | (strategy.get("rollingUpdate") or {})
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _job_spec(spec: Object, metadata: Object) -> Object:
    """A Job that names no selector gets one by its uid, and its template the label."""
    filled: Object = {"completions": 1} | spec if spec["parallelism"] == 1 else dict(spec)
    if not filled.get("selector") and "uid" in metadata:
        mark = {"batch.kubernetes.io/controller-uid": metadata["uid"], "batch.kubernetes.io/job-name": metadata["name"]}
        template = filled.get("template") or {}
        inner = template.get("metadata") or {}
        labels = (inner.get("labels") or {}) | mark
        filled["template"] = template | {"metadata": inner | {"labels": labels}}
        filled["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}}
    return filled


def _pod_spec(spec: Object) -> Object:
    filled = _POD_SPEC | spec
    filled["containers"] = [_container(container) for container in spec.get("containers") or []]
    tolerations = list(spec.get("tolerations") or [])
    for wanted in _POD_TOLERATIONS:
        if not any(have.get("key") == wanted["key"] for have in tolerations):
            tolerations.append(wanted)
    filled["tolerations"] = tolerations
    return filled


def _container(container: Object) -> Object:
    resources = container.get("resources") or {}
    if not resources.get("limits"):
        return container
    requests = resources["limits"] | (resources.get("requests") or {})
    return container | {"resources": resources | {"requests": requests}}
