"""What the schedules change: one object per kind of action, each with the recommendation for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuwise.emulate.objects import deployment, job, node, notebook, pod_spec, statefulset
from gpuwise.model.changes import Change, MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.labels import CHECKPOINTED
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
        change: what is recommended.
        make: the object, called with its uid.
        done: whether an object has the change.
    """

    name: str
    kind: str
    path: str
    change: Change
    make: Callable[[str], Object]
    done: Callable[[Object], bool]

    @property
    def label(self) -> str:
        """How failpoints name it."""
        return f"{self.change.kind} {self.kind}"

    def recommendation(self, uid: str, now_s: int, usd: float) -> Recommendation:
        """The recommendation for the object of this uid."""
        ref = WorkloadRef(NAMESPACE, self.kind, self.name, uid)
        return Recommendation(
            id=f"r-{self.name}", workload=ref, owner="search", finding=Finding.IDLE, reasons=(Reason.NO_ACTIVITY,),
            change=self.change, saving=Saving(usd, usd, usd, 1.0), risk=0, confidence=1.0, coverage=1.0,
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


_SHARED = {"namespace": NAMESPACE}
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
)  # fmt: skip
"""One for each change and kind that gpuwise writes."""


def nodes() -> list[Object]:
    """The nodes: on-demand and spot."""
    product = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.count": "8"}
    return [node(f"gpu-{at}", labels=product | {_SPOT: kind}) for at, kind in enumerate(("on-demand", "spot"))]
