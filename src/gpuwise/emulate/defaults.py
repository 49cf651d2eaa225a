"""Defaults that a server sets.

Source: pkg/apis/*/v1/defaults.go of Kubernetes, and the strategies' PrepareForCreate.
"""

from collections.abc import Callable

from gpuwise.emulate import defaults_pods as pods
from gpuwise.emulate import resources
from gpuwise.emulate.resources import PODS, Resource
from gpuwise.emulate.status import Object

_SCALE_UP = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]
_SCALE_DOWN = [{"type": "Percent", "value": 100, "periodSeconds": 15}]


def with_defaults(resource: Resource, item: Object) -> Object:
    """The object with the server's defaults; the argument is not changed."""
    fill = _FILL.get(resource)
    return fill(item) if fill is not None else item


def _deployment(item: Object) -> Object:
    spec = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600} | item["spec"]
    strategy = {"type": "RollingUpdate"} | (spec.get("strategy") or {})
    if strategy["type"] == "RollingUpdate":
        rolling = {"maxUnavailable": "25%", "maxSurge": "25%"} | (strategy.get("rollingUpdate") or {})
        strategy["rollingUpdate"] = rolling
    return item | {"spec": spec | {"strategy": strategy, "template": pods.template(spec["template"])}}


def _replicaset(item: Object) -> Object:
    spec = {"replicas": 1} | item["spec"]
    return item | {"spec": spec | {"template": pods.template(spec["template"])}}


def _statefulset(item: Object) -> Object:
    spec: Object = {"replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "serviceName": ""}
    spec |= item["spec"]
    strategy = {"type": "RollingUpdate"} | (spec.get("updateStrategy") or {})
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = {"partition": 0} | (strategy.get("rollingUpdate") or {})
    retention = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    retention |= spec.get("persistentVolumeClaimRetentionPolicy") or {}
    filled: Object = {
        "updateStrategy": strategy,
        "persistentVolumeClaimRetentionPolicy": retention,
        "template": pods.template(spec["template"]),
    }
    if spec.get("volumeClaimTemplates"):
        named = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        filled["volumeClaimTemplates"] = [named | _volume_claim(claim) for claim in spec["volumeClaimTemplates"]]
    return item | {"spec": spec | filled}


def _daemonset(item: Object) -> Object:
    spec = {"revisionHistoryLimit": 10} | item["spec"]
    strategy = {"type": "RollingUpdate"} | (spec.get("updateStrategy") or {})
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0} | (strategy.get("rollingUpdate") or {})
    marks = {"deprecated.daemonset.template.generation": "1"} | (item["metadata"].get("annotations") or {})
    filled = spec | {"updateStrategy": strategy, "template": pods.template(spec["template"])}
    return item | {"metadata": item["metadata"] | {"annotations": marks}, "spec": filled}


def _job_spec(spec: Object) -> Object:
    filled = {"completionMode": "NonIndexed", "suspend": False, "podReplacementPolicy": "TerminatingOrFailed"}
    filled |= {"manualSelector": False} | spec
    if "parallelism" not in spec and "completions" not in spec:
        filled["completions"] = 1
    filled.setdefault("parallelism", 1)
    filled.setdefault("backoffLimit", 2147483647 if "backoffLimitPerIndex" in spec else 6)
    return filled | {"template": pods.template(spec["template"])}


def _job(item: Object) -> Object:
    """A Job's selector uses its uid; its labels default to those of its template."""
    spec, metadata = _job_spec(item["spec"]), item["metadata"]
    if "uid" not in metadata or spec["manualSelector"]:
        return item | {"spec": spec}
    uid, name = metadata["uid"], metadata["name"]
    marks = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    inner = spec["template"].get("metadata") or {}
    labels = dict(sorted(((inner.get("labels") or {}) | marks).items()))
    spec["template"] = spec["template"] | {"metadata": inner | {"labels": labels}}
    selector = spec.get("selector") or {}
    wanted = (selector.get("matchLabels") or {}) | {"batch.kubernetes.io/controller-uid": uid}
    spec["selector"] = selector | {"matchLabels": wanted}
    own = metadata.get("labels") or labels
    return item | {"metadata": metadata | {"labels": own}, "spec": spec}


def _cronjob(item: Object) -> Object:
    spec = {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    } | item["spec"]
    inner = spec["jobTemplate"].get("spec") or {}
    # The defaults of a Job are set when it is created: here only the defaults of its pod template are.
    job = inner | {"template": pods.template(inner.get("template") or {})}
    return item | {"spec": spec | {"jobTemplate": spec["jobTemplate"] | {"spec": job}}}


