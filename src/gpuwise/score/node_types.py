"""GPU types of nodes that no label names, from the rows that measure their GPUs."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from gpuwise.model.billed import BilledUse
from gpuwise.model.gpu import named
from gpuwise.model.inventory import Inventory, Node, WorkloadRef, node_ref


def with_measured_types(inventory: Inventory, billed: Mapping[WorkloadRef, BilledUse]) -> Inventory:
    """Give each node of unknown type the type that its rows name, if they name exactly one.

    Otherwise the bill would have the GPU time of its pods under the type of the rows, and the node's capacity once more
    under an unknown type.

    Args:
        inventory: the fleet.
        billed: use by workload, and by `node_ref` for unallocated devices.
    """
    if all(node.gpu_type is not None for node in inventory.nodes.values()):
        return inventory
    by_ref = {node_ref(node): node.name for node in inventory.nodes.values()}
    types: dict[str, set[str]] = defaultdict(set)
    for ref, use in billed.items():
        for day in use.days:
            node = day.node or by_ref.get(ref)
            if node is not None and day.gpu_type is not None:
                types[node].add(day.gpu_type)
    return replace(inventory, nodes={name: _typed(node, types[name]) for name, node in inventory.nodes.items()})


def _typed(node: Node, types: set[str]) -> Node:
    if node.gpu_type is not None or len(types) != 1:
        return node
    [name] = types
    return replace(node, gpu_type=named(name), gpu_product=node.gpu_product or name)
