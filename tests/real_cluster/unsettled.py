"""Whether the controllers of a real cluster are done: they observed the latest spec, and its pods match it."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.real_cluster.connection import Connection
from tests.real_cluster.simulated_kubelet import notebook_replicas

REVISION = "controller-revision-hash"


def unsettled(connection: Connection, namespaces: Iterable[str], nodes: Iterable[str]) -> list[str]:
    """What is still in progress, as messages; empty if everything is done.

    Args:
        connection: to the API server.
        namespaces: to check.
        nodes: that must be ready for pods.
    """
    found = list(_nodes(connection, set(nodes)))
    for namespace in namespaces:
        found += _namespace(connection, namespace)
    return found


def _nodes(connection: Connection, wanted: set[str]) -> Iterator[str]:
    for item in connection.items("/api/v1/nodes"):
        name, taints = item["metadata"]["name"], item["spec"].get("taints", [])
        # The server taints a new node, and removes the taint when the node is ready.
        if name in wanted and any(one["key"] == "node.kubernetes.io/not-ready" for one in taints):
            yield f"node {name} is not ready"


def _namespace(connection: Connection, namespace: str) -> Iterator[str]:
    def all_of(root: str, plural: str) -> list[Any]:
        return connection.items(f"{root}/namespaces/{namespace}/{plural}")

    apps = "/apis/apps/v1"
    sets = all_of(apps, "statefulsets")
    pods = all_of("/api/v1", "pods")
    for pod in pods:
        yield from _pod(pod)
    waiting = [pod for pod in pods if _unschedulable(pod)]
    for item in [*all_of(apps, "deployments"), *all_of(apps, "replicasets"), *sets]:
        yield from _counted(item, pods, waiting)
    for item in all_of("/apis/batch/v1", "jobs"):
        yield from _job(item)
    for item in all_of("/apis/policy/v1", "poddisruptionbudgets"):
        yield from _budget(item, pods)
    replicas = {item["metadata"]["name"]: item["spec"]["replicas"] for item in sets}
    for item in all_of("/apis/kubeflow.org/v1", "notebooks"):
        if replicas.get(item["metadata"]["name"]) != notebook_replicas(item):
            yield f"notebook {item['metadata']['name']}"


def _pod(pod: Any) -> Iterator[str]:
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        yield f"pod {name} is terminating"
    elif pod["status"].get("phase") == "Pending" and not _unschedulable(pod):
        yield f"pod {name} is starting"


def _unschedulable(pod: Any) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)


def _counted(item: Any, pods: list[Any], waiting: list[Any]) -> Iterator[str]:
    """A Deployment, ReplicaSet or StatefulSet: observed, and its pods ready, except those that cannot be scheduled."""
    name, spec, status = item["metadata"]["name"], item["spec"], item.get("status", {})
    if status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        yield f"{name} was not observed by its controller"
        return
    if spec.get("paused"):
        return
    # A pod that cannot be scheduled may block the rest of a rollout.
    mine = spec["selector"].get("matchLabels", {}).items()
    if any(mine <= pod["metadata"].get("labels", {}).items() for pod in waiting):
        return
    if status.get("terminatingReplicas"):  # a separate write, after the pods are gone
        yield f"{name} counts terminating pods"
    wanted = _wanted(spec)
    if status.get("updateRevision") == status.get("currentRevision") is not None:  # no update is held by a partition
        wanted["updatedReplicas"] = spec.get("replicas", 1)
    fields = [field for field in wanted if field in status]
    if "updateRevision" in status:  # the count of a StatefulSet may be that of an earlier template
        labels = [pod["metadata"].get("labels", {}) for pod in pods]
        new = [one for one in labels if mine <= one.items() and one.get(REVISION) == status["updateRevision"]]
        if len(new) < wanted["updatedReplicas"]:
            yield f"{name} has {len(new)} pods of its newest template, expected {wanted['updatedReplicas']}"
    available = "availableReplicas" in status or spec.get("minReadySeconds") or not spec.get("replicas", 1)
    if any(status[field] != wanted[field] for field in fields) or not available:
        yield f"{name} has {[status[field] for field in fields]} pods, expected {[wanted[field] for field in fields]}"


def _wanted(spec: Any) -> dict[str, int]:
    """The numbers of pods when nothing is in progress: an update may be held by a partition or by minReadySeconds."""
    replicas = spec.get("replicas", 1)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    bounds = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    if spec.get("minReadySeconds") and bounds:
        surge, first = bounds["maxSurge"], bounds["maxSurge"] + bounds["maxUnavailable"]
        return {"replicas": replicas + surge, "readyReplicas": replicas + surge, "updatedReplicas": first}
    found = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas - partition}
    return found if spec.get("minReadySeconds") else found | {"availableReplicas": replicas}


def _job(item: Any) -> Iterator[str]:
    name, spec, status = item["metadata"]["name"], item["spec"], item.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    if conditions.get("Complete") == "True" or conditions.get("Failed") == "True":
        return
    stopped = bool(spec.get("suspend"))
    if (conditions.get("Suspended") == "True") != stopped:
        yield f"job {name} was not observed by its controller"
    wanted = 0 if stopped else spec.get("parallelism", 1)
    if status.get("active", 0) != wanted or status.get("ready", 0) != wanted:
        yield f"job {name} has {status.get('active', 0)} of {wanted} pods"


def _budget(item: Any, pods: list[Any]) -> Iterator[str]:
    status, selector = item.get("status", {}), item["spec"].get("selector", {}).get("matchLabels", {}).items()
    covered = [pod for pod in pods if selector <= pod["metadata"].get("labels", {}).items()]
    seen = status.get("observedGeneration", 0) == item["metadata"]["generation"]
    if not seen or status.get("currentHealthy") != sum(map(_ready, covered)):
        yield f"budget {item['metadata']['name']} is not up to date"


def _ready(pod: Any) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