def _autoscaler(item: Object) -> Object:
    spec = {"minReplicas": 1} | item["spec"]
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in spec:
        up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": _SCALE_UP}
        down = {"selectPolicy": "Max", "policies": _SCALE_DOWN}
        given = spec["behavior"]
        spec["behavior"] = {
            "scaleUp": up | (given.get("scaleUp") or {}),
            "scaleDown": down | (given.get("scaleDown") or {}),
        }
    status = {"desiredReplicas": 0, "currentMetrics": None} | (item.get("status") or {})
    return item | {"spec": spec, "status": status}


def _node(item: Object) -> Object:
    status = dict(item.get("status") or {})
    if "allocatable" not in status and "capacity" in status:
        status["allocatable"] = status["capacity"]
    return item | {"status": status}


def _namespace(item: Object) -> Object:
    metadata = item["metadata"]
    labels = {"kubernetes.io/metadata.name": metadata["name"]} | (metadata.get("labels") or {})
    spec = {"finalizers": ["kubernetes"]} | (item.get("spec") or {})
    status = {"phase": "Active"} | (item.get("status") or {})
    return item | {"metadata": metadata | {"labels": labels}, "spec": spec, "status": status}


def _service(item: Object) -> Object:
    spec = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"} | item["spec"]
    spec["ports"] = [
        {"protocol": "TCP", "targetPort": port.get("port")} | port for port in item["spec"].get("ports") or []
    ]
    if spec.get("clusterIP") == "None":
        spec |= {"clusterIPs": ["None"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    return item | {"spec": spec}


def _volume_claim(item: Object) -> Object:
    spec = {"volumeMode": "Filesystem"} | (item.get("spec") or {})
    return item | {"spec": spec, "status": {"phase": "Pending"} | (item.get("status") or {})}


def _stored_claim(item: Object) -> Object:
    finalizers = item["metadata"].get("finalizers") or ["kubernetes.io/pvc-protection"]
    return _volume_claim(item | {"metadata": item["metadata"] | {"finalizers": finalizers}})


def _volume(item: Object) -> Object:
    finalizers = item["metadata"].get("finalizers") or ["kubernetes.io/pv-protection"]
    spec = {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"} | (item.get("spec") or {})
    status = {"phase": "Pending"} | (item.get("status") or {})
    return item | {"metadata": item["metadata"] | {"finalizers": finalizers}, "spec": spec, "status": status}


def _definition(item: Object) -> Object:
    names = item["spec"].get("names") or {}
    kind = names.get("kind", "")
    filled = {"singular": kind.lower(), "listKind": f"{kind}List"} | names
    return item | {"spec": {"conversion": {"strategy": "None"}} | item["spec"] | {"names": filled}}


def _limit_range(item: Object) -> Object:
    """For container limits: max is the default of default, and default that of defaultRequest."""
    limits = []
    for limit in (item.get("spec") or {}).get("limits") or []:
        filled = dict(limit)
        if limit.get("type") == "Container":
            default = (limit.get("max") or {}) | (limit.get("default") or {})
            request = default | (limit.get("min") or {}) | (limit.get("defaultRequest") or {})
            filled |= {key: value for key, value in (("default", default), ("defaultRequest", request)) if value}
        limits.append(filled)
    return item | {"spec": {"limits": limits}}


def _device_claim(item: Object) -> Object:
    return item | {"spec": _claim_spec(item.get("spec") or {})}


def _device_claim_template(item: Object) -> Object:
    spec = item.get("spec") or {}
    return item | {"spec": spec | {"spec": _claim_spec(spec.get("spec") or {})}}


def _claim_spec(spec: Object) -> Object:
    devices = spec.get("devices") or {}
    if "requests" not in devices:
        return spec
    requests = []
    for request in devices["requests"]:
        filled = dict(request)
        if "exactly" in request:
            filled["exactly"] = _device_request(request["exactly"])
        if "firstAvailable" in request:
            filled["firstAvailable"] = [_device_request(one) for one in request["firstAvailable"]]
        requests.append(filled)
    return spec | {"devices": devices | {"requests": requests}}


def _device_request(request: Object) -> Object:
    filled = {"allocationMode": "ExactCount"} | request
    return {"count": 1} | filled if filled["allocationMode"] == "ExactCount" else filled


_FILL: dict[Resource, Callable[[Object], Object]] = {
    PODS: pods.pod,
    resources.DEPLOYMENTS: _deployment,
    resources.REPLICASETS: _replicaset,
    resources.STATEFULSETS: _statefulset,
    resources.DAEMONSETS: _daemonset,
    resources.JOBS: _job,
    resources.CRONJOBS: _cronjob,
    resources.HPAS: _autoscaler,
    resources.NODES: _node,
    resources.NAMESPACES: _namespace,
    resources.CLAIMS_OF_VOLUMES: _stored_claim,
    resources.VOLUMES: _volume,
    resources.LIMITRANGES: _limit_range,
    resources.SERVICES: _service,
    resources.CRDS: _definition,
    resources.RESOURCECLAIMS: _device_claim,
    resources.CLAIMTEMPLATES: _device_claim_template,
}
