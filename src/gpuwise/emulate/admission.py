"""The admission plug-ins that a default API server runs on a valid request."""

from dataclasses import dataclass, field

from gpuwise.emulate import limits, podsecurity, policies, quotas, validate_pods
from gpuwise.emulate.defaults_pods import qos_class
from gpuwise.emulate.resources import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SERVICEACCOUNTS,
    STATEFULSETS,
    Resource,
)
from gpuwise.emulate.status import Object, details_of, not_found, refused
from gpuwise.emulate.store import ObjectStore

_SYSTEM_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_TEMPLATED = frozenset({DEPLOYMENTS, REPLICASETS, STATEFULSETS, JOBS})


@dataclass(slots=True)
class Attempt:
    """A write in progress.

    Attributes:
        resource: the resource.
        operation: CREATE, UPDATE or DELETE.
        namespace: the namespace.
        subresource: the subresource that is written, "" for none.
        dry_run: nothing is stored.
        warnings: warnings for the client.
    """

    resource: Resource
    operation: str
    namespace: str
    subresource: str = ""
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)


def open_namespace(store: ObjectStore, resource: Resource, namespace: str, name: str) -> None:
    """Check that a namespace exists and accepts new objects.

    Raises:
        ApiFailure: 404 or 403.
    """
    found = store.peek(NAMESPACES, "", namespace)
    if found is None:
        raise not_found(NAMESPACES, namespace)
    if "deletionTimestamp" in found["metadata"]:
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        failure = refused(resource, name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        failure.details = details_of(name, resource.group, resource.plural) | {"causes": [cause]}
        raise failure


def mutate_new(store: ObjectStore, attempt: Attempt, item: Object) -> Object:
    """Apply the mutating plug-ins to a new object, before validation.

    Raises:
        ApiFailure: 403.
    """
    if attempt.resource is NODES:
        spec = item.get("spec") or {}
        taints = [one for one in spec.get("taints") or [] if one.get("key") != _NOT_READY["key"]]
        return item | {"spec": spec | {"taints": [*taints, dict(_NOT_READY)]}}
    if attempt.resource is not PODS:
        return item
    _check_pod(store, item)
    item = limits.fill(store, item)
    item = item | {"status": item["status"] | {"qosClass": qos_class(item["spec"])}}
    if item["spec"].get("schedulingGates"):
        item = item | {"status": item["status"] | {"conditions": [_gated(store.now())]}}
    return item


def _gated(now: str) -> Object:
    return {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": now,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }


def _check_pod(store: ObjectStore, pod: Object) -> None:
    spec, name, namespace = pod["spec"], pod["metadata"]["name"], pod["metadata"]["namespace"]
    account = spec["serviceAccountName"]
    if store.peek(SERVICEACCOUNTS, namespace, account) is None:
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise refused(PODS, name, why)
    priority = spec.get("priorityClassName")
    if priority and priority not in _SYSTEM_CLASSES:
        raise refused(PODS, name, f"no PriorityClass with name {priority} was found")
    if spec.get("runtimeClassName"):
        raise refused(PODS, name, f'pod rejected: RuntimeClass "{spec["runtimeClassName"]}" not found')


def validate(store: ObjectStore, attempt: Attempt, old: Object | None, new: Object) -> None:
    """Run the plug-ins that only reject or warn; a quota counts the objects that it admits.

    Raises:
        ApiFailure: 403, 422 or 500.
    """
    resource = attempt.resource
    if attempt.operation == "CREATE" and not attempt.subresource:
        if resource is PODS:
            podsecurity.check(store, new, attempt.warnings)
            attempt.warnings += validate_pods.warnings("spec", new["spec"])
            attempt.warnings += _pod_name(new["metadata"]["name"])
        elif resource in _TEMPLATED:
            podsecurity.warn(store, new["metadata"]["namespace"], new["spec"]["template"]["spec"], attempt.warnings)
            attempt.warnings += validate_pods.warnings("spec.template.spec", new["spec"]["template"]["spec"])
    policies.validate(store, attempt.resource, attempt.operation, attempt.subresource, old, new, attempt.warnings)
    if attempt.operation == "CREATE" and resource is PODS and not attempt.subresource:
        quotas.admit(store, new, dry_run=attempt.dry_run)


def _pod_name(name: str) -> list[str]:
    if "." not in name:
        return []
    text = "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is"
    return [f"{text} recommended: [must not contain dots]"]


def check_delete(resource: Resource, name: str) -> None:
    """Check that an object may be deleted.

    Raises:
        ApiFailure: 403.
    """
    if resource is NAMESPACES and name in ("default", "kube-system", "kube-public"):
        raise refused(resource, name, "this namespace may not be deleted")
