"""The next step of freeing a node, from what is seen in the cluster: pure, so that a crash at any point resumes.

The node is cordoned first (autoscaler#5790: a pod was bound 371 ms before an "empty" node was deleted). Then its GPU
pods are evicted one by one, in the plan's order, by the Eviction API, which respects disruption budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.changes import FreeNode
from gpuwise.model.labels import is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.protection import marks, protection
from gpuwise.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Evict:
    """Evict this pod now."""

    pod: Object


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done now; why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """The action is complete."""

    detail: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The action cannot be completed: the node is uncordoned.

    Attributes:
        reason: reason code.
        detail: explanation for a person.
        cordoned: whether it stays cordoned, because a person has to look at it first.
    """

    reason: Reason
    detail: str
    cordoned: bool = False


Step = Evict | Wait | Done | Failed


def next_step(node: Object, change: FreeNode, pods: Sequence[Object], evicted: frozenset[str]) -> Step:
    """Return what to do next.

    Args:
        node: the node, as read from the API server.
        change: the plan.
        pods: all pods of the cluster's namespaces in which the plan has pods, and all pods of the node.
        evicted: uids of the controllers of the pods that this action evicted already.
    """
    name = node["metadata"]["name"]
    if not node["spec"].get("unschedulable"):
        return Failed(Reason.CHANGED_BY_OTHERS, "somebody uncordoned the node")
    present = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
    leaving = next((pod for pod in present if "deletionTimestamp" in pod["metadata"] and _place(pod) == name), None)
    if leaving is not None:
        return Wait(f"pod {_full(leaving)} is stopping")
    homeless = next((pod for pod in present if not _place(pod) and _controller(pod) in evicted), None)
    if homeless is not None:
        return Wait(f"pod {_full(homeless)}, which replaces an evicted one, has no node yet")
    planned = [(workload.split("/")[0], pod) for workload, pod, _ in change.moves]
    left = [pod for pod in present if _place(pod) == name and uses_gpus(pod)]
    unknown = next((pod for pod in left if _key(pod) not in planned), None)
    if unknown is not None:
        return Failed(Reason.CHANGED_SINCE_PLANNED, f"pod {_full(unknown)} was started there after the plan was made")
    by_key = {_key(pod): pod for pod in present}
    targets = {key: to for key, (_, _, to) in zip(planned, change.moves, strict=True)}
    due = next((pod for key in planned if (pod := by_key.get(key)) is not None and _place(pod) != targets[key]), None)
    if due is None:
        return Done("its GPU pods run elsewhere: its autoscaler or a person removes it")
    if not _controller(due):
        return Failed(Reason.NOT_MOVABLE, f"no controller would create pod {_full(due)} again")
    found = protection(marks(due["metadata"]))
    return Evict(due) if found is None else Failed(found[0], f"pod {_full(due)} is protected: {found[1]}")


def uses_gpus(pod: Object) -> bool:
    """Return whether a pod requests GPUs, by resources or by claims, and is of neither a DaemonSet nor the kubelet."""
    owner: Object = next((one for one in pod["metadata"].get("ownerReferences") or [] if one.get("controller")), {})
    if owner.get("kind") in ("DaemonSet", "Node"):
        return False
    containers = [*(pod["spec"].get("containers") or []), *(pod["spec"].get("initContainers") or [])]
    limits = [(one.get("resources") or {}).get("limits") or {} for one in containers]
    return bool(pod["spec"].get("resourceClaims")) or any(is_gpu(name) for one in limits for name in one)


def controller_of(pod: Object) -> str:
    """Return the uid of the object that controls a pod, "" without one."""
    return _controller(pod)


def _controller(pod: Object) -> str:
    references = pod["metadata"].get("ownerReferences") or []
    return next((str(one["uid"]) for one in references if one.get("controller")), "")


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _place(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _key(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _full(pod: Object) -> str:
    return "/".join(_key(pod))
