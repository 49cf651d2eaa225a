"""Simulates what a test cluster lacks: kubelets with GPUs, and Kubeflow's Notebook controller; a thread for each."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import urllib3
from tests.real_cluster.connection import MERGE, Connection, UnexpectedStatus, Watcher

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
RENEW_S = 10.0  # a kubelet's interval; a node without a renewal for 50 s is tainted unreachable
READY = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
STOPPED = "kubeflow-resource-stopped"
NOTEBOOKS = "/apis/kubeflow.org/v1/notebooks"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class SimulatedKubelet:
    """The kubelets of the nodes that it creates: bound pods become ready, deleted pods are removed at once.

    Args:
        connection: to the API server.
        ours: whether a namespace belongs to the tests; pods in other namespaces are ignored.
    """

    def __init__(self, connection: Connection, ours: Callable[[str], bool]) -> None:
        self._connection, self._ours = connection, ours
        self._nodes: set[str] = set()
        self._pods = Watcher(connection, "/api/v1/pods", self._handle)
        self._stop = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="node leases", daemon=True)

    def start(self) -> None:
        """Start the simulation."""
        self._pods.start()
        self._renewal.start()

    def stop(self) -> None:
        """Stop the simulation."""
        self._stop.set()
        self._renewal.join()
        self._pods.stop()

    def add(self, node: Any) -> None:
        """Register a node: the object, its capacity, its Ready condition and its lease."""
        name = node["metadata"]["name"]
        self._nodes.add(name)
        status = node["status"] | {
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated by a test"}
                | {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
            ]
        }
        body = {key: value for key, value in node.items() if key != "status"}
        uid = self._connection.must("POST", "/api/v1/nodes", body)["metadata"]["uid"]
        path = f"/api/v1/nodes/{name}/status"
        self._connection.must("PATCH", path, {"status": status}, content_type=MERGE)
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}  # so that it is deleted with the node
        lease = {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": _lease(name)}
        self._connection.must("DELETE", f"{LEASES}/{name}", also=(404,))  # left over from an aborted session
        self._connection.must("POST", LEASES, lease)

    def forget(self, name: str) -> None:
        """Stop renewing the lease of a deleted node."""
        self._nodes.discard(name)
        self._connection.must("DELETE", f"{LEASES}/{name}", also=(404,))

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            for name in sorted(self._nodes):
                body = {"spec": _lease(name)}
                try:
                    self._connection.must("PATCH", f"{LEASES}/{name}", body, also=(404,), content_type=MERGE)
                except (
                    urllib3.exceptions.HTTPError,
                    UnexpectedStatus,
                ):  # retried after 10 s, long before the node counts as lost
                    break

    def _handle(self, pod: Any) -> None:
        metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
        if spec.get("nodeName") not in self._nodes or not self._ours(metadata["namespace"]):
            return
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
            self._connection.must("DELETE", path, options)
        elif status.get("phase") == "Pending":
            body = {"metadata": {"uid": metadata["uid"]}, "status": _running(spec)}
            self._connection.must("PATCH", f"{path}/status", body, content_type=MERGE)


def _running(spec: Any) -> Any:
    at = now()
    return {
        "phase": "Running",
        "startTime": at,
        "podIP": "198.51.100.1",
        "podIPs": [{"ip": "198.51.100.1"}],
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": at} for kind in READY],
        "containerStatuses": [
            {"name": one["name"], "image": one["image"], "imageID": "", "ready": True, "started": True}
            | {"restartCount": 0, "state": {"running": {"startedAt": at}}}
            for one in spec["containers"]
        ],
    }


def _lease(name: str) -> Any:
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed}


class SimulatedNotebooks:
    """Kubeflow's Notebook controller: a StatefulSet of one pod, or none while the notebook has the stop annotation."""

    def __init__(self, connection: Connection, ours: Callable[[str], bool]) -> None:
        self._connection, self._ours = connection, ours
        self._watcher = Watcher(connection, NOTEBOOKS, self._handle)

    def start(self) -> None:
        """Start the simulation."""
        self._watcher.start()

    def stop(self) -> None:
        """Stop the simulation."""
        self._watcher.stop()

    def _handle(self, notebook: Any) -> None:
        metadata = notebook["metadata"]
        if metadata.get("deletionTimestamp") or not self._ours(metadata["namespace"]):
            return
        path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/statefulsets"
        replicas = notebook_replicas(notebook)
        if self._connection.call("POST", path, _statefulset(notebook, replicas))[0] == 409:
            change = {"spec": {"replicas": replicas}}
            self._connection.must("PATCH", f"{path}/{metadata['name']}", change, content_type=MERGE)


def notebook_replicas(notebook: Any) -> int:
    """The number of pods that its controller wants."""
    return 0 if STOPPED in (notebook["metadata"].get("annotations") or {}) else 1


def _statefulset(notebook: Any, replicas: int) -> Any:
    name, owner = notebook["metadata"]["name"], {key: notebook["metadata"][key] for key in ("name", "uid")}
    owner |= {"apiVersion": notebook["apiVersion"], "kind": "Notebook", "controller": True, "blockOwnerDeletion": True}
    labels = {"statefulset": name, "notebook-name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"statefulset": name}},
            "template": {"metadata": {"labels": labels}, "spec": notebook["spec"]["template"]["spec"]},
        },
    }
