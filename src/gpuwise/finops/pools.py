"""Pools: what has one price, and which of the nodes that had a name existed on a day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.usage import DAY_S


@dataclass(frozen=True, slots=True)
class Pool:
    """A GPU type and a capacity type, which have one price; None if the node's type or capacity type is not known.

    Attributes:
        gpu_type: canonical name.
        capacity_type: how the node is paid for.
        gone: the node no longer exists, and neither its price nor its capacity type is known.
        usd_per_gpu_h: price that the node had when it was last seen; None if the price book has the price.
    """

    gpu_type: str | None
    capacity_type: CapacityType | None
    gone: bool = False
    usd_per_gpu_h: float | None = None


def pool_of_node(node: Node) -> Pool:
    """The pool of a node's GPUs."""
    gpu_type = node.gpu_type.name if node.gpu_type is not None else None
    unknown = node.gone_s is not None and node.capacity_type is None and node.usd_per_gpu_h is None
    return Pool(gpu_type, node.capacity_type, unknown, node.usd_per_gpu_h)


def pool_at(lives: Mapping[str, Sequence[Node]], day_s: int, name: str | None, gpu_type: str | None) -> Pool:
    """The pool of a node on a day.

    Where several nodes had the name one after another, the one that existed for the longest part of the day counts, or
    the nearest one if none existed on it.

    Args:
        lives: nodes by name, also those that no longer exist.
        day_s: midnight.
        name: of the node, None if unknown.
        gpu_type: what the series call the card; it counts for a node that nobody remembers, or whose type is unknown.
    """
    nodes = lives.get(name or "", ())
    if not nodes:
        return Pool(gpu_type, None, gone=True)
    # Of equals the last one counts, which is the present node.
    _, last = max(enumerate(nodes), key=lambda pair: (_overlap_s(pair[1], day_s, day_s + DAY_S), pair[0]))
    pool = pool_of_node(last)
    return Pool(gpu_type, None, gone=True) if pool.gone and pool.gpu_type is None else pool


def existed_s(node: Node, start_s: int, end_s: int) -> int:
    """Seconds between two times in which a node existed."""
    return max(0, _overlap_s(node, start_s, end_s))


def _overlap_s(node: Node, start_s: int, end_s: int) -> int:
    """Seconds in which a node existed; below 0 the time between its life and the span."""
    first = start_s if node.created_s is None else max(start_s, node.created_s)
    last = end_s if node.gone_s is None else min(end_s, node.gone_s)
    return last - first
