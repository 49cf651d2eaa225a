"""Which nodes to empty, and where their pods go: every pod moves at most once, and only to a node that is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.consolidation.bound import LeastNodes, least_nodes
from gpuwise.recommend.placement.demand import Demand
from gpuwise.recommend.placement.nodes import Floats, Nodes, Placement, PodShape
from gpuwise.recommend.placement.policy import PlacementSettings, Scorer

# Nodes kept over the bound: with fewer more pods find no place, with more pods move twice as far as they must.
_SPARE = (0.02, 0.05, 0.08, 0.12, 0.16)

# Nodes to come are known here, so CPU and GPU that are left together weigh more than for pods that come one by one.
_SETTINGS = PlacementSettings(fragmentation=1.0, stranded=1.0, cpu_left_without=5.0, gpu_left_without=10.0)
# A node that may not take pods: so far below what any pod asks for.
_CLOSED = 1 << 40


@dataclass(frozen=True, slots=True)
class Move:
    """One pod from one node to another.

    Attributes:
        pod: by number.
        to: where it goes.
    """

    pod: int
    to: Placement


def consolidate(empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement]) -> list[Move]:
    """Choose nodes to free, and moves that empty them.

    A linear program says how many nodes of each kind are needed at least; a few more, the fullest, are kept and the
    pods of all others placed there, the largest first. Nodes whose pods find no place stay; then one after another, the
    emptiest first, further nodes are freed while their pods fit elsewhere. The best of some numbers of spare nodes is
    taken: fewest nodes, then fewest moves.

    Args:
        empty: the nodes with nothing on them.
        pods: those that are on them.
        at: where each is.

    Returns:
        Moves that can be made in any order: kept nodes only gain pods.
    """
    if not pods:
        return []
    least = least_nodes(empty, pods)
    tries = [_Plan(empty, pods, at, least, spare).solved() for spare in _SPARE]
    # As it is comes first: to move pods and need as many nodes is no gain.
    best = min([at, *tries], key=lambda plan: (len(set(_nodes(plan))), _moved(at, plan)))
    return [Move(pod, to) for pod, (old, to) in enumerate(zip(at, best, strict=True)) if old != to]


def _nodes(at: Iterable[Placement]) -> Iterable[int]:
    return (place.node for place in at)


def _moved(before: Sequence[Placement], after: Sequence[Placement]) -> int:
    return sum(old != new for old, new in zip(before, after, strict=True))


class _Plan:
    """One attempt: where every pod ends."""

    def __init__(
        self, empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement], least: LeastNodes, spare: float
    ) -> None:
        self._pods, self._before, self._at = pods, at, list(at)
        self._left = empty.copy()
        self._on: list[list[int]] = [[] for _ in empty.cpu]
        for number, (pod, place) in enumerate(zip(pods, at, strict=True)):
            self._left.take(pod, place)
            self._on[place.node].append(number)
        demand = Demand()
        for pod in pods:
            demand.see(pod)
        self._scorer = Scorer(_SETTINGS, demand, empty.gpu.shape[1])
        self._size = self._sizes(empty)
        self._used = np.array([sum(self._size[one] for one in here) for here in self._on])
        self._kept = _fullest(self._used, least, spare)

    def _sizes(self, empty: Nodes) -> list[float]:
        """How large a pod is, in shares of the largest node."""
        cpu, gpu = max(float(empty.cpu.max()), 1.0), max(float(empty.gpu.sum(axis=1).max()), 1.0)
        return [pod.milli / gpu + pod.cpu_milli / cpu for pod in self._pods]

    def solved(self) -> list[Placement]:
        """Free all nodes that are not kept, then more while that goes."""
        others = np.flatnonzero(~self._kept)
        self._left.cpu[others] -= _CLOSED
        movers = self._largest_first(pod for node in others for pod in self._on[node])
        stuck = {self._before[pod].node for pod in movers if not self._moves(pod)}
        for node in stuck:
            self._reopen(node)
        for kept in sorted(np.flatnonzero(self._kept), key=lambda one: float(self._used[one])):
            self._free(int(kept))
        return self._at

    def _largest_first(self, pods: Iterable[int]) -> list[int]:
        """Those with the fewest models to go to before the others: they find no place later."""
        return sorted(pods, key=lambda one: (self._pods[one].models.bit_count(), -self._size[one]))

    def _moves(self, number: int) -> bool:
        """Move a pod to the best open node; false where there is none."""
        pod = self._pods[number]
        to = self._scorer.best(self._left, pod)
        if to is None:
            return False
        self._left.take(pod, to)
        self._at[number] = to
        return True

    def _reopen(self, node: int) -> None:
        """Keep a node after all, with its pods back."""
        for number in self._on[node]:
            if self._at[number] != self._before[number]:
                self._left.give(self._pods[number], self._at[number])
                self._at[number] = self._before[number]
        self._left.cpu[node] += _CLOSED
        self._kept[node] = True

    def _free(self, node: int) -> None:
        """Empty one more node, unless one of its pods has nowhere to go."""
        here = self._largest_first(one for one, place in enumerate(self._at) if place.node == node)
        places = [self._at[one] for one in here]
        self._left.cpu[node] -= _CLOSED
        for done, number in enumerate(here):
            if not self._moves(number):
                for one, place in zip(here[:done], places, strict=False):
                    self._left.give(self._pods[one], self._at[one])
                    self._at[one] = place
                self._left.cpu[node] += _CLOSED
                return


def _fullest(used: Floats, least: LeastNodes, spare: float) -> NDArray[np.bool_]:
    """Of each kind as many nodes as the bound asks for and a few, the fullest first."""
    kept = np.zeros(len(used), dtype=np.bool_)
    for kind, wanted in enumerate(least.by_kind):
        members = np.flatnonzero(least.kind == kind)
        many = int(np.ceil(wanted * (1 + spare) - 1e-6))
        kept[members[np.argsort(-used[members], kind="stable")[:many]]] = True
    return kept
