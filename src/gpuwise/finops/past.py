"""Nodes that no longer exist: what is remembered of them, and what the bill uses of it.

A node keeps its card, capacity type, MIG layout and price as they were when it was last seen: the bill of past days
does not change with the price file.
"""

from collections.abc import Iterable

from gpuwise.model.gpu import named
from gpuwise.model.inventory import Inventory, Node, SeenNode
from gpuwise.model.price import PriceBook
from gpuwise.model.usage import DAY_S

REMEMBERED_S = 100 * DAY_S
"""How long a node that is gone is remembered: as long as hours of usage are."""


def remembered(
    before: Iterable[SeenNode], fleet: Inventory, prices: PriceBook, measured: Iterable[Node] = ()
) -> tuple[SeenNode, ...]:
    """Return what to remember: the nodes of the fleet, and for 100 days those that are gone.

    Args:
        before: what earlier runs remembered; a node that is gone keeps the price that it had.
        fleet: the nodes that exist, with their prices of now.
        prices: prices of GPU-hours.
        measured: nodes that only metrics know. Without a time of creation their life depends on the window that was
            read, so such a node is not remembered.
    """
    seen = {(node.name, node.created_s): node for node in before}
    for node in measured:
        if node.created_s is not None and node.gone_s is not None:
            seen.setdefault((node.name, node.created_s), _seen(node, node.gone_s, prices))
    seen |= {(node.name, node.created_s): _seen(node, fleet.taken_s, prices) for node in fleet.nodes.values()}
    return tuple(node for node in seen.values() if node.seen_s > fleet.taken_s - REMEMBERED_S)


def past_nodes(seen: Iterable[SeenNode], fleet: Inventory, measured: Iterable[Node] = ()) -> tuple[Node, ...]:
    """Return the nodes that no longer exist; a node of the same name was created later.

    Args:
        seen: remembered nodes.
        fleet: the nodes that exist.
        measured: nodes that metrics know; of one node, what was remembered counts.
    """
    present = {(node.name, node.created_s) for node in fleet.nodes.values()}
    past = [_node(one) for one in seen if (one.name, one.created_s) not in present]
    new = [one for one in measured if not any(_same(one, other) for other in (*past, *fleet.nodes.values()))]
    return (*past, *new)


def _same(one: Node, other: Node) -> bool:
    """Whether two records are of one node: two nodes never have a name at the same time."""
    if one.name != other.name:
        return False
    if one.created_s is not None and other.created_s is not None:
        return one.created_s == other.created_s
    return _begin(one) < _end(other) and _begin(other) < _end(one)


def _begin(node: Node) -> float:
    return float("-inf") if node.created_s is None else node.created_s


def _end(node: Node) -> float:
    return float("inf") if node.gone_s is None else node.gone_s


def _seen(node: Node, at_s: int, prices: PriceBook) -> SeenNode:
    gpu_type = node.gpu_type.name if node.gpu_type is not None else None
    return SeenNode(
        node.name,
        gpu_type,
        node.gpu_count,
        node.capacity_type,
        node.created_s,
        at_s,
        node.gpu_fraction,
        node.mig,
        node.whole_gpus,
        prices.of_node(node),
        node.region,
        node.zone,
    )


def _node(seen: SeenNode) -> Node:
    return Node(
        name=seen.name,
        gpu_type=named(seen.gpu_type or ""),
        gpu_product="",
        gpu_count=seen.gpu_count,
        mig=seen.mig,
        capacity_type=seen.capacity_type,
        region=seen.region,
        zone=seen.zone,
        gpu_fraction=seen.gpu_fraction,
        whole_gpus=seen.whole_gpus,
        created_s=seen.created_s,
        gone_s=seen.seen_s,
        usd_per_gpu_h=seen.usd_per_gpu_h,
    )
