"""The simulated workloads as Kubernetes objects: Deployments, StatefulSets, Jobs, and the pods they own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from gpuwise.model.inventory import Start, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED, DEADLINE, GPU_PRODUCT_LABEL, GPU_RESOURCE, TEAM, WORKLOAD_CLASS
from gpuwise.model.usage import DAY_S
from gpuwise.simulate.placement import POOLS
from gpuwise.simulate.plan import PodPlan, WorkloadPlan

Object = dict[str, Any]

_PLAIN_CLASS = {"Deployment": WorkloadClass.ENDPOINT, "Job": WorkloadClass.BATCH}
"""The workload class that the kind implies; any other class needs its label."""

API_VERSION = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1"}


def stamp(seconds: int) -> str:
    """Epoch seconds as a Kubernetes timestamp."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid_of(*parts: str) -> str:
    """A uid derived from the identity of the object."""
    return str(uuid5(NAMESPACE_OID, "/".join(parts)))


def controller_objects(plan: WorkloadPlan) -> list[Object]:
    """The workload itself, its ReplicaSets and its live pods."""
    return [_workload(plan), *_replica_sets(plan), *_pods(plan)]


def labels_of(plan: WorkloadPlan) -> dict[str, str]:
    """Labels of the workload object."""
    labels = {"app.kubernetes.io/name": plan.name}
    if _PLAIN_CLASS.get(plan.archetype.kind) is not plan.archetype.workload_class:
        labels[WORKLOAD_CLASS] = plan.archetype.workload_class.value
    if plan.team is not None:
        labels[TEAM] = plan.team
    if plan.marks.gitops:
        labels["app.kubernetes.io/managed-by"] = "argocd"
    return labels


def annotations_of(plan: WorkloadPlan) -> dict[str, str]:
    """Annotations of the workload object."""
    annotations = dict(plan.marks.annotations)
    if plan.archetype.checkpointed:
        annotations[CHECKPOINTED] = "true"
    if plan.marks.deadline_days is not None:
        annotations[DEADLINE] = stamp(plan.created_s + plan.marks.deadline_days * DAY_S)
    if plan.marks.gitops:
        tracked = f"{plan.namespace}:apps/{plan.archetype.kind}:{plan.namespace}/{plan.name}"
        annotations["argocd.argoproj.io/tracking-id"] = tracked
    return annotations


def _meta(plan: WorkloadPlan) -> Object:
    meta: Object = {
        "name": plan.name,
        "namespace": plan.namespace,
        "uid": plan.uid,
        "generation": 1,
        "creationTimestamp": stamp(plan.created_s),
        "labels": labels_of(plan),
        "annotations": annotations_of(plan),
    }
    if plan.marks.gitops:
        meta["managedFields"] = [
            {
                "manager": "argocd-controller",
                "operation": "Apply",
                "apiVersion": API_VERSION[plan.archetype.kind],
                "time": stamp(plan.created_s),
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {}}},
            }
        ]
    return meta


def _workload(plan: WorkloadPlan) -> Object:
    kind = plan.archetype.kind
    spec, status = _job(plan) if kind == "Job" else _replicated(plan)
    return {"apiVersion": API_VERSION[kind], "kind": kind, "metadata": _meta(plan), "spec": spec, "status": status}


def _replicated(plan: WorkloadPlan) -> tuple[Object, Object]:
    replicas = plan.archetype.pods
    ready = sum(bool(pod.slots) for pod in plan.live)
    spec: Object = {"replicas": replicas, "selector": {"matchLabels": selector(plan)}, "template": _template(plan)}
    if plan.archetype.kind == "StatefulSet":
        spec["serviceName"] = plan.name
    status = {"observedGeneration": 1, "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready}
    return spec, status


def _job(plan: WorkloadPlan) -> tuple[Object, Object]:
    count = plan.archetype.pods
    spec: Object = {
        "parallelism": count,
        "completions": count,
        "backoffLimit": 6,
        "suspend": False,
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": plan.uid}},
        "template": _template(plan),
    }
    if count > 1:
        spec["completionMode"] = "Indexed"
    if plan.ended_s is None:
        running = sum(bool(pod.slots) for pod in plan.live)
        return spec, {"startTime": stamp(plan.created_s), "active": count, "ready": running}
    return spec, {
        "startTime": stamp(plan.created_s),
        "completionTime": stamp(plan.ended_s),
        "succeeded": count,
        "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": stamp(plan.ended_s)}],
    }


def selector(plan: WorkloadPlan) -> dict[str, str]:
    """The label selector of the workload's pods."""
    return {"app": plan.name}


