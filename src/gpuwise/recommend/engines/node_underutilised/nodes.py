"""The requests of pods, and the free capacity of nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = Sequence[int] | Ints

WHOLE = 1000
"""Milli of one GPU."""


@dataclass(frozen=True, slots=True)
class PodShape:
    """The request of a pod.

    Attributes:
        cpu_milli: CPU.
        memory_mib: memory.
        gpus: number of GPUs; 0 for none.
        gpu_milli: milli of each GPU: 1000 for a whole GPU, less for a share of one GPU.
        models: bits of the GPU models on which it runs.
        other: amounts of further resources, such as MIG slices, in the order of `Nodes.other`.
        group: row of `Nodes.accepts`.
    """

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: int
    other: tuple[int, ...] = ()
    group: int = 0

    @property
    def milli(self) -> int:
        """GPU-milli in total."""
        return self.gpus * self.gpu_milli


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a pod.

    Attributes:
        node: index of the node.
        gpus: indices of the GPUs; empty if it requests none.
    """

    node: int
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nodes:
    """The free capacity of a fleet's nodes; `take` and `give` change it in place.

    Attributes:
        cpu: milli, shape (n,).
        memory: MiB, shape (n,).
        models: bit of each node's GPU model, shape (n,).
        gpu: milli by GPU, 0 if a node has fewer than g GPUs, shape (n, g).
        other: amounts of further resources, shape (n, k); None if there are none.
        accepts: whether the scheduler puts pods of a group on a node, shape (groups, n); None if every node takes all.
    """

    cpu: Ints
    memory: Ints
    models: Ints
    gpu: Ints
    other: Ints | None = None
    accepts: Bools | None = None

    def copy(self) -> "Nodes":
        """An independent copy."""
        other = None if self.other is None else self.other.copy()
        return replace(self, cpu=self.cpu.copy(), memory=self.memory.copy(), gpu=self.gpu.copy(), other=other)

    def open_to(self, pod: PodShape) -> Bools | None:
        """Which nodes accept a pod and have what it requests besides CPU, memory and GPUs; None for all nodes."""
        accepts = None if self.accepts is None else self.accepts[pod.group]
        if self.other is None:
            return accepts
        enough = (self.other >= pod.other).all(axis=1)
        return np.asarray(enough if accepts is None else enough & accepts)

    def fit(self, pod: PodShape) -> Bools:
        """Which nodes a pod fits on, shape (n,)."""
        fits = (self.cpu >= pod.cpu_milli) & (self.memory >= pod.memory_mib)
        open_to = self.open_to(pod)
        if open_to is not None:
            fits &= open_to
        if not pod.gpus:
            return fits
        fits &= self.gpus_with(pod.gpu_milli) >= pod.gpus
        return np.asarray(fits & ((self.models & pod.models) != 0))

    def gpus_with(self, milli: int) -> NDArray[np.int16]:
        """How many GPUs of each node have at least some milli free, shape (n,)."""
        # A product, because the sum of rows of 8 takes four times as long.
        ones = np.ones(self.gpu.shape[1], dtype=np.int16)
        return np.asarray((self.gpu >= milli).astype(np.int16) @ ones)

    def takes(self, pod: PodShape, at: Placement) -> bool:
        """Whether a pod fits at a given place; `accepts` does not count, because a pod stays where it was accepted."""
        node, gpus = at.node, set(at.gpus)
        if self.cpu[node] < pod.cpu_milli or self.memory[node] < pod.memory_mib:
            return False
        if len(gpus) != pod.gpus or len(gpus) != len(at.gpus) or not gpus <= set(range(self.gpu.shape[1])):
            return False
        if pod.gpus and not self.models[node] & pod.models:
            return False
        if self.other is not None and not (self.other[node] >= pod.other).all():
            return False
        return all(self.gpu[node, gpu] >= pod.gpu_milli for gpu in at.gpus)

    def take(self, pod: PodShape, at: Placement) -> None:
        """Allocate a place to a pod."""
        self._add(pod, at, -1)

    def give(self, pod: PodShape, at: Placement) -> None:
        """Release a pod's place."""
        self._add(pod, at, 1)

    def whole(self, node: int, count: int) -> tuple[int, ...]:
        """The first free GPUs of a node, `count` of them."""
        return tuple(map(int, np.flatnonzero(self.gpu[node] == WHOLE)[:count]))

    def _add(self, pod: PodShape, at: Placement, sign: int) -> None:
        self.cpu[at.node] += sign * pod.cpu_milli
        self.memory[at.node] += sign * pod.memory_mib
        if self.other is not None:
            for column, amount in enumerate(pod.other):
                if amount:  # most are 0, and numpy takes longer than a loop over a few
                    self.other[at.node, column] += sign * amount
        for gpu in at.gpus:
            self.gpu[at.node, gpu] += sign * pod.gpu_milli


def nodes(cpu: Numbers, memory: Numbers, gpus: Numbers, models: Numbers) -> Nodes:
    """Empty nodes.

    Args:
        cpu: milli by node.
        memory: MiB by node.
        gpus: number by node.
        models: bit of the GPU model by node.
    """
    counts = np.asarray(gpus, dtype=np.int64)
    gpu = np.where(np.arange(max(counts.max(initial=1), 1)) < counts[:, None], WHOLE, 0)
    cpu_left, memory_left, bits = (np.asarray(one, dtype=np.int64) for one in (cpu, memory, models))
    return Nodes(cpu_left, memory_left, bits, np.ascontiguousarray(gpu, dtype=np.int64))
