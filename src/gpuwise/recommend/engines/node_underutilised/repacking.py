"""Places the pods of closed nodes on open ones; for a pod that does not fit, other pods are ejected and placed again.

This is the ejection pool of Nagata and Bräysy ("A powerful route minimization heuristic for the vehicle routing problem
with time windows", Operations Research Letters 37, 2009), with nodes as vehicles: a pod that does not fit counts as
harder from then on, the pods that are easiest in total are ejected, and from time to time a few random pods move.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from gpuwise.recommend.engines.node_underutilised.demand import Demand
from gpuwise.recommend.engines.node_underutilised.nodes import Bools, Floats, Ints, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.scorer import PlacementSettings, Scorer

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
        hosts = np.flatnonzero(self.open & self._hosts(number))
        if not len(hosts):
            return False
        cost = self._hard * self._size * np.where(self._node == self._home_node, _STAYS, 1.0)
        drawn = self._rng.choice(hosts, min(_DRAWN, len(hosts)), replace=False).tolist()
        costs: list[float] = cost.tolist()
        options = [*self._one(number, cost), *(self._several(number, node, costs) for node in drawn)]
        node, leave = min(options, key=lambda option: sum(costs[other] for other in option[1]))
        for other in leave:
            self._lift(other)
        self._waiting += leave
        self._place(number, self._on_node(number, node))
        return True

    def _one(self, number: int, cost: Floats) -> list[tuple[int, list[int]]]:
        """The node and the cheapest single pod whose ejection makes a pod fit there; empty if there is none."""
        left, pod = self._left, self._pods[number]
        node = np.maximum(self._node, 0)
        fits = (self._node != _WAITS) & (node != self._home_node[number])
        fits &= (left.cpu[node] + self._cpu >= pod.cpu_milli) & (left.memory[node] + self._memory >= pod.memory_mib)
        if pod.gpus:
            free = left.gpu[node, self._gpu]
            gains = np.where(self._gpus > 1, self._gpus, (free < pod.gpu_milli) & (free + self._milli >= pod.gpu_milli))
            fits &= (left.gpu >= pod.gpu_milli).sum(axis=1)[node] + gains >= pod.gpus
            fits &= (left.models[node] & pod.models) != 0
        if left.other is not None:
            fits &= (left.other[node] + self._other >= pod.other).all(axis=1)
        if left.accepts is not None:
            fits &= left.accepts[pod.group, node]
        others = np.flatnonzero(fits)
        if not len(others):
            return []
        noisy = cost[others] * (1 + 0.2 * self._rng.random(len(others)))  # a random one among similar costs
        other = int(others[np.argmin(noisy)])
        return [(int(self._node[other]), [other])]

    def _several(self, number: int, node: int, cost: Sequence[float]) -> tuple[int, list[int]]:
        """The cheapest pods of a node whose ejection makes a pod fit: removed one by one, and kept if not needed."""
        space = _Space(self._left, node, self._pods[number], self._home[number])
        off: list[int] = []
        for other in sorted(self._on[node], key=lambda one: (cost[one], one)):
            if space.enough():
                break
            space.add(self._pods[other], self.at[other].gpus, 1)
            off.append(other)
        needed = []
        for other in reversed(off):
            space.add(self._pods[other], self.at[other].gpus, -1)
            if not space.enough():
                space.add(self._pods[other], self.at[other].gpus, 1)
                needed.append(other)
        return node, needed

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


class _Space:
    """What a pod still lacks on a node while other pods leave it or return; in plain numbers, because it is the search.

    Args:
        left: the free capacity of the nodes.
        node: the node.
        pod: the pod.
        home: its original place: on its original node it returns to its GPUs.
    """

    __slots__ = ("_cards", "_cpu", "_gpus", "_memory", "_milli", "_more", "_own")

    def __init__(self, left: Nodes, node: int, pod: PodShape, home: Placement) -> None:
        self._cpu = int(left.cpu[node]) - pod.cpu_milli
        self._memory = int(left.memory[node]) - pod.memory_mib
        self._more = (
            [] if left.other is None else [a - b for a, b in zip(left.other[node].tolist(), pod.other, strict=True)]
        )
        self._cards: list[int] = left.gpu[node].tolist()
        self._milli = pod.gpu_milli
        self._own = home.gpus if home.node == node else None
        usable = self._cards if self._own is None else [self._cards[gpu] for gpu in self._own]
        self._gpus = sum(free >= pod.gpu_milli for free in usable) - pod.gpus

    def enough(self) -> bool:
        """Whether the pod fits."""
        return self._gpus >= 0 <= self._cpu and self._memory >= 0 and (not self._more or min(self._more) >= 0)

    def add(self, shape: PodShape, gpus: Iterable[int], sign: int) -> None:
        """Let a pod leave (1) or return (-1)."""
        self._cpu += sign * shape.cpu_milli
        self._memory += sign * shape.memory_mib
        if self._more:
            self._more = [one + sign * amount for one, amount in zip(self._more, shape.other, strict=True)]
        for gpu in gpus:
            before = self._cards[gpu]
            self._cards[gpu] = after = before + sign * shape.gpu_milli
            if self._own is None or gpu in self._own:
                self._gpus += (after >= self._milli) - (before >= self._milli)


def _scorer(pods: Iterable[PodShape], empty: Nodes) -> Scorer:
    demand = Demand()
    for pod in pods:
        demand.see(pod)
    return Scorer(_SETTINGS, demand, empty.gpu.shape[1])
