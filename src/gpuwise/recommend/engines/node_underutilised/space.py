"""Whether a pod would fit on a node without some of the pods on it."""

from collections.abc import Iterable

from gpuwise.recommend.engines.node_underutilised.nodes import Nodes, Placement, PodShape


class Space:
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
