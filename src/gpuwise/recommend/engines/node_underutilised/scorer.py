"""Scores the places of a pod: by the free capacity that each would leave unusable."""

from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.node_underutilised._choose import choose
from gpuwise.recommend.engines.node_underutilised.demand import Demand, fragmentation
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, Nodes, Placement, PodShape

UNKNOWN: Floats = np.zeros(WHOLE + 1)
"""No expectation about the unused capacity of a GPU."""


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

    def __init__(self, settings: PlacementSettings, demand: Demand, width: int, expected: Floats = UNKNOWN) -> None:
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
        open_to = left.open_to(pod)
        cpu = left.cpu if open_to is None else np.where(open_to, left.cpu, -1)  # the kernel skips a node without CPU
        choice = choose(cpu, left.memory, left.models, left.gpu, request, gain, self._blocks, self._weights(pod))
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
