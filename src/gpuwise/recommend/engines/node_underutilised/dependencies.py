"""The moves that free each node of a plan, complete in themselves, so that any of the nodes can be freed alone."""

from collections.abc import Sequence

from gpuwise.recommend.engines.node_underutilised.nodes import Bools, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.policy import Move


def moves_by_node(
    empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement], moves: Sequence[Move], open_after: Bools
) -> dict[int, list[int]]:
    """The moves that free each closed node: those of its pods, and those that make space for them.

    A pod that moves to a node needs the moves off this node that come before it in the plan, unless it fits without
    any of them. With these, and theirs, the moves of some closed nodes can be made in any order of nodes: of the pods
    that have then arrived on a node, let p be the last in the order of the plan. All moves off the node before p were
    made, and no pod arrived that the plan does not have there at p. So the node holds no more than it does at p.

    Args:
        empty: the nodes without any pods.
        pods: the pods.
        at: the place of each pod before all moves.
        moves: moves in an order in which each pod fits at its time.
        open_after: nodes that are needed after all moves.

    Returns:
        Indices of moves in the order of the plan, by closed node; a node without moves is absent.
    """
    full = empty.copy()
    for pod, place in zip(pods, at, strict=True):
        full.take(pod, place)
    # A set of moves is an integer, with a bit for each.
    off: dict[int, int] = {}
    needed: list[int] = []
    found: dict[int, int] = {}
    for index, move in enumerate(moves):
        begin, pod = at[move.pod].node, pods[move.pod]
        before = 0 if full.takes(pod, move.to) else off.get(move.to.node, 0)
        full.take(pod, move.to)
        needed.append(before | 1 << index)
        if open_after[begin]:
            off[begin] = off.get(begin, 0) | needed[-1]
        else:
            found[begin] = found.get(begin, 0) | needed[-1]
    return {node: _indices(bits) for node, bits in found.items()}


def _indices(bits: int) -> list[int]:
    return [index for index in range(bits.bit_length()) if bits >> index & 1]
