"""ScaleTo: fewer replicas, down to zero.

gpuwise patches the object and not its scale subresource: one write then contains the replicas, gpuwise's annotation and
both preconditions. The scale subresource has no annotations.
"""

from datetime import UTC, datetime

from gpuwise.enact.images import pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.model.changes import ScaleTo
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

REPLICAS = pointer("spec", "replicas")
SUSPEND = pointer("spec", "suspend")
STOPPED = pointer("metadata", "annotations", "kubeflow-resource-stopped")


def plan_scale(kind: str, item: Object, change: ScaleTo, now_s: int) -> FieldChanges | Refusal:
    """Plan the fields that scale a workload down.

    Args:
        kind: kind of the object.
        item: the object, as read from the API server.
        change: the new number of replicas.
        now_s: epoch seconds.
    """
    if kind in ("Deployment", "StatefulSet"):
        return _replicas(item, change.replicas)
    if change.replicas:
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"a {kind} can be stopped, not scaled to {change.replicas}")
    if kind == "Job":
        return _suspend(item)
    if kind == "Notebook":
        return _stop(item, now_s)
    return Refusal(Reason.KIND_NOT_SUPPORTED, f"gpuwise does not scale a {kind}")


def _replicas(item: Object, replicas: int) -> FieldChanges | Refusal:
    # Absent means 1, the API's default. A scale-down never increases (GoKubeDownscaler#456 raised 0 to 1).
    have = item["spec"].get("replicas", 1)
    if have == 0:
        return Refusal(Reason.ALREADY_STOPPED, "it already has 0 replicas")
    if have <= replicas:
        detail = f"it has {have} replicas now and the plan is {replicas}: a scale-down never increases"
        return Refusal(Reason.CHANGED_SINCE_PLANNED, detail)
    return FieldChanges({REPLICAS: replicas})


def _suspend(item: Object) -> FieldChanges | Refusal:
    conditions = (item.get("status") or {}).get("conditions") or []
    if any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions):
        return Refusal(Reason.ALREADY_STOPPED, "the Job has finished")
    if item["spec"].get("suspend"):
        return Refusal(Reason.ALREADY_STOPPED, "the Job is already suspended")
    return FieldChanges({SUSPEND: True})


def _stop(item: Object, now_s: int) -> FieldChanges | Refusal:
    if "kubeflow-resource-stopped" in (item["metadata"].get("annotations") or {}):
        return Refusal(Reason.ALREADY_STOPPED, "the notebook is already stopped")
    return FieldChanges({STOPPED: datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
