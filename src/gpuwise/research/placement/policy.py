"""Chooses a place for each arriving pod so that the remaining capacity stays usable."""

from dataclasses import dataclass

import numpy as np

from gpuwise.research.placement._choose import choose
from gpuwise.research.placement.demand import Demand, fragmentation
from gpuwise.research.placement.nodes import WHOLE, Floats, Nodes, Placement, PodShape
from gpuwise.research.placement.prices import UNIT, leftover

_UNKNOWN: Floats = np.zeros(WHOLE + 1)


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """Weights, in GPU-milli of expected unused capacity."""

    fragmentation: float = 0.12
    """Per GPU-milli that pods like those so far could not use (FGD); it decides between places with equal prices. On
    gpushare100, 0.07 loses 2.6 % of allocation and 0.2 loses 0.4 %; on other traces either is within 0.1 %."""

    stranded: float = 0.15
    """Per free GPU-milli that the CPU left on its node cannot serve, at the average CPU request per GPU."""

    cpu_left: float = 0.1
    """Per 128 CPUs left on the node, for a pod with GPUs: a fuller node is preferred."""

    gpu_left: float = 1.0
    """Per 8 GPUs left on the node, for a pod with GPUs."""

    share_left: float = 2.5
    """Per GPU left on the GPU, for a pod with a share of one."""

    cpu_left_without: float = 10.0
    """As `cpu_left`, for a pod without GPUs: it should not take the CPUs of free GPUs."""

    gpu_left_without: float = 20.0
    """As `gpu_left`, for a pod without GPUs."""


class Scorer:
    """Finds the best place for a pod, from the demand so far.

    A node's potential is the capacity that its GPUs are expected to leave unused (`prices.leftover`), plus small terms
    for fragmentation and for GPUs without CPU. A pod goes to the place where the potential falls most; among similar
    places to the fullest node.

    Args:
        settings: the weights.
        demand: the demand so far.
        width: GPUs of the largest node.
        expected: expected unused GPU-milli of a GPU by its free milli, shape (1001,); zeros if not known.
    """

    def __init__(self, settings: PlacementSettings, demand: Demand, width: int, expected: Floats = _UNKNOWN) -> None:
        pieces, blocks = fragmentation(demand, width)
        self._settings = settings
        self._pieces: Floats = expected + settings.fragmentation * pieces
        self._blocks: Floats = settings.fragmentation * blocks
        self._cpu_per_milli = demand.cpu_per_milli
        self._gain: dict[int, Floats] = {}

    def best(self, left: Nodes, pod: PodShape) -> Placement | None:
        """The best place for a pod; None if it does not fit anywhere.

        Args:
            left: the free capacity of the nodes.
            pod: the pod.
        """
        request = np.array([pod.cpu_milli, pod.memory_mib, pod.models, pod.gpus, pod.gpu_milli], dtype=np.int64)
        gain = self._gains(pod.gpu_milli)
        choice = choose(left.cpu, left.memory, left.models, left.gpu, request, gain, self._blocks, self._weights(pod))
        if choice < 0:
            return None
        node, gpu = divmod(choice, left.gpu.shape[1])
        return Placement(node, (gpu,) if 0 < pod.milli < WHOLE else left.whole(node, pod.gpus))

    def _weights(self, pod: PodShape) -> Floats:
        one = self._settings
        cpu, gpu = (one.cpu_left, one.gpu_left) if pod.gpus else (one.cpu_left_without, one.gpu_left_without)
        return np.array([one.stranded, self._cpu_per_milli, cpu / 128_000, gpu / 8_000])

    def _gains(self, milli: int) -> Floats:
        """The gain of a share by the free milli of its GPU."""
        if milli not in self._gain:
            gain = np.full(WHOLE + 1, -np.inf)
            left = np.arange(WHOLE + 1 - milli)
            gain[milli:] = self._pieces[milli:] - self._pieces[left] - self._settings.share_left * left / WHOLE
            self._gain[milli] = gain
        return self._gain[milli]


class Placer:
    """Places pods one by one, with the demand of the earlier ones.

    Args:
        nodes: the free capacity of the nodes; changed in place.
        settings: the weights.
    """

    def __init__(self, nodes: Nodes, settings: PlacementSettings | None = None) -> None:
        self.nodes = nodes
        self._settings = settings or PlacementSettings()
        self._exists = nodes.gpu > 0  # a GPU that was full from the start does not matter
        self._demand = Demand()
        self._expected: Floats = _UNKNOWN
        self._scorer = self._learnt()

    def place(self, pod: PodShape) -> Placement | None:
        """Place a pod and allocate its place.

        Args:
            pod: the pod.

        Returns:
            Its place; None if it does not fit on any node.
        """
        self._demand.see(pod)
        if _prices_due(self._demand.pods):
            self._reprice()
        if _tables_due(self._demand.pods):
            self._scorer = self._learnt()
        at = self._scorer.best(self.nodes, pod)
        if at is not None:
            self.nodes.take(pod, at)
        return at

    def _learnt(self) -> Scorer:
        return Scorer(self._settings, self._demand, self.nodes.gpu.shape[1], self._expected)

    def _reprice(self) -> None:
        rates: dict[int, float] = {}
        for (gpus, milli), count in self._demand.shapes.items():
            size = -(-milli // UNIT)
            rates[size] = rates.get(size, 0.0) + gpus * count / self._demand.pods
        free = np.bincount(self.nodes.gpu[self._exists] // UNIT, minlength=WHOLE // UNIT + 1)
        # The prices ignore sizes that no longer fit on any GPU.
        rates = {size: rate for size, rate in rates.items() if free[size:].any()}
        if rates:
            self._expected = leftover(free, rates)


def _prices_due(pods: int) -> bool:
    """Often at first, then as the free capacity changes; a program takes about 50 ms."""
    return pods in {50, 200} or pods % 1_000 == 0


def _tables_due(pods: int) -> bool:
    return pods % (20 if pods <= 200 else 100 if pods <= 2_000 else 500) == 0 or _prices_due(pods)
