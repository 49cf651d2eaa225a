"""The GPUs and slices that nodes offer, and those that are free."""

from collections.abc import Iterable

from gpuwise.model.inventory import Node, Pod, Workload
from gpuwise.model.labels import GPU_CLASS, GPU_RESOURCE, MIG_RESOURCE_PREFIX


def offered(node: Node) -> dict[str, int]:
    """What a node offers, by resource: its MIG slices and the whole GPUs beside them, or its whole GPUs without MIG.

    Args:
        node: the node.
    """
    if node.mig:
        slices = {f"{MIG_RESOURCE_PREFIX}{profile}": count for profile, count in node.mig.items()}
        return slices | ({GPU_RESOURCE: node.whole_gpus} if node.whole_gpus else {})
    whole = node.gpu_count if node.whole_gpus is None else node.whole_gpus
    return {GPU_RESOURCE: whole} | ({GPU_CLASS: node.claimable} if node.claimable else {})


def free_capacity(node: Node, tenants: Iterable[tuple[Workload, Pod]]) -> dict[str, int]:
    """The free devices of a node, by resource.

    None if the request of one of its pods is not known, or is for a resource that the node does not offer: such a pod
    uses GPUs in a way that cannot be subtracted, as by Volcano's vGPUs or a resource claim for a MIG instance.

    Args:
        node: the node.
        tenants: the GPU pods on it.
    """
    free = offered(node)
    for workload, _ in tenants:
        if workload.request is None or any(one.resource not in free for one in workload.requests):
            return {}
        for request in workload.requests:
            free[request.resource] -= request.count
    # A free slice does not serve a request for whole GPUs, and a node with time-sliced GPUs counts as full.
    return {resource: max(count, 0) for resource, count in free.items()}
