"""The next step of freeing a node, from what is seen in the cluster: pure, so that a crash at any point resumes.

The node is cordoned first (autoscaler#5790: a pod was bound 371 ms before an "empty" node was deleted). Then its GPU
pods are evicted one by one, in the plan's order, by the Eviction API, which respects disruption budgets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gpuwise.enact.pods import is_ready
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


def next_step(
    node: Object,
    change: FreeNode,
    pods: Sequence[Object],
    evicted: frozenset[str],
    *,
    moved: frozenset[tuple[str, str]] = frozenset(),
    protections: Mapping[str, str] = MappingProxyType({}),
) -> Step:
    """Return what to do next.

    Args:
        node: the node, as read from the API server.
        change: the plan.
        pods: all pods of the cluster's namespaces in which the plan has pods, and all pods of the node.
        evicted: uids of the controllers of the pods that this action evicted already.
        moved: namespaces and names of these pods. A StatefulSet gives its new pod the same name, and the scheduler may
            choose another node than the plan: it is not evicted again.
        protections: further labels or annotations that protect a pod, with the value.
    """
    name = node["metadata"]["name"]
    if not node["spec"].get("unschedulable"):
        return Failed(Reason.CHANGED_BY_OTHERS, "somebody uncordoned the node")
    present = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
    leaving = next((pod for pod in present if "deletionTimestamp" in pod["metadata"] and _place(pod) == name), None)
    if leaving is not None:
        return Wait(f"pod {_full(leaving)} is stopping")
    starting = next((pod for pod in present if _controller(pod) in evicted and not is_ready(pod)), None)
    if starting is not None:
        state = "is not ready yet" if _place(starting) else "has no node yet"
        return Wait(f"a pod was evicted, and pod {_full(starting)} of the same controller {state}")
    planned = [(workload.split("/")[0], pod) for workload, pod, _ in change.moves]
    left = [pod for pod in present if _place(pod) == name and uses_gpus(pod) and not stays(pod)]
    unknown = next((pod for pod in left if _key(pod) not in planned), None)
    if unknown is not None:
        return Failed(Reason.CHANGED_SINCE_PLANNED, f"pod {_full(unknown)} was started there after the plan was made")
    by_key = {_key(pod): pod for pod in present}
    returned = next((pod for pod in left if _key(pod) in moved), None)
    if returned is not None:
        return Failed(Reason.NOT_MOVABLE, f"pod {_full(returned)} was evicted, and was started on this node again")
    targets = {key: to for key, (_, _, to) in zip(planned, change.moves, strict=True) if key not in moved}
    due = next((pod for key, to in targets.items() if (pod := by_key.get(key)) is not None and _place(pod) != to), None)
    if due is None:
        return Done("its GPU pods run elsewhere: its autoscaler or a person removes it")
    if not _controller(due):
        return Failed(Reason.NOT_MOVABLE, f"no controller would create pod {_full(due)} again")
    found = protection(marks(due["metadata"]), protections)
    if found is not None:
        return Failed(found[0], f"pod {_full(due)} is protected: {found[1]}")
    return Evict(due) if (waits := _not_yet(due, present)) is None else Wait(waits)


def _not_yet(due: Object, present: Sequence[Object]) -> str | None:
    """Why a pod of the plan is not evicted now, None if it is: it has no node, or is the last ready one of several."""
    if not _place(due):
        return f"pod {_full(due)} has no node yet"
    mates = [pod for pod in present if pod is not due and _controller(pod) == _controller(due)]
    if is_ready(due) and mates and not any(map(is_ready, mates)):
        return f"no other pod of the controller of {_full(due)} is ready"
    return None


def stays(pod: Object) -> bool:
    """Return whether a pod belongs to its node: one of a DaemonSet or of the kubelet."""
    owner: Object = next((one for one in pod["metadata"].get("ownerReferences") or [] if one.get("controller")), {})
    return owner.get("kind") in ("DaemonSet", "Node")


def uses_gpus(pod: Object) -> bool:
    """Return whether a pod requests GPUs, by resources or by claims."""
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
