"""Pools: what has one price."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Node


@dataclass(frozen=True, slots=True)
class Pool:
    """What has one price: a GPU type and a capacity type in a place; None if one of them is not known.

    Attributes:
        gpu_type: canonical name.
        capacity_type: how the node is paid for.
        gone: the node no longer exists, and neither its price nor its capacity type is known.
        usd_per_gpu_h: price that the node had when it was last seen; None if the price book has the price.
        region: of the node.
        zone: of the node.
    """

    gpu_type: str | None
    capacity_type: CapacityType | None
    gone: bool = False
    usd_per_gpu_h: float | None = None
    region: str | None = None
    zone: str | None = None


def pool_of_node(node: Node) -> Pool:
    """The pool of a node's GPUs."""
    gpu_type = node.gpu_type.name if node.gpu_type is not None else None
    unknown = node.gone_s is not None and node.capacity_type is None and node.usd_per_gpu_h is None
    return Pool(gpu_type, node.capacity_type, unknown, node.usd_per_gpu_h, node.region, node.zone)


def pool_at(lives: Mapping[str, Node], key: str | None, gpu_type: str | None) -> Pool:
    """The pool of a node.

    Args:
        lives: nodes by key, also those that no longer exist.
        key: of the node, None if unknown.
        gpu_type: what the series call the card; it counts for a node that nobody remembers, or whose type is unknown.
    """
    node = lives.get(key or "")
    if node is None:
        return Pool(gpu_type, None, gone=True)
    pool = pool_of_node(node)
    return Pool(gpu_type, None, gone=True) if pool.gone and pool.gpu_type is None else pool


def existed_s(node: Node, start_s: int, end_s: int) -> int:
    """Seconds between two times in which a node existed."""
    return max(0, overlap_s(node, start_s, end_s))


def overlap_s(node: Node, start_s: int, end_s: int) -> int:
    """Seconds in which a node existed; below 0 the time between its life and the span."""
    first = start_s if node.created_s is None else max(start_s, node.created_s)
    last = end_s if node.gone_s is None else min(end_s, node.gone_s)
    return last - first
