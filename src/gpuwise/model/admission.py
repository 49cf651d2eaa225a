"""Which nodes a pod admits."""

from gpuwise.model.inventory import Node, Pod
from gpuwise.model.labels import CAPACITY_TYPE_LABELS


def admits(pod: Pod, node: Node) -> bool:
    """Whether a pod's node selector, affinity and volumes admit a node, whatever they require of its capacity type.

    Args:
        pod: the pod; what it requires is possibly not known, and then admits every node.
        node: the node; likewise.
    """
    if pod.scheduling is None or not pod.scheduling.terms or node.openness is None:
        return True
    labels = node.openness.labels
    return any(
        all(one.met_by(labels) for one in term if one.key not in CAPACITY_TYPE_LABELS) for term in pod.scheduling.terms
    )
