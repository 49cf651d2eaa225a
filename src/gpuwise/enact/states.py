"""States of an object in which it is not stopped: what could not be undone, or would not take effect."""

from gpuwise.enact.refusal import Refusal
from gpuwise.model.kinds import Kind
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

# A Job ends as Complete or Failed, a JobSet as Completed, the training operator's jobs as Succeeded.
_ENDS = frozenset({"Complete", "Completed", "Succeeded", "Failed", "Finished"})
_ENDS_OF_RAY = frozenset({"Complete", "Failed"})
# Argo's status.phase while a step, a pause or an aborted update is not finished.
_ROLLING = frozenset({"Progressing", "Paused", "Degraded"})


def not_now(kind: Kind, item: Object) -> Refusal | None:
    """Return why an object of a kind is not stopped in its current state, None if it may be.

    Args:
        kind: row of the object's kind.
        item: the object, as read from the API server.
    """
    if _ended(item):
        return Refusal(Reason.ALREADY_STOPPED, f"the {kind.name} has finished")
    if _deletes_volumes(item):
        detail = "persistentVolumeClaimRetentionPolicy.whenScaled is Delete: a scale-down deletes its volumes"
        return Refusal(Reason.NOT_REVERSIBLE, detail)
    if kind.name == "Rollout":
        return _rolling(item)
    return _ray_job(item) if kind.name == "RayJob" else None


def _ended(item: Object) -> bool:
    status = item.get("status") or {}
    if status.get("jobDeploymentStatus") in _ENDS_OF_RAY:
        return True
    return any(one["type"] in _ENDS and one["status"] == "True" for one in status.get("conditions") or [])


def _deletes_volumes(item: Object) -> bool:
    spec = item["spec"]
    places = (spec, spec.get("leaderWorkerTemplate") or {})
    return any(
        one.get("volumeClaimTemplates")
        and (one.get("persistentVolumeClaimRetentionPolicy") or {}).get("whenScaled") == "Delete"
        for one in places
    )


def _rolling(item: Object) -> Refusal | None:
    phase = (item.get("status") or {}).get("phase")
    if item["spec"].get("paused") or phase in _ROLLING:
        detail = f"the Rollout is {'paused' if item['spec'].get('paused') else phase}: an update is in progress"
        return Refusal(Reason.ROLLOUT_PAUSED, detail)
    return None


def _ray_job(item: Object) -> Refusal | None:
    """KubeRay rejects a suspended RayJob that keeps its cluster, or uses the cluster of others."""
    spec = item["spec"]
    if spec.get("clusterSelector") or not spec.get("shutdownAfterJobFinishes"):
        detail = "KubeRay suspends a RayJob only with shutdownAfterJobFinishes: true and without a clusterSelector"
        return Refusal(Reason.KIND_NOT_SUPPORTED, detail)
    return None
