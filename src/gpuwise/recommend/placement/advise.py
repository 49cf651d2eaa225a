"""Which node a waiting pod should take, so that whole GPUs stay together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.inventory import GpuRequest, Inventory, Node, Pod, Workload
from gpuwise.model.recommendation import Blocked, Reason
from gpuwise.recommend.consolidation.rooms import room

STAGE = "placement"


@dataclass(frozen=True, slots=True)
class Advice:
    """Where a waiting pod should go.

    Attributes:
        workload: that owns it.
        pod: its name.
        node: the name of the node.
        left: of what it asks for, what the node has free afterwards.
        why: in words.
    """

    workload: str
    pod: str
    node: str
    left: int
    why: str


def advise(inventory: Inventory) -> Iterator[Advice | Blocked]:
    """Say for each waiting pod which node to take: the largest first, each the node that it leaves fullest.

    Best fit decreasing by the one resource that the inventory tells; CPU, memory and selectors are not known here, and
    the scheduler has the last word.

    Args:
        inventory: one look at the fleet.

    Yields:
        Advice, or a hold where no node has room or the pod does not say what it asks for.
    """
    on = _tenants(inventory)
    free = {name: room(node, on.get(name, ())) for name, node in inventory.nodes.items()}
    for workload, pod in sorted(_waiting(inventory), key=_largest_first):
        request = workload.request
        if request is None:
            yield Blocked(workload.ref, STAGE, Reason.INSUFFICIENT_DATA, f"{pod.name} does not say what it asks for")
            continue
        name = _fullest(free, request)
        if name is None:
            detail = f"no node has {request.count} {request.resource} free for {pod.name}"
            yield Blocked(workload.ref, STAGE, Reason.WELL_PACKED, detail)
            continue
        free[name][request.resource] -= request.count
        yield _advice(workload, pod, inventory.nodes[name], free[name][request.resource])


def _advice(workload: Workload, pod: Pod, node: Node, left: int) -> Advice:
    why = (
        f"of the nodes with room it is the fullest: {left} left of {node.gpu_product}, whole ones elsewhere stay whole"
    )
    return Advice(str(workload.ref), pod.name, node.name, left, why)


def _tenants(inventory: Inventory) -> dict[str, list[tuple[Workload, Pod]]]:
    found: dict[str, list[tuple[Workload, Pod]]] = {}
    for workload in inventory.workloads:
        for pod in workload.pods:
            if pod.node is not None:
                found.setdefault(pod.node, []).append((workload, pod))
    return found


def _waiting(inventory: Inventory) -> list[tuple[Workload, Pod]]:
    return [(workload, pod) for workload in inventory.workloads for pod in workload.pods if pod.node is None]


def _largest_first(waiting: tuple[Workload, Pod]) -> tuple[int, str, str]:
    workload, pod = waiting
    return -(workload.request.count if workload.request else 0), str(workload.ref), pod.name


def _fullest(free: Mapping[str, Mapping[str, int]], request: GpuRequest) -> str | None:
    """The node with least left that has room."""
    fits: Sequence[tuple[int, str]] = [
        (left[request.resource], name) for name, left in free.items() if left.get(request.resource, 0) >= request.count
    ]
    return min(fits)[1] if fits else None
