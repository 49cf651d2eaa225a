"""Defaults that a server sets on pods and pod templates.

Source: pkg/apis/core/v1/defaults.go of Kubernetes, and the admission plug-ins of a default cluster.
"""

from typing import Any

from gpuwise.emulate.status import Object

_POD_SPEC: dict[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_CONTAINER: dict[str, Any] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_FILE_SOURCES = ("configMap", "secret", "projected", "downwardAPI")
# Only for pods, not for templates: set by admission plug-ins and the service account controller.
_POD_OWN: dict[str, Any] = {
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
}
# A pod is evicted from a node that has not been ready for 300 s (admission plug-in DefaultTolerationSeconds).
_TOLERATIONS: tuple[dict[str, Any], ...] = tuple(
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
)


def _pod_spec(spec: Object) -> Object:
    """The spec of a pod or template, with its defaults."""
    filled = _POD_SPEC | spec
    for field in ("containers", "initContainers"):
        if field in spec:
            filled[field] = [_container(container) for container in spec[field]]
    if "volumes" in spec:
        filled["volumes"] = [_volume(volume) for volume in spec["volumes"]]
    if "serviceAccountName" in spec:
        filled["serviceAccount"] = spec["serviceAccountName"]
    if spec.get("hostNetwork"):
        filled["containers"] = [_host_ports(container) for container in filled["containers"]]
    return filled


def _container(container: Object) -> Object:
    filled = _CONTAINER | container
    if "imagePullPolicy" not in filled:
        tag = str(container.get("image", "")).rpartition("/")[2].partition(":")[2]
        filled["imagePullPolicy"] = "Always" if tag in ("", "latest") and container.get("image") else "IfNotPresent"
    if "ports" in filled:
        filled["ports"] = [{"protocol": "TCP"} | port for port in filled["ports"]]
    if "env" in filled:
        filled["env"] = [_env(one) for one in filled["env"]]
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if field in filled:
            filled[field] = _probe(filled[field])
    return filled


def _host_ports(container: Object) -> Object:
    if "ports" not in container:
        return container
    return container | {"ports": [{"hostPort": port["containerPort"]} | port for port in container["ports"]]}


def _env(one: Object) -> Object:
    reference = (one.get("valueFrom") or {}).get("fieldRef")
    if reference is None:
        return one
    return one | {"valueFrom": one["valueFrom"] | {"fieldRef": {"apiVersion": "v1"} | reference}}


def _probe(probe: Object) -> Object:
    filled = _PROBE | probe
    if "httpGet" in probe:
        filled["httpGet"] = {"path": "/", "scheme": "HTTP"} | probe["httpGet"]
    return filled


def _volume(volume: Object) -> Object:
    field = next((field for field in _FILE_SOURCES if field in volume), None)
    return volume | {field: {"defaultMode": 420} | volume[field]} if field else volume


def template(one: Object) -> Object:
    """The pod template with its defaults."""
    return one | {"spec": _pod_spec(one.get("spec") or {})}


def pod(item: Object) -> Object:
    """The pod with its defaults, and with what the cluster's admission plug-ins add."""
    spec = _POD_OWN | _pod_spec(item.get("spec") or {})
    spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec["containers"] = [_requested(container) for container in spec.get("containers") or []]
    tolerations = list(spec.get("tolerations") or [])
    for wanted in _TOLERATIONS:
        if not any(have.get("key") in (wanted["key"], None) for have in tolerations):
            tolerations.append(wanted)
    spec["tolerations"] = tolerations
    status = {"phase": "Pending"} | (item.get("status") or {})
    return item | {"spec": spec, "status": status}


def _requested(container: Object) -> Object:
    found = container.get("resources") or {}
    if not found.get("limits"):
        return container
    requests = found["limits"] | (found.get("requests") or {})
    return container | {"resources": found | {"requests": dict(sorted(requests.items()))}}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory only."""
    parts = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    found = [
        (values.get("requests") or {}, values.get("limits") or {})
        for values in (one.get("resources") or {} for one in parts)
    ]
    if not any(name in values for pair in found for values in pair for name in ("cpu", "memory")):
        return "BestEffort"
    both = all(
        limits.get(name) is not None and requests.get(name, limits[name]) == limits[name]
        for requests, limits in found
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if both else "Burstable"
