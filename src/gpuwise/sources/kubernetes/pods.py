"""Pods, and their owners."""

from collections.abc import Iterable
from datetime import datetime

from gpuwise.model.inventory import ClaimedDevice, Pod, Start
from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.scheduling import scheduling_of
from gpuwise.sources.kubernetes.volumes import Reach

# A pod that becomes ready later than this was ready before: 400 GB of weights at 200 MB/s take 33 minutes.
_LONGEST_START_S = 3_600


def pod_of(item: Object, *, volumes: Reach, claimed: tuple[ClaimedDevice, ...] = ()) -> Pod:
    """Convert a Pod object.

    Args:
        item: the object.
        volumes: which nodes can attach its volumes.
        claimed: the devices that its resource claims allocate.
    """
    metadata, status = item["metadata"], item.get("status") or {}
    conditions = status.get("conditions") or []
    node = (item.get("spec") or {}).get("nodeName")
    started = status.get("startTime") or (_assigned(conditions, metadata) if node else None)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        node=node,
        phase=status.get("phase", "Unknown"),
        ready=any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions),
        started_s=epoch_s(started) if started else None,
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        scheduling=scheduling_of(item.get("spec") or {}, volumes),
        claimed=claimed,
        start=_start(status),
    )


def _start(status: Object) -> Start | None:
    """Return how long a pod took to become ready; None if that is not known.

    The time of a condition is that of its last change. After a restart of a container it is not that of the start; a
    pod that was not ready for some time without a restart is recognised only if that was long after its start.
    """
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    ready = conditions.get("Ready") or {}
    since = (conditions.get("PodScheduled") or {}).get("lastTransitionTime") or status.get("startTime")
    containers = status.get("containerStatuses") or []
    restarted = any(one.get("restartCount") for one in containers)
    if ready.get("status") != "True" or not ready.get("lastTransitionTime") or not since or not containers or restarted:
        return None
    ready_s = epoch_s(ready["lastTransitionTime"])
    took_s = ready_s - epoch_s(since)
    return Start(ready_s, took_s) if 0 < took_s <= _LONGEST_START_S else None


def _assigned(conditions: Iterable[Object], metadata: Object) -> str | None:
    """Return when a pod was assigned to its node, which its kubelet has not confirmed yet."""
    times = (one.get("lastTransitionTime") for one in conditions if one["type"] == "PodScheduled")
    return next((time for time in times if time), None) or metadata.get("creationTimestamp")


def epoch_s(text: str) -> int:
    """Convert a time from the Kubernetes API to epoch seconds."""
    return int(datetime.fromisoformat(text).timestamp())


def controller_of(item: Object) -> Object | None:
    """Return the controlling owner reference; if none is marked as controller, the first one."""
    references: Iterable[Object] = item["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), next(iter(references), None))
