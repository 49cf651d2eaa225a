"""GPUs and slices that nodes have left, and whether pods fit into them."""

from collections.abc import Iterable, Mapping, Sequence

from gpuwise.model.inventory import GpuRequest, Node, Pod, Workload
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX

Rooms = Mapping[str, Mapping[str, int]]
"""What is free, by resource and node."""


def offered(node: Node) -> dict[str, int]:
    """What a node offers, by resource: its slices, or whole GPUs where it is not sliced.

    Args:
        node: any.
    """
    if node.mig:
        return {f"{MIG_RESOURCE_PREFIX}{profile}": count for profile, count in node.mig.items()}
    return {GPU_RESOURCE: node.gpu_count}


def room(node: Node, tenants: Iterable[tuple[Workload, Pod]]) -> dict[str, int]:
    """What is free on a node, by resource; nothing where a tenant does not say what it holds.

    Args:
        node: any.
        tenants: the pods on it.
    """
    free = offered(node)
    for workload, _ in tenants:
        if workload.request is None:
            return {}
        free[workload.request.resource] = free.get(workload.request.resource, 0) - workload.request.count
    # A slice left on a GPU is no use to who asks for whole ones, and a node that shares its GPUs in time is full.
    return {resource: max(count, 0) for resource, count in free.items()}


def fitted(asked: Sequence[GpuRequest], rooms: Rooms) -> list[str] | None:
    """Find a node for each of some pods; the search is exact, so more room never finds less.

    Args:
        asked: what each pod asks for.
        rooms: what is free.

    Returns:
        A node for each, in the order asked; None where they do not all fit.
    """
    order = sorted(range(len(asked)), key=lambda one: (asked[one].resource, -asked[one].count))
    found: dict[int, str] = {}
    left = {resource: dict(by_node) for resource, by_node in rooms.items()}
    if not _search([(one, asked[one]) for one in order], left, found):
        return None
    return [found[one] for one in range(len(asked))]


def _search(asked: Sequence[tuple[int, GpuRequest]], left: dict[str, dict[str, int]], found: dict[int, str]) -> bool:
    if not asked:
        return True
    (one, request), *others = asked
    here = left.get(request.resource, {})
    alike = sum(other.count == request.count and other.resource == request.resource for _, other in asked)
    if request.count <= 0 or sum(free // request.count for free in here.values()) < alike:
        return False
    for free in sorted({free for free in here.values() if free >= request.count}):  # nodes with as much free are alike
        node = next(name for name, count in here.items() if count == free)
        here[node] -= request.count
        found[one] = node
        if _search(others, left, found):
            return True
        here[node] += request.count
    return False
