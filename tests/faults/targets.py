"""What the schedules change: one object per kind of action, each with the recommendation for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpuwise.emulate.objects import deployment, job, node, notebook, pod_spec, statefulset
from gpuwise.enact.partition import CONFIG, STATE
from gpuwise.model.changes import Change, FreeNode, MoveToOnDemand, MoveToSpot, Repartition, Resize, ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest, Inventory, WorkloadRef
from gpuwise.model.labels import CHECKPOINTED, EXPIRES
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Evidence, Recommendation, Saving

NAMESPACE = "team"
_ONE, _TWO = GpuRequest("nvidia.com/gpu", 1), GpuRequest("nvidia.com/gpu", 2)
_SPOT = "karpenter.sh/capacity-type"


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that gpuwise changes.

    Attributes:
        name: its name.
        kind: its kind.
        path: its API path.
        change: what is recommended; of a node's plan only the kind counts.
        make: the object, called with its uid.
        done: whether an object has the change.
        watched: whether its service level is watched after the write.
        parts: what belongs to it.
        owner: path of the owner of the pods that are disrupted, if that is another object.
    """

    name: str
    kind: str
    path: str
    change: Change
    make: Callable[[str], Object]
    done: Callable[[Object], bool]
    watched: bool = False
    parts: tuple[Object, ...] = field(default=(), compare=False)
    owner: str = ""

    @property
    def label(self) -> str:
        """How failpoints name it."""
        return f"{self.change.kind} {self.kind}{', watched' if self.watched else ''}"

    @property
    def guarded(self) -> str:
        """Path of the object whose protection forbids the change."""
        return self.owner or self.path

    def uid(self, fleet: Inventory) -> str | None:
        """The uid by which a recommendation names it, None if the inventory does not have it."""
        if self.kind == "Node":
            return self.name if self.name in fleet.nodes else None
        return next(
            (one.ref.uid for one in fleet.workloads if (one.ref.kind, one.ref.name) == (self.kind, self.name)), None
        )

    def recommendation(self, uid: str, pods: list[Object], now_s: int, usd: float) -> Recommendation:
        """The recommendation for the object of this uid; pods of the cluster are those that a node's plan may move."""
        ref = WorkloadRef("" if self.kind == "Node" else NAMESPACE, self.kind, self.name, uid)
        change = _moves(self.name, pods) if isinstance(self.change, FreeNode) else self.change
        return Recommendation(
            id=f"r-{self.name}", workload=ref, owner="search", finding=Finding.IDLE, reasons=(Reason.NO_ACTIVITY,),
            change=change, saving=Saving(usd, usd, usd, 1.0), risk=0, confidence=1.0, coverage=1.0,
            evidence=(Evidence("no activity", None, "max", 0.0, 0.05, "ratio"),), restart_needed=True,
            rollback_possible=True, effort="Low", created_s=now_s, expires_s=now_s + 86_400, etag="e1",
        )  # fmt: skip


def _apps(plural: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{NAMESPACE}/{plural}/{name}"


def _replicas(item: Object) -> bool:
    return item["spec"]["replicas"] == 0


def _one_gpu(item: Object) -> bool:
    container = item["spec"]["template"]["spec"]["containers"][0]
    return container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def _affinity(item: Object) -> Any:
    return item["spec"]["template"]["spec"].get("affinity", {}).get("nodeAffinity", {})


def _moves(node_name: str, pods: list[Object]) -> FreeNode:
    names = sorted(one["metadata"]["name"] for one in pods if one["spec"].get("nodeName") == node_name)
    return FreeNode(tuple((f"{NAMESPACE}/Deployment/movable", name, "spare") for name in names))


def _drained(item: Object) -> bool:
    ended = EXPIRES not in (item["metadata"].get("annotations") or {})
    return ended and bool(item["spec"].get("unschedulable"))


def _group(uid: str) -> Object:
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 1, "workerTemplate": {"spec": pod_spec()}}}
    metadata = {"name": "group", "uid": uid, **_SHARED}
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": metadata, "spec": spec}


