"""Pods, and their owners."""

from collections.abc import Iterable
from datetime import datetime

from gpuwise.model.inventory import ClaimedDevice, Pod
from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.scheduling import scheduling_of
from gpuwise.sources.kubernetes.volumes import Reach


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
    )


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
