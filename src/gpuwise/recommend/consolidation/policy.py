"""Which nodes to empty, and where their pods go: every pod moves at most once, to a node that is kept."""

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
# Pods asked to make way for one, at most: one that fits nowhere else tells of its like.
_TRIES = 8
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
    pods of all others placed there, those with the fewest models to go to first and then the largest. Where one finds
    no place, a pod that is less tied or has a smaller share makes way. Nodes whose pods find no place stay; then one
    after another, the emptiest first, further nodes are freed while their pods fit elsewhere. The best of some numbers
    of spare nodes is taken: fewest nodes, then fewest moves.

    Args:
        empty: the nodes with nothing on them.
        pods: those that are on them.
        at: where each is.

    Returns:
        Moves in an order in which each has room at its time.
    """
    if not pods:
        return []
    least = least_nodes(empty, pods)
    tries = [_Plan(empty, pods, at, least, spare).solved() for spare in _SPARE]
    # As it is comes first: to move pods and need as many nodes is no gain.
    plans = [(at, []), *((plan, _in_turn(empty, pods, at, plan)) for plan in tries)]
    feasible = [(plan, moves) for plan, moves in plans if moves is not None]
    return min(feasible, key=lambda one: (len(set(_nodes(one[0]))), len(one[1])))[1]


def _in_turn(
    empty: Nodes, pods: Sequence[PodShape], before: Sequence[Placement], after: Sequence[Placement]
) -> list[Move] | None:
    """Moves in an order in which each has room at its time; None where there is none without parking a pod."""
    left = empty.copy()
    for pod, place in zip(pods, before, strict=True):
        left.take(pod, place)
    waiting = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    moves: list[Move] = []
    while waiting:
        blocked = []
        for number in waiting:
            if left.takes(pods[number], after[number]):
                left.give(pods[number], before[number])
                left.take(pods[number], after[number])
                moves.append(Move(number, after[number]))
            else:
                blocked.append(number)
        if len(blocked) == len(waiting):
            return None
        waiting = blocked
    return moves


def _nodes(at: Iterable[Placement]) -> Iterable[int]:
    return (place.node for place in at)


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
        self._resident = _Residents(pods, at)
        self._done: list[_Done] = []
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
        stuck = {self._before[pod].node for pod in movers if not self._moves(pod) and not self._makes_way(pod)}
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
        self._done.append(_Done(number, self._at[number], gave=False))
        self._at[number] = to
        return True

    def _makes_way(self, number: int) -> bool:
        """Move a pod that can go elsewhere out of the way of one that cannot, or a small one out of that of a large."""
        for other in self._resident.in_the_way(self._left, self._pods[number], self._kept)[:_TRIES]:
            old = self._at[other]
            self._left.cpu[old.node] -= _CLOSED
            moved = self._moves(other)
            self._left.cpu[old.node] += _CLOSED
            if moved:
                self._left.give(self._pods[other], old)
                self._done[-1] = _Done(other, old, gave=True)
                self._resident.here[other] = False
                return self._moves(number)
        return False

    def _back_to(self, mark: int) -> None:
        """Undo what was done since, the latest first."""
        while len(self._done) > mark:
            last = self._done.pop()
            self._left.give(self._pods[last.pod], self._at[last.pod])
            self._at[last.pod] = last.old
            if last.gave:
                self._left.take(self._pods[last.pod], last.old)
                self._resident.here[last.pod] = True

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
        mark, self._kept[node] = len(self._done), False
        self._left.cpu[node] -= _CLOSED
        if not all(self._moves(number) or self._makes_way(number) for number in here):
            self._back_to(mark)
            self._left.cpu[node] += _CLOSED
            self._kept[node] = True


@dataclass(frozen=True, slots=True)
class _Done:
    """A pod that was moved.

    Attributes:
        pod: by number.
        old: where it was.
        gave: its old place is free for others; that on a node being emptied is for nobody.
    """

    pod: int
    old: Placement
    gave: bool


class _Residents:
    """Pods that are where they were, as columns."""

    def __init__(self, pods: Sequence[PodShape], at: Sequence[Placement]) -> None:
        self._cpu = np.array([pod.cpu_milli for pod in pods])
        self._memory = np.array([pod.memory_mib for pod in pods])
        self._milli = np.array([pod.gpu_milli for pod in pods])
        self._models = np.array([pod.models.bit_count() for pod in pods])
        self._node = np.array([place.node for place in at])
        self._gpu = np.array([place.gpus[0] if place.gpus else 0 for place in at])
        # What has moved already stays there; and of what is on several GPUs none is asked to make way.
        self.here = np.array([pod.gpus <= 1 for pod in pods])

    def in_the_way(self, left: Nodes, pod: PodShape, kept: NDArray[np.bool_]) -> list[int]:
        """Pods without which one of one GPU fits, the smallest first: less tied than it, or smaller."""
        if pod.gpus != 1:
            return []
        node = self._node
        easier = (self._models > pod.models.bit_count()) | (
            (self._models == pod.models.bit_count()) & (self._milli < pod.gpu_milli)
        )
        room = (left.cpu[node] + self._cpu >= pod.cpu_milli) & (left.memory[node] + self._memory >= pod.memory_mib)
        freed = np.where(self._milli > 0, left.gpu[node, self._gpu] + self._milli, left.gpu.max(axis=1)[node])
        gpu = freed >= pod.gpu_milli
        wanted = self.here & kept[node] & easier & room & gpu & ((left.models[node] & pod.models) != 0)
        found = np.flatnonzero(wanted)
        return [int(one) for one in found[np.argsort(self._milli[found], kind="stable")]]


def _fullest(used: Floats, least: LeastNodes, spare: float) -> NDArray[np.bool_]:
    """Of each kind as many nodes as the bound asks for and a few, the fullest first."""
    kept = np.zeros(len(used), dtype=np.bool_)
    for kind, wanted in enumerate(least.by_kind):
        members = np.flatnonzero(least.kind == kind)
        many = int(np.ceil(wanted * (1 + spare) - 1e-6))
        kept[members[np.argsort(-used[members], kind="stable")[:many]]] = True
    return kept