_SHARED = {"namespace": NAMESPACE}
_TAINT = {"key": "example.com/pool", "value": "movable", "effect": "NoSchedule"}
_HERE = {
    "nodeSelector": {"example.com/pool": "movable"},
    "tolerations": [{"key": "example.com/pool", "operator": "Exists"}],
}
_POOL = {"labels": {"example.com/pool": "movable"}, "taints": [_TAINT]}
_OWN = {"labels": {CONFIG: "all-1g.10gb", STATE: "success"}, "taints": [_TAINT | {"value": "sliced"}]}
_MOVABLE = deployment("movable", replicas=2, spec=pod_spec(**_HERE), **_SHARED)
_SLICES = (("1g.10gb", 14),), (("1g.10gb", 7),)
LAYOUTS = {"1g.10gb:7": "one-sliced"}
SUBJECTS = (
    Subject("web", "Deployment", _apps("deployments", "web"), ScaleTo(0),
            lambda uid: deployment("web", replicas=2, uid=uid, **_SHARED), _replicas),
    Subject("index", "StatefulSet", _apps("statefulsets", "index"), ScaleTo(0),
            lambda uid: statefulset("index", replicas=2, uid=uid, **_SHARED), _replicas),
    Subject("train", "Job", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/train", ScaleTo(0),
            lambda uid: job("train", uid=uid, annotations={CHECKPOINTED: "true"}, **_SHARED),
            lambda item: item["spec"].get("suspend") is True),
    Subject("ada", "Notebook", f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/notebooks/ada", ScaleTo(0),
            lambda uid: notebook("ada", uid=uid, **_SHARED),
            lambda item: "kubeflow-resource-stopped" in item["metadata"].get("annotations", {})),
    Subject("large", "Deployment", _apps("deployments", "large"), Resize(_TWO, _ONE),
            lambda uid: deployment("large", replicas=2, uid=uid, spec=pod_spec(gpus=2), **_SHARED), _one_gpu),
    Subject("shards", "StatefulSet", _apps("statefulsets", "shards"), Resize(_TWO, _ONE),
            lambda uid: statefulset("shards", replicas=2, uid=uid, spec=pod_spec(gpus=2), **_SHARED), _one_gpu),
    Subject("chat", "Deployment", _apps("deployments", "chat"), MoveToSpot(),
            lambda uid: deployment("chat", replicas=2, uid=uid, **_SHARED),
            lambda item: "preferredDuringSchedulingIgnoredDuringExecution" in _affinity(item)),
    Subject("batch", "Deployment", _apps("deployments", "batch"), MoveToOnDemand(),
            lambda uid: deployment("batch", replicas=2, uid=uid, **_SHARED),
            lambda item: "requiredDuringSchedulingIgnoredDuringExecution" in _affinity(item)),
    Subject("api", "Deployment", _apps("deployments", "api"), ScaleTo(0),
            lambda uid: deployment("api", replicas=2, uid=uid, **_SHARED), _replicas, watched=True),
    Subject("group", "LeaderWorkerSet",
            f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{NAMESPACE}/leaderworkersets/group", ScaleTo(0),
            _group, _replicas, watched=True),
    Subject("tiers", "StatefulSet", _apps("statefulsets", "tiers"), Resize(_TWO, _ONE),
            lambda uid: statefulset("tiers", replicas=2, uid=uid, spec=pod_spec(gpus=2), **_SHARED), _one_gpu,
            watched=True),
    Subject("front", "Deployment", _apps("deployments", "front"), Resize(_TWO, _ONE),
            lambda uid: deployment("front", replicas=2, uid=uid, spec=pod_spec(gpus=2), **_SHARED), _one_gpu,
            watched=True),
    Subject("drained", "Node", "/api/v1/nodes/drained", FreeNode(()),
            lambda uid: node("drained", gpus=2, **_POOL), _drained,
            parts=(node("spare", gpus=4, **_POOL), _MOVABLE), owner=_apps("deployments", "movable")),
    Subject("sliced", "Node", "/api/v1/nodes/sliced", Repartition(*_SLICES, 1),
            lambda uid: node("sliced", gpus=0, mig={"1g.10gb": 14}, **_OWN),
            lambda item: item["metadata"]["labels"].get(CONFIG) == "one-sliced"),
)  # fmt: skip
"""One for each change and kind that gpuwise writes."""


def nodes() -> list[Object]:
    """The nodes: on-demand and spot."""
    product = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.count": "8"}
    return [node(f"gpu-{at}", labels=product | {_SPOT: kind}) for at, kind in enumerate(("on-demand", "spot"))]
