"""The outcome of an effect in pods: an object may accept a change that its pods never follow (LLMKube#192)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpuwise.enact.images import Image, image_of, parts_of, pointer
from gpuwise.model.changes import Change, ScaleTo
from gpuwise.model.kinds import KINDS
from gpuwise.model.ports import Object

_TEMPLATE = ("spec", "template")
# Reasons for which a container waits that no further waiting changes.
_STUCK = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What the pods of a target show.

    Attributes:
        done: whether they are as the change requires.
        broken: why they will not be, "" if they still may.
        detail: their state, for a person.
    """

    done: bool
    broken: str
    detail: str


def seen(
    kind: str, item: Object, pods: Sequence[Object], change: Change, after: Image, *, canary: int | None = None
) -> Seen:
    """Compare the pods of a workload with what a change requires.

    Args:
        kind: kind of the workload.
        item: the workload's own object.
        pods: its pods.
        change: the change that was written.
        after: the changed fields with their new values.
        canary: how many pods have the change at present; None for all.
    """
    present = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
    if isinstance(change, ScaleTo) and change.replicas == 0:
        return Seen(not present, "", f"{len(present)} of its pods still exist")
    wanted = _wanted(kind, item)
    fields = {at: value for at, value in after.items() if parts_of(at)[:2] == list(_TEMPLATE)}
    new = [pod for pod in present if _follows(pod, fields)]
    ready = sum(map(is_ready, new))
    if canary is not None:
        detail = f"{ready} of the first {canary} pods are ready with the change"
        return Seen(ready >= canary, _broken(item, new), detail)
    detail = f"{ready} of {wanted} pods are ready with the change, {len(present) - len(new)} are without it"
    return Seen(ready == len(present) == wanted, _broken(item, new) if fields else "", detail)


def is_ready(pod: Object) -> bool:
    """Return whether a pod runs, is ready and is not being deleted."""
    conditions = {one["type"]: one["status"] for one in (pod.get("status") or {}).get("conditions") or []}
    return _phase(pod) == "Running" and conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _wanted(kind: str, item: Object) -> int:
    replicas = int(item["spec"].get("replicas", 1)) if KINDS[kind].scales else 1
    group = item["spec"].get("leaderWorkerTemplate") or {}
    return replicas * int(group.get("size", 1))


def _follows(pod: Object, fields: Image) -> bool:
    """Whether a pod was made from the changed template. Admission may add to a pod, such as tolerations."""
    wanted = {pointer(*parts_of(at)[len(_TEMPLATE) :]): value for at, value in fields.items()}
    actual = image_of(pod, wanted)
    return all(at in actual and _contains(actual[at], value) for at, value in wanted.items())


def _contains(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and isinstance(actual, list):
        return all(one in actual for one in wanted)
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return all(key in actual and _contains(actual[key], value) for key, value in wanted.items())
    return bool(actual == wanted)


def _broken(item: Object, new: Sequence[Object]) -> str:
    """Why a rolling update fails: its deadline passed, or a new container does not stay up (autoscaler#6705)."""
    for one in (item.get("status") or {}).get("conditions") or []:
        if one["type"] == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded":
            return "its rolling update made no progress until the deadline"
    for pod in new:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            why = _failure(container)
            if why:
                return f"container {container['name']} of its new pod {pod['metadata']['name']}: {why}"
    return ""


def _failure(container: Object) -> str:
    waiting = ((container.get("state") or {}).get("waiting") or {}).get("reason", "")
    ends = ((container.get(name) or {}).get("terminated") or {} for name in ("state", "lastState"))
    if any(end.get("reason") == "OOMKilled" for end in ends):
        return "OOMKilled"
    return waiting if waiting in _STUCK else ""
