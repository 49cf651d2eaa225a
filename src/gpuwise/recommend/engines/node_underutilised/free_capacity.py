"""The free GPUs and slices of nodes, and whether pods fit into them."""

from collections.abc import Iterable, Mapping, Sequence

from gpuwise.model.inventory import GpuRequest, Node, Pod, Workload
from gpuwise.model.labels import GPU_CLASS, GPU_RESOURCE, MIG_RESOURCE_PREFIX

FreeCapacity = Mapping[str, Mapping[str, int]]
"""Free devices by resource and node."""


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


def fitted(requests: Sequence[GpuRequest], capacity: FreeCapacity) -> list[str] | None:
    """Find a node for each of some pods; the search is exact, so more free capacity never makes it fail.

    Args:
        requests: the request of each pod.
        capacity: the free capacity.

    Returns:
        A node for each request, in the same order; None if they do not all fit.
    """
    order = sorted(range(len(requests)), key=lambda index: (requests[index].resource, -requests[index].count))
    placed: dict[int, str] = {}
    left = {resource: dict(by_node) for resource, by_node in capacity.items()}
    if not _search([(index, requests[index]) for index in order], left, placed):
        return None
    return [placed[index] for index in range(len(requests))]


def _search(
    requests: Sequence[tuple[int, GpuRequest]], left: dict[str, dict[str, int]], placed: dict[int, str]
) -> bool:
    if not requests:
        return True
    (index, request), *others = requests
    free = left.get(request.resource, {})
    alike = sum(other.count == request.count and other.resource == request.resource for _, other in requests)
    if request.count <= 0 or sum(count // request.count for count in free.values()) < alike:
        return False
    # Nodes with the same free capacity are interchangeable, so one of each is tried.
    for capacity in sorted({count for count in free.values() if count >= request.count}):
        node = next(name for name, count in free.items() if count == capacity)
        free[node] -= request.count
        placed[index] = node
        if _search(others, left, placed):
            return True
        free[node] += request.count
    return False
