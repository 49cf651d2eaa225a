"""Whether a pod may be moved to another node, and a node be drained."""

from gpuwise.model.inventory import Node, Pod, Workload, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED, GPU_CLASS, MIG_CLASS
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.reasons import Reason
from gpuwise.recommend.fleet import Fleet

# No controller recreates a bare pod on another node, and a DaemonSet's pod belongs to its node.
_TIED = frozenset({"DaemonSet", "Pod", "Node"})


def blocker(fleet: Fleet, workload: Workload, pod: Pod) -> tuple[Reason, str] | None:
    """Why a pod must not be moved; None if it may.

    Args:
        fleet: the pod's fleet.
        workload: the workload that owns the pod.
        pod: the pod.
    """
    namespace = fleet.inventory.namespaces.get(workload.ref.namespace)
    if workload.ref.namespace in SYSTEM_NAMESPACES:
        return Reason.PROTECTED_NAMESPACE, f"{pod.name} is in {workload.ref.namespace}"
    if namespace is None:
        return Reason.UNREADABLE_POLICY, f"namespace {workload.ref.namespace} is not in the inventory"
    for holder in (pod, workload, namespace):
        refusal = protection({**holder.labels, **holder.annotations})
        if refusal is not None:
            return refusal[0], f"{pod.name}: {refusal[1]}"
    if workload.ref.kind in _TIED:
        return Reason.NOT_MOVABLE, f"{pod.name} belongs to a {workload.ref.kind}: it is not recreated on another node"
    if workload.disruptions_allowed is not None and workload.disruptions_allowed < 1:
        return Reason.BLOCKED_BY_PDB, f"the PodDisruptionBudget of {workload.ref} allows no disruption now"
    refusal = _not_placed(workload, pod)
    if refusal is not None:
        return refusal
    if workload.workload_class is not WorkloadClass.ENDPOINT and workload.annotations.get(CHECKPOINTED) != "true":
        detail = f'{pod.name} would lose its work: {workload.ref} has no annotation {CHECKPOINTED}: "true"'
        return Reason.NOT_INTERRUPTIBLE, detail
    return None


def unplaceable(workload: Workload, pod: Pod) -> tuple[Reason, str] | None:
    """Why gpuwise cannot tell on which nodes a pod may run; None if it can.

    Args:
        workload: the workload that owns the pod.
        pod: the pod.
    """
    refusal = _not_placed(workload, pod)
    if refusal is not None:
        return refusal
    if pod.scheduling is None:
        return Reason.INSUFFICIENT_DATA, f"what {pod.name} requires of its node is not known"
    if pod.scheduling.tied is not None:
        return Reason.NOT_MOVABLE, f"{pod.name}: {pod.scheduling.tied}"
    return None


def pinned(fleet: Fleet, node: Node, workload: Workload, pod: Pod) -> tuple[Reason, str] | None:
    """Why a pod of a node must not or cannot move to another one, None if it may.

    Args:
        fleet: the pod's fleet.
        node: its node.
        workload: the workload that owns it.
        pod: the pod.
    """
    why = blocker(fleet, workload, pod)
    if why is not None:
        return why
    if answers_alone(workload, node.name):
        return Reason.SINGLE_REPLICA, f"{workload.ref} has no other ready pod while {pod.name} moves"
    return unplaceable(workload, pod)


def may_move(fleet: Fleet, node: Node, workload: Workload, pod: Pod) -> bool:
    """Whether a pod may move, and its node be disturbed; the arguments are those of `pinned`."""
    return node_blocker(node) is None and pinned(fleet, node, workload, pod) is None


def _not_placed(workload: Workload, pod: Pod) -> tuple[Reason, str] | None:
    """Why gpuwise cannot find another place for a pod by what it requests; None if it can."""
    if workload.request is None:
        return Reason.INSUFFICIENT_DATA, f"the GPU request of {workload.ref} is not known ({pod.name})"
    if pod.claimed or workload.request.resource in (GPU_CLASS, MIG_CLASS):
        return Reason.NOT_MOVABLE, f"{pod.name} has a resource claim: gpuwise cannot tell which nodes satisfy it"
    if workload.more_requests:
        names = " and ".join(one.resource for one in workload.requests)
        return Reason.NOT_MOVABLE, f"{pod.name} requests {names}: gpuwise finds places for one resource only"
    return None


def node_blocker(node: Node) -> tuple[Reason, str] | None:
    """Why a node must not be drained; None if it may."""
    refusal = protection(node.marks)
    return None if refusal is None else (refusal[0], f"{node.name}: {refusal[1]}")


def answers_alone(workload: Workload, node: str) -> bool:
    """Whether an endpoint has no ready pod on another node while its pods on this node restart.

    Args:
        workload: a workload of any class; False unless it is an endpoint.
        node: the node that is drained.
    """
    elsewhere = (pod.ready and pod.phase == "Running" and pod.node != node for pod in workload.pods)
    return workload.workload_class is WorkloadClass.ENDPOINT and not any(elsewhere)
