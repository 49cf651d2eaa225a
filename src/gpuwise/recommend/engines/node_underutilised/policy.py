"""Chooses the nodes to free and the moves of their pods: every pod moves at most once, to a node that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.node_underutilised.bound import LeastNodes, least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import Floats, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.repacking import Repacking

# Share of nodes kept in addition to the bound at first.
_MARGIN = 0.02
# Number of unsuccessful steps: at first, before one more node is kept; later, before a closed node is opened again. The
# third number limits all steps, which takes about 30 s for 5,000 pods.
_PATIENCE_FIRST, _PATIENCE, _STEPS = 100, 400, 40_000


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one pod to another node.

    Attributes:
        pod: index of the pod.
        to: its new place.
    """

    pod: int
    to: Placement


def consolidate(empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement]) -> list[Move]:
    """Choose nodes to free, and the moves that free them.

    A linear program bounds the number of nodes of each kind from below. The fullest nodes, 2 % more than the bound, are
    kept, and the pods of all others are placed on them (`Repacking`); if that fails, another node is kept. Then further
    nodes are closed one by one, the emptiest first, while their pods find places.

    Args:
        empty: the nodes without any pods.
        pods: the pods.
        at: the place of each pod.

    Returns:
        Moves in an order in which each pod fits at its time; none if no node would be freed.
    """
    if not pods:
        return []
    fleet = Repacking(empty, pods, at)
    before = int(fleet.open.sum())
    least = least_nodes(empty, pods)
    fleet.close(np.flatnonzero(fleet.open & ~_fullest(fleet.used(), least)).tolist())
    while not fleet.settle(_PATIENCE_FIRST):
        if not fleet.reopen():
            return []
    moves = _ordered(fleet, empty, pods, at)
    untried = np.ones(len(fleet.open), dtype=np.bool_)
    while fleet.steps < _STEPS and (fleet.open & untried).any() and fleet.open.sum() > least.nodes:
        fleet.mark()
        kept = fleet.open.sum()
        node = int(np.argmin(np.where(fleet.open & untried, fleet.used(), np.inf)))
        untried[node] = False
        fleet.close([node])
        fewer = _ordered(fleet, empty, pods, at) if fleet.settle(_PATIENCE) else []
        if fleet.waits or fleet.open.sum() >= kept:
            fleet.back()
        else:
            moves = fewer
    return moves if fleet.open.sum() < before else []


def _ordered(fleet: Repacking, empty: Nodes, pods: Sequence[PodShape], before: Sequence[Placement]) -> list[Move]:
    """Moves in an order in which each pod fits at its time; pods that would need a temporary place do not move."""
    fleet.go_home()
    left = empty.copy()
    for pod, place in zip(pods, before, strict=True):
        left.take(pod, place)
    moves: list[Move] = []
    blocked = [number for number, (old, new) in enumerate(zip(before, fleet.at, strict=True)) if old != new]
    waiting: list[int] = []
    while len(blocked) != len(waiting):
        waiting, blocked = blocked, []
        for number in waiting:
            to = fleet.at[number]
            if left.takes(pods[number], to):
                left.give(pods[number], before[number])
                left.take(pods[number], to)
                moves.append(Move(number, to))
            else:
                blocked.append(number)
    fleet.send_home(blocked)
    return moves


def _fullest(used: Floats, least: LeastNodes) -> NDArray[np.bool_]:
    """The fullest nodes of each kind, as many as the bound requires plus a margin."""
    kept = np.zeros(len(used), dtype=np.bool_)
    for kind, wanted in enumerate(least.by_kind):
        members = np.flatnonzero(least.kind == kind)
        many = int(np.ceil(wanted * (1 + _MARGIN) - 1e-6))
        kept[members[np.argsort(-used[members], kind="stable")[:many]]] = True
    return kept
