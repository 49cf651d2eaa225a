"""A real API server with the interface of gpuwise.emulate.KubernetesEmulator, so that a test can run on both.

Every object that it creates has LABEL, or is in a namespace with LABEL, and is removed at the end. Namespaces and nodes
without LABEL are never changed: a test that needs such a name is skipped.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml
from tests.cluster_under_test import CLUSTER_WIDE, LABEL, NAMESPACE, placed
from tests.real_cluster import operators
from tests.real_cluster.cleanup import (
    DEADLINE_S,
    HEADS,
    NAMESPACES,
    NODES,
    RBAC,
    remove_created_objects,
    require_a_cluster_for_tests,
    wait,
)
from tests.real_cluster.connection import MERGE, Connection, UnexpectedStatus
from tests.real_cluster.fault_proxy import Caller, Fault, FaultProxy, Request
from tests.real_cluster.simulated_kubelet import SimulatedKubelet, SimulatedNotebooks
from tests.real_cluster.unsettled import unsettled

from gpuwise.emulate import ADMIN_TOKEN, READER_TOKEN

LABELS = {LABEL: "true"}
READER = "gpuwise-test-reader"
PLURALS = {
    "Pod": ("/api/v1", "pods"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}
PLURALS |= {kind: (f"/apis/{group}/{version}", operators.plural(kind)) for group, version, kind in operators.KINDS}
GRANTS = {
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": (RBAC, "roles"),
    "RoleBinding": (RBAC, "rolebindings"),
    "ClusterRole": (RBAC, "clusterroles"),
    "ClusterRoleBinding": (RBAC, "clusterrolebindings"),
}
CREATED_BY_SERVER = {"kube-root-ca.crt", "openshift-service-ca.crt"}


class RealCluster:
    """The cluster of a kubeconfig's current context, for one test session.

    Args:
        kubeconfig: path of the file; its user needs all permissions.
    """

    def __init__(self, kubeconfig: str) -> None:
        self.connection = Connection(kubeconfig)
        self._made = {NAMESPACE}  # namespaces created in this session
        self._used = {NAMESPACE}  # those of them that may contain objects
        self._nodes: dict[str, Any] = {}
        self._kubelet = SimulatedKubelet(self.connection, self.ours)
        self._notebooks = SimulatedNotebooks(self.connection, self.ours)
        self._users = {ADMIN_TOKEN: Caller("admin", other=False, token=None)}
        self._proxy = FaultProxy(self.connection, self._users)
        self.url = self._proxy.url

    def __enter__(self) -> Self:
        remove_created_objects(self.connection)
        require_a_cluster_for_tests(self.connection)
        operators.install(self.connection, LABELS)
        wait(lambda: operators.installed(self.connection), "the custom resource definitions being served")
        self._namespace(NAMESPACE)
        self._users[READER_TOKEN] = Caller("reader", other=True, token=self._reader())
        for part in (self._proxy, self._kubelet, self._notebooks):
            part.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            remove_created_objects(self.connection)
        finally:
            for part in (self._notebooks, self._kubelet, self._proxy):
                part.stop()
            self.connection.close()

    def ours(self, namespace: str) -> bool:
        """Whether a namespace was created by the tests."""
        return namespace in self._made or namespace.startswith(f"{NAMESPACE}-")

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests to `url`, oldest first."""
        return self._proxy.requests

    def write_kubeconfig(self, path: Path, *, token: str = ADMIN_TOKEN) -> Path:
        """Write a kubeconfig for the proxy; it accepts the emulator's tokens."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxied", "cluster": {"server": self.url}}],
            "users": [{"name": "proxied", "user": {"token": token}}],
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
            "current-context": "proxied",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def fail(
        self,
        code: int,
        *,
        verb: str | None = None,
        path: str = "",
        times: int = 1,
        after: int = 0,
        done: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next requests with a failure, like the emulator's `fail`."""
        self._proxy.inject(Fault(code, verb, path, times, after, done, headers or {}))

    def load(self, *objects: Any) -> None:
        """Create objects, including their status if given; existing objects of the same name are replaced.

        A real server assigns uids: an object with a given uid is deleted and created again.
        """
        first = [item for item in objects if item["kind"] in ("Namespace", "Node")]
        rest = placed(item for item in objects if item["kind"] not in ("Namespace", "Node"))
        for item in first:
            self._namespace(item["metadata"]["name"], item) if item["kind"] == "Namespace" else self._node(item)
        for name in {item["metadata"]["namespace"] for item in rest if item["kind"] not in CLUSTER_WIDE}:
            self._namespace(name)
        with ThreadPoolExecutor(8 if len(rest) > 100 else 1) as pool:
            list(pool.map(self._create, rest))

    def reset(self, objects: Iterable[Any] = ()) -> None:
        """Remove the tests' objects, create the given ones, wait for the controllers, and clear the request log.

        Nodes and ConfigMaps that already match are kept.
        """
        wanted = list(objects)
        nodes = {item["metadata"]["name"]: item for item in wanted if item["kind"] == "Node"}
        maps = {item["metadata"]["name"]: item for item in wanted if item["kind"] == "ConfigMap"}
        for namespace in sorted(self._used):
            self._empty(namespace, maps if namespace == NAMESPACE else {})
        self._used = self._made & {NAMESPACE, HEADS}
        for name in [name for name, item in self._nodes.items() if not self._matches(name, item, nodes.get(name))]:
            self._remove_node(name)
        there = {item["metadata"]["name"] for item in self.connection.items(f"{NAMESPACES}/{NAMESPACE}/configmaps")}
        self.load(
            *(
                item
                for item in wanted
                if not (item["kind"] == "Node" and item["metadata"]["name"] in self._nodes)
                and not (item["kind"] == "ConfigMap" and item["metadata"]["name"] in there)
            )
        )
        self.settle()
        self._proxy.forget()

    def forget(self) -> None:
        """Clear the request log and the injected failures; the objects stay."""
        self._proxy.forget()

    def settle(self, timeout_s: float = DEADLINE_S) -> None:
        """Wait until the controllers, the scheduler and the simulated kubelets are done."""
        wait(
            lambda: not unsettled(self.connection, self._used, self._nodes),
            "a settled cluster",
            timeout_s,
            self._pending,
        )

    def _pending(self) -> str:
        return "; ".join(unsettled(self.connection, self._used, self._nodes))

    def _namespace(self, name: str, wanted: Any = None) -> None:
        """Create a namespace, or set the labels and annotations of one of the tests' namespaces."""
        path = f"{NAMESPACES}/{name}"
        status, found = self.connection.call("GET", path)
        if status == 404:
            self.connection.must("POST", NAMESPACES, {"metadata": {"name": name, "labels": LABELS}})
        elif LABEL not in found["metadata"].get("labels", {}):
            pytest.skip(f"this cluster has a namespace {name} that the tests did not create")
        self._made.add(name)
        self._used.add(name)
        wait(lambda: self.connection.call("GET", f"{path}/serviceaccounts/default")[0] == 200, f"{name}'s account")
        if wanted is not None:
            marks = {key: wanted["metadata"].get(key, {}) for key in ("labels", "annotations")}
            self.connection.must("PATCH", path, {"metadata": marks}, content_type=MERGE)

    def _node(self, item: Any) -> None:
        name = item["metadata"]["name"]
        if name in self._nodes:
            self._remove_node(name)
        if self.connection.call("GET", f"{NODES}/{name}")[0] == 200:
            pytest.skip(f"this cluster has a node {name} that the tests did not create")
        labels = item["metadata"].get("labels", {}) | LABELS
        self._kubelet.add(item | {"metadata": item["metadata"] | {"labels": labels}})
        self._nodes[name] = item

    def _remove_node(self, name: str) -> None:
        self.connection.must("DELETE", f"{NODES}/{name}", also=(404,))
        self._kubelet.forget(name)
        del self._nodes[name]

    def _matches(self, name: str, made: Any, wanted: Any) -> bool:
        """Whether a node matches the wanted one and was not changed since it was created."""
        if made != wanted:
            return False
        spec = self.connection.must("GET", f"{NODES}/{name}")["spec"]
        return "unschedulable" not in spec and spec.get("taints", []) == made["spec"].get("taints", [])

    def _create(self, item: Any) -> None:
        labels = LABELS if item["kind"] in CLUSTER_WIDE else {}
        metadata = item["metadata"] | ({"labels": item["metadata"].get("labels", {}) | labels} if labels else {})
        uid = metadata.pop("uid", None)
        root, plural = (PLURALS | GRANTS)[item["kind"]]
        path = f"{root}/{plural}"
        if item["kind"] not in CLUSTER_WIDE:
            path = f"{root}/namespaces/{metadata['namespace']}/{plural}"
        body = {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}
        named = f"{path}/{metadata['name']}"
        if uid is not None:
            self.connection.must("DELETE", named, {"propagationPolicy": "Foreground"}, also=(404,))
            wait(lambda: self.connection.call("GET", named)[0] == 404, f"{named} being gone")
        status, answer = self.connection.call("POST", path, body)
        if status == 409:
            status, answer = self.connection.call("PUT", named, body)
        if status >= 300:
            raise UnexpectedStatus("POST", path, status, answer)
        if item.get("status"):
            self.connection.must("PATCH", f"{named}/status", {"status": item["status"]}, content_type=MERGE)

    def _empty(self, namespace: str, kept: Mapping[str, Any]) -> None:
        """Delete the objects of a namespace, except the server's own and ConfigMaps that already match."""
        options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
        paths = [f"{root}/namespaces/{namespace}/{plural}" for root, plural in reversed(PLURALS.values())]
        for path in paths:
            if not path.endswith("/configmaps"):
                self.connection.must("DELETE", path, options)
        for item in self.connection.items(f"{NAMESPACES}/{namespace}/configmaps"):
            name = item["metadata"]["name"]
            as_wanted = name in kept and kept[name].get("data") == item.get("data")
            if name not in CREATED_BY_SERVER and not as_wanted:
                self.connection.must("DELETE", f"{NAMESPACES}/{namespace}/configmaps/{name}", also=(404,))
        left = [path for path in paths if not path.endswith("/configmaps")]
        wait(lambda: not any(self.connection.items(path, limit=1) for path in left), f"{namespace} being empty")
        self._reset_marks(namespace)

    def _reset_marks(self, namespace: str) -> None:
        """Remove the labels and annotations that a test added to a namespace."""
        path = f"{NAMESPACES}/{namespace}"
        found = self.connection.must("GET", path)["metadata"]
        kept = {LABEL, "kubernetes.io/metadata.name"}
        marks = {
            field: {key: None for key in found.get(field, {}) if key not in kept} for field in ("labels", "annotations")
        }
        if any(marks.values()):
            self.connection.must("PATCH", path, {"metadata": marks}, content_type=MERGE)

    def token(self, namespace: str, account: str) -> str:
        """A bearer token of a ServiceAccount, valid for four hours."""
        path = f"{NAMESPACES}/{namespace}/serviceaccounts/{account}/token"
        answer = self.connection.must("POST", path, {"spec": {"expirationSeconds": 4 * 3600}})
        return str(answer["status"]["token"])

    def _reader(self) -> str:
        """A token of a ServiceAccount with read access to everything."""
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        subject = {"kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER}
        self.load(
            {"kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": NAMESPACE}},
            {"kind": "ClusterRole", "metadata": {"name": READER}, "rules": [everything]},
            {"kind": "ClusterRoleBinding", "metadata": {"name": READER}, "roleRef": reference, "subjects": [subject]},
        )
        return self.token(NAMESPACE, "reader")