def _pod_labels(plan: WorkloadPlan) -> dict[str, str]:
    labels = {**labels_of(plan), **selector(plan)}
    if plan.archetype.kind == "Job":
        labels |= {"batch.kubernetes.io/controller-uid": plan.uid, "batch.kubernetes.io/job-name": plan.name}
    return labels


def _template(plan: WorkloadPlan) -> Object:
    annotations = {key: value for key, value in plan.marks.annotations.items() if "gpuwise" not in key}
    return {"metadata": {"labels": _pod_labels(plan), "annotations": annotations}, "spec": _pod_spec(plan)}


def _pod_spec(plan: WorkloadPlan) -> Object:
    archetype = plan.archetype
    devices = {archetype.resource: str(archetype.gpus)}
    spec: Object = {
        "containers": [
            {
                "name": "main",
                "image": f"registry.example.com/{plan.namespace}/{plan.name}:1",
                "resources": {
                    "requests": {"cpu": str(4 * archetype.gpus), "memory": f"{32 * archetype.gpus}Gi", **devices},
                    "limits": devices,
                },
            }
        ],
        "nodeSelector": {GPU_PRODUCT_LABEL: _product(plan)},
        "tolerations": [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
    }
    if archetype.kind == "Job":
        spec["restartPolicy"] = "OnFailure"
    if archetype.gated:
        spec["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
    return spec


def _product(plan: WorkloadPlan) -> str:
    return next(pool.product for pool in POOLS if pool.gpu == plan.archetype.gpu)


def _replica_sets(plan: WorkloadPlan) -> Iterator[Object]:
    """One per template hash; the ReplicaSet of an earlier rollout has 0 replicas."""
    current = {pod.template for pod in plan.live}
    for template in dict.fromkeys(pod.template for pod in plan.pods if pod.template):
        replicas = plan.archetype.pods if template in current else 0
        labels = {**_pod_labels(plan), "pod-template-hash": template}
        body = _template(plan)
        body["metadata"]["labels"] = labels
        yield {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{plan.name}-{template}",
                "namespace": plan.namespace,
                "uid": uid_of(plan.uid, template),
                "generation": 1,
                "creationTimestamp": stamp(min(pod.started_s for pod in plan.pods if pod.template == template)),
                "labels": labels,
                "ownerReferences": [_owner(plan.archetype.kind, plan.name, plan.uid)],
            },
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": body},
            "status": {"replicas": replicas, "readyReplicas": replicas, "observedGeneration": 1},
        }


def _owner(kind: str, name: str, uid: str) -> Object:
    return {
        "apiVersion": API_VERSION[kind],
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pods(plan: WorkloadPlan) -> Iterator[Object]:
    for pod in plan.live:
        owner = _owner(plan.archetype.kind, plan.name, plan.uid)
        labels = _pod_labels(plan)
        if pod.template:
            owner = _owner("ReplicaSet", f"{plan.name}-{pod.template}", uid_of(plan.uid, pod.template))
            labels["pod-template-hash"] = pod.template
        spec = _pod_spec(plan)
        if pod.slots:
            spec["nodeName"] = pod.slots[0].node
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod.name,
                "namespace": plan.namespace,
                "uid": pod.uid,
                "creationTimestamp": stamp(pod.started_s),
                "labels": labels,
                "annotations": _template(plan)["metadata"]["annotations"],
                "ownerReferences": [owner],
            },
            "spec": spec,
            "status": _pod_status(pod, gated=plan.archetype.gated),
        }


def start_of(pod: PodPlan) -> Start:
    """The cold start of a pod: half a minute for its image and containers, and 23 to 52 s to load (GenTD26)."""
    took_s = 53 + UUID(pod.uid).int % 30
    return Start(pod.started_s + took_s, took_s)


def _pod_status(pod: PodPlan, *, gated: bool) -> Object:
    at = stamp(pod.started_s)
    if not pod.slots:
        gate = "Scheduling is blocked due to non-empty scheduling gates"
        waiting = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated" if gated else "Unschedulable",
            "message": gate if gated else "no node has enough free GPUs",
            "lastTransitionTime": at,
        }
        return {"phase": "Pending", "conditions": [waiting]}
    ready = stamp(start_of(pod).ready_s)
    times = {"PodScheduled": at, "Initialized": at, "ContainersReady": ready, "Ready": ready}
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": time} for kind, time in times.items()]
    running = {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": at}}}
    return {"phase": "Running", "startTime": at, "conditions": conditions, "containerStatuses": [running]}
