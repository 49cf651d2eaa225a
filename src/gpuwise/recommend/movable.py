"""Whether a pod may be moved to another node."""

from gpuwise.model.inventory import Pod, Workload, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.reasons import Reason
from gpuwise.recommend.fleet import Fleet

# Nothing makes a bare pod anew elsewhere, and a DaemonSet's belongs to its node.
_TIED = frozenset({"DaemonSet", "Pod", "Node"})


def blocker(fleet: Fleet, workload: Workload, pod: Pod) -> tuple[Reason, str] | None:
    """Why a pod must stay where it is; None where it may move.

    Args:
        fleet: where it is.
        workload: that owns it.
        pod: itself.
    """
    namespace = fleet.inventory.namespaces.get(workload.ref.namespace)
    if workload.ref.namespace in SYSTEM_NAMESPACES:
        return Reason.PROTECTED_NAMESPACE, f"{pod.name} is in {workload.ref.namespace}"
    if namespace is None:
        return Reason.UNREADABLE_POLICY, f"nothing is known of namespace {workload.ref.namespace}"
    for annotations in (pod.annotations, workload.annotations, namespace.annotations):
        said = protection(annotations)
        if said is not None:
            return said[0], f"{pod.name}: {said[1]}"
    if workload.ref.kind in _TIED:
        return Reason.NOT_MOVABLE, f"{pod.name} belongs to a {workload.ref.kind}: nothing recreates it on another node"
    if workload.disruptions_allowed is not None and workload.disruptions_allowed < 1:
        return Reason.BLOCKED_BY_PDB, f"the budget of {workload.ref} allows no disruption"
    if workload.request is None:
        return Reason.INSUFFICIENT_DATA, f"{workload.ref} does not say what {pod.name} holds"
    if workload.workload_class is not WorkloadClass.ENDPOINT and workload.annotations.get(CHECKPOINTED) != "true":
        detail = f'{pod.name} would lose its work: {workload.ref} is not annotated {CHECKPOINTED}: "true"'
        return Reason.NOT_INTERRUPTIBLE, detail
    return None


def answers_alone(workload: Workload, node: str) -> bool:
    """Whether nobody answers for an endpoint while its pods on a node start anew.

    Args:
        workload: of any class; only endpoints answer.
        node: that is emptied.
    """
    elsewhere = (pod.ready and pod.phase == "Running" and pod.node != node for pod in workload.pods)
    return workload.workload_class is WorkloadClass.ENDPOINT and not any(elsewhere)
