"""Places the pods of closed nodes on open ones; for a pod that does not fit, other pods are ejected and placed again.

This is the ejection pool of Nagata and Bräysy ("A powerful route minimization heuristic for the vehicle routing problem
with time windows", Operations Research Letters 37, 2009), with nodes as vehicles: a pod that does not fit counts as
harder from then on, the pods that are easiest in total are ejected, and from time to time a few random pods move.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.node_underutilised.demand import Demand
from gpuwise.recommend.engines.node_underutilised.nodes import (
    WHOLE,
    Bools,
    Floats,
    Ints,
    Nodes,
    Placement,
    PodShape,
)
from gpuwise.recommend.engines.node_underutilised.scorer import PlacementSettings, Scorer
from gpuwise.recommend.engines.node_underutilised.space import Space

# All pods are known here, so CPU and GPU left on the same node weigh more than for pods that arrive one by one.
_SETTINGS = PlacementSettings(fragmentation=1.0, stranded=1.0, cpu_left_without=5.0, gpu_left_without=10.0)
# Factor on the cost of ejecting a pod that has not moved yet. With 1, 50 % more pods move on gpushare100, for one node
# less; with 4, between 2 and 8 % fewer move on three of four variants, and multigpu50 needs one node more.
_STAYS = 2.0
# Number of random nodes on which the ejection of several pods is tried.
_DRAWN = 8
# Number of random moves, and number of steps between them: without them the same pods would eject each other forever.
_SHAKEN, _EVERY = 5, 5
# CPU that is subtracted from a closed node, so that no pod fits.
_CLOSED = 1 << 40
_WAITS = -1
# Size of a pod that requests neither CPU nor GPU, so that it counts.
_LEAST = 1e-9


class Repacking:
    """The places of pods while nodes are closed and opened; changes can be undone.

    Args:
        empty: the nodes without any pods.
        pods: the pods.
        home: the place of each pod. A pod does not move within its node: it returns to this place or leaves the node.
        stay: nodes that cannot be closed, shape (n,); they are open even without pods. None if all can be closed.
        seed: of the random choices.
    """

    def __init__(
        self,
        empty: Nodes,
        pods: Sequence[PodShape],
        home: Sequence[Placement],
        *,
        stay: Bools | None = None,
        seed: int = 0,
    ) -> None:
        self.at = list(home)
        self.steps = 0
        self.open: Bools = np.zeros(len(empty.cpu), dtype=np.bool_)
        self._empty, self._pods, self._home = empty, pods, home
        self._left = empty.copy()
        self._left.cpu[:] -= _CLOSED
        self._on: list[set[int]] = [set() for _ in empty.cpu]
        self._waiting: list[int] = []
        self._undo: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._rng = np.random.default_rng(seed)
        self._scorer = _scorer(pods, empty)
        self._cpu, self._memory, self._gpus, self._milli = np.array(
            [(pod.cpu_milli, pod.memory_mib, pod.gpus, pod.gpu_milli if pod.gpus else 0) for pod in pods]
        ).T
        self._whole_gpus = bool(np.isin(self._milli, (0, WHOLE)).all())
        self._hosts_of: dict[int, Bools] = {}  # of pods for which others were ejected: at most one a step
        self._choices = np.array([pod.models.bit_count() if pod.gpus else np.inf for pod in pods])
        most_gpu, most_cpu = max(float(empty.gpu.sum(axis=1).max()), 1.0), max(float(empty.cpu.max()), 1.0)
        self._size = self._gpus * self._milli / most_gpu + self._cpu / most_cpu
        self._capacity = empty.gpu.sum(axis=1) / most_gpu + empty.cpu / most_cpu
        self._other: Ints = np.array([pod.other for pod in pods], dtype=np.int64)
        if empty.other is not None:
            most_other = np.maximum(empty.other.max(axis=0), 1)
            self._size += (self._other / most_other).sum(axis=1)
            self._capacity += (empty.other / most_other).sum(axis=1)
        self._hard = np.ones(len(pods))
        self._cost = np.zeros(len(pods))  # of ejecting each from where it is
        self._home_node: Ints = np.array([place.node for place in home])
        self._node: Ints = np.full(len(pods), _WAITS)
        self._gpu: Ints = np.zeros(len(pods), dtype=np.int64)
        for number, place in enumerate(home):
            self._put(number, place)
        self._stay = np.zeros(len(self.open), dtype=np.bool_) if stay is None else stay
        self._open(np.union1d(self._home_node, np.flatnonzero(self._stay)))

    @property
    def waits(self) -> bool:
        """Whether a pod of a closed node has no place."""
        return bool(self._waiting)

    def used(self) -> Floats:
        """Size of the pods on each node, in shares of the largest node's CPU and GPUs."""
        there = self._node != _WAITS
        return np.asarray(np.bincount(self._node[there], self._size[there], len(self.open)), dtype=np.float64)

    def vacant(self) -> Bools:
        """Which nodes have no pods."""
        return np.array([not pods for pods in self._on])

    def mark(self) -> None:
        """Set the point to which `back` returns."""
        self._undo.clear()

    def back(self) -> None:
        """Undo all changes since the mark."""
        while self._undo:
            action, arguments = self._undo.pop()
            action(*arguments)
        self._waiting.clear()

    def close(self, nodes: Iterable[int]) -> None:
        """Close nodes; their pods wait."""
        for node in nodes:
            here = sorted(self._on[node])
            for number in here:
                self._lift(number)
            self._waiting += here
            self._close(node)
            self._undo.append((self._open, (node,)))

    def reopen(self, among: Bools | None = None) -> bool:
        """Open the closed node that fits most of the waiting pods; false if none fits any.

        Args:
            among: the nodes that may be opened, shape (n,); None for all.
        """
        closed = ~self.open if among is None else ~self.open & among
        wanted = np.zeros(len(self.open))
        for number in self._waiting:
            wanted += (self._size[number] + _LEAST) * (self._hosts(number) & closed)
        gain = np.minimum(wanted, self._capacity)
        node = int(np.argmax(gain))
        if gain[node] == 0:
            return False
        self._reopen(node)
        return True

    def settle(self, patience: int) -> bool:
        """Find places for all waiting pods.

        Args:
            patience: number of steps without a new minimum of waiting pods after which the search stops.

        Returns:
            Whether all pods have a place.
        """
        # Pods that fit the fewest GPU models come first, because they find no place later.
        order = sorted(self._waiting, key=lambda one: (self._choices[one], -self._size[one]))
        self._waiting = [number for number in order if not self._finds(number)]
        fewest, last = len(self._waiting), self.steps + patience
        while self._waiting and self.steps < last:
            if len(self._waiting) < fewest:
                fewest, last = len(self._waiting), self.steps + patience
            number = max(self._waiting, key=self._hardness)
            self._waiting.remove(number)
            self.steps += 1
            if not self._finds(number) and not self._pushes(number):
                self._waiting.append(number)
                return False
            if self.steps % _EVERY == 0:
                self._shake()
        return not self._waiting

    def adopt(self, targets: Mapping[int, Placement]) -> None:
        """Move pods as in an earlier plan, and open their nodes; a pod that does not fit there goes home or waits.

        Args:
            targets: place by pod; a place without GPUs is any of its node for a pod that requests some.
        """
        for node in sorted({place.node for place in targets.values()}):
            if not self.open[node]:
                self._reopen(node)
        for number in targets:  # all at first, because a pod may take the place of another one
            self._lift(number)
        for number, place in targets.items():
            pod = self._pods[number]
            fits = bool(self._left.fit(pod)[place.node])
            to = self._on_node(number, place.node) if fits and len(place.gpus) != pod.gpus else place
            if fits and self._left.takes(pod, to):
                self._place(number, to)
            elif not self._finds(number):
                self._waiting.append(number)

    def go_home(self) -> None:
        """Return all pods that fit again to their original places."""
        for number in np.flatnonzero(self._node != self._home_node).tolist():
            place = self._home[number]
            if self.open[place.node] and self._left.takes(self._pods[number], place):
                self._lift(number)
                self._place(number, place)

    def send_home(self, numbers: Sequence[int]) -> None:
        """Return pods to their original places, open their nodes if needed, and close nodes that are empty now.

        Args:
            numbers: indices of the pods; they fit once all of them have left.
        """
        for number in numbers:
            self._lift(number)
        for number in numbers:
            if not self.open[self._home_node[number]]:
                self._reopen(int(self._home_node[number]))
            self._place(number, self._home[number])
        self.close([int(node) for node in np.flatnonzero(self.open & ~self._stay) if not self._on[node]])

    def _finds(self, number: int) -> bool:
        """Place a pod at its original place, or else at the best-scored one; false if it does not fit anywhere."""
        home, pod = self._home[number], self._pods[number]
        to: Placement | None = home
        if not self._left.takes(pod, home):
            self._left.cpu[home.node] -= _CLOSED
            to = self._scorer.best(self._left, pod)
            self._left.cpu[home.node] += _CLOSED
        if to is None:
            return False
        self._place(number, to)
        return True

    def _pushes(self, number: int) -> bool:
        """Place a pod by ejecting the pods with the lowest cost; false if it would not fit on an empty node either."""
        self._hard[number] += 1
        if number not in self._hosts_of:
            self._hosts_of[number] = self._hosts(number)
        open_hosts = self.open & self._hosts_of[number]
        hosts = np.flatnonzero(open_hosts)
        if not len(hosts):
            return False
        drawn = self._rng.choice(hosts, min(_DRAWN, len(hosts)), replace=False).tolist()
        cheapest = self._one(number, open_hosts)
        for node in drawn:
            cheapest = self._several(number, node, cheapest.cost) or cheapest
        for other in cheapest.leave:
            self._lift(other)
        self._waiting += cheapest.leave
        self._place(number, self._on_node(number, cheapest.node))
        return True

    def _one(self, number: int, hosts: Bools) -> "_Ejection":
        """The cheapest single pod whose ejection makes a pod fit on its node, one of `hosts`; infinite if none does."""
        left, pod, node = self._left, self._pods[number], self._node
        fits = hosts[node]  # of a pod that waits it is wrong, because _WAITS is the index of the last node
        fits &= node != _WAITS
        fits &= node != self._home_node[number]
        fits &= self._cpu >= (pod.cpu_milli - left.cpu)[node]
        fits &= self._memory >= (pod.memory_mib - left.memory)[node]
        if pod.gpus:
            fits &= self._gains(pod) >= (pod.gpus - left.gpus_with(pod.gpu_milli))[node]
        if left.other is not None:
            for column, amount in enumerate(pod.other):
                lacks = amount - left.other[:, column]
                if lacks.max() > 0:
                    fits &= self._other[:, column] >= lacks[node]
        others = np.flatnonzero(fits)
        if not len(others):
            return _Ejection(np.inf, _WAITS, [])
        cost = self._cost[others]
        other = int(np.argmin(cost * (1 + 0.2 * self._rng.random(len(others)))))  # a random one among similar costs
        return _Ejection(float(cost[other]), int(node[others[other]]), [int(others[other])])

    def _gains(self, pod: PodShape) -> Ints:
        """How many more GPUs a pod could use if each of the pods left its node."""
        if self._whole_gpus:
            return np.asarray(self._gpus)
        free = self._left.gpu[self._node, self._gpu]
        share = (free < pod.gpu_milli) & (free + self._milli >= pod.gpu_milli)
        return np.asarray(np.where(self._gpus > 1, self._gpus, share))

    def _several(self, number: int, node: int, below: float) -> "_Ejection | None":
        """The cheapest pods of a node whose ejection makes a pod fit: removed one by one, and kept if not needed.

        None if they cost `below` or more. The last pod removed is always needed, so the first one that costs as much
        ends the search; this avoids four of five additions and removals.
        """
        cost = self._cost.data  # reading single items of it is four times as fast
        here = sorted([(cost[other], other) for other in self._on[node]])
        if here and here[0][0] >= below:
            return None
        space = Space(self._left, node, self._pods[number], self._home[number])
        off: list[int] = []
        for one, other in here:
            if space.enough():
                break
            if one >= below:
                return None
            space.add(self._pods[other], self.at[other].gpus, 1)
            off.append(other)
        total, needed = 0.0, []
        for other in reversed(off):
            space.add(self._pods[other], self.at[other].gpus, -1)
            if not space.enough():
                space.add(self._pods[other], self.at[other].gpus, 1)
                needed.append(other)
                total += cost[other]
                if total >= below:
                    return None
        return _Ejection(total, node, needed)

    def _shake(self) -> None:
        """Move a few random pods to random nodes on which they fit."""
        for number in self._rng.integers(len(self._pods), size=_SHAKEN).tolist():
            fit = self._left.fit(self._pods[number])
            fit[[self._node[number], self._home_node[number]]] = False
            nodes = np.flatnonzero(fit)
            if self._node[number] != _WAITS and len(nodes):
                self._lift(number)
                self._place(number, self._on_node(number, int(self._rng.choice(nodes))))

    def _on_node(self, number: int, node: int) -> Placement:
        """The fullest GPUs of a node on which a pod fits; on its original node its original GPUs."""
        if node == self._home_node[number]:
            return self._home[number]
        pod, free = self._pods[number], self._left.gpu[node]
        gpus = np.flatnonzero(free >= pod.gpu_milli)
        fullest = gpus[np.argsort(free[gpus], kind="stable")][: pod.gpus]
        return Placement(node, tuple(sorted(fullest.tolist())))

    def _hosts(self, number: int) -> Bools:
        """The nodes on which a pod would fit if they were empty; its original node is always one of them."""
        hosts = self._empty.fit(self._pods[number])
        hosts[self._home_node[number]] = True
        return hosts

    def _hardness(self, number: int) -> float:
        return float(self._hard[number] * self._size[number])

    def _place(self, number: int, place: Placement) -> None:
        self._undo.append((self._take_off, (number, self.at[number])))
        self._put(number, place)

    def _lift(self, number: int) -> None:
        self._undo.append((self._put, (number, self.at[number])))
        self._take_off(number, self.at[number])

    def _reopen(self, node: int) -> None:
        self._undo.append((self._close, (node,)))
        self._open(node)

    def _put(self, number: int, place: Placement) -> None:
        self._left.take(self._pods[number], place)
        self.at[number], self._node[number] = place, place.node
        self._gpu[number] = place.gpus[0] if place.gpus else 0
        self._on[place.node].add(number)
        stays = _STAYS if place.node == self._home_node[number] else 1.0
        self._cost[number] = self._hard[number] * self._size[number] * stays

    def _take_off(self, number: int, before: Placement) -> None:
        self._left.give(self._pods[number], self.at[number])
        self._on[self._node[number]].remove(number)
        self.at[number], self._node[number] = before, _WAITS

    def _open(self, nodes: int | Ints) -> None:
        self.open[nodes] = True
        self._left.cpu[nodes] += _CLOSED

    def _close(self, nodes: int | Ints) -> None:
        self.open[nodes] = False
        self._left.cpu[nodes] -= _CLOSED


@dataclass(frozen=True, slots=True)
class _Ejection:
    """Pods that leave a node to make a pod fit there.

    Attributes:
        cost: the sum over the pods of how hard each was to place, its size, and whether it has not moved yet.
        node: the node.
        leave: the pods.
    """

    cost: float
    node: int
    leave: list[int]


def _scorer(pods: Iterable[PodShape], empty: Nodes) -> Scorer:
    demand = Demand()
    for pod in pods:
        demand.see(pod)
    return Scorer(_SETTINGS, demand, empty.gpu.shape[1])
