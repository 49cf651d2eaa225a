"""Where to put the pod that comes now, so that what is left at the end can still be used."""

from dataclasses import dataclass

import numpy as np

from gpuwise.research.placement._choose import choose
from gpuwise.research.placement.demand import Demand, fragmentation
from gpuwise.research.placement.nodes import WHOLE, Floats, Nodes, Placement, PodShape
from gpuwise.research.placement.prices import UNIT, leftover

_UNKNOWN: Floats = np.zeros(WHOLE + 1)


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """What is weighed, in GPU-milli of expected leftover."""

    fragmentation: float = 0.12
    """Per GPU-milli that pods like those seen could not use (FGD), to part what the prices find equal. On gpushare100
    0.07 loses 2.6 % of allocation and 0.2 loses 0.4 %; elsewhere either is within 0.1 %."""

    stranded: float = 0.15
    """Per free GPU-milli that the CPU left on its node cannot serve, CPU taken at what GPU pods ask on average."""

    cpu_left: float = 0.1
    """Per 128 CPUs left on the node, for a pod with GPUs: the fuller node wins."""

    gpu_left: float = 1.0
    """Per 8 GPUs left on the node, for a pod with GPUs."""

    share_left: float = 2.5
    """Per GPU left on the GPU, for a pod with a share of one."""

    cpu_left_without: float = 10.0
    """As `cpu_left`, for a pod without GPUs: it goes where GPUs are not."""

    gpu_left_without: float = 20.0
    """As `gpu_left`, for a pod without GPUs."""


class Scorer:
    """Finds where a pod loses least, by what pods are known to ask for.

    A node's potential is what its GPUs are expected to leave unused (`prices.leftover`), and a little for fragmentation
    and for GPUs without CPU; a pod goes where the potential falls most, the fullest node among near equals.

    Args:
        settings: what is weighed.
        demand: what has been asked for.
        width: GPUs of the largest node.
        expected: leftover of a GPU by what is free on it, GPU-milli, shape (1001,); zeros where it is not known.
    """

    def __init__(self, settings: PlacementSettings, demand: Demand, width: int, expected: Floats = _UNKNOWN) -> None:
        pieces, blocks = fragmentation(demand, width)
        self._settings = settings
        self._pieces: Floats = expected + settings.fragmentation * pieces
        self._blocks: Floats = settings.fragmentation * blocks
        self._cpu_per_milli = demand.cpu_per_milli
        self._gain: dict[int, Floats] = {}

    def best(self, left: Nodes, pod: PodShape) -> Placement | None:
        """The place where a pod loses least; None where it fits nowhere.

        Args:
            left: the nodes.
            pod: what is placed.
        """
        asked = np.array([pod.cpu_milli, pod.memory_mib, pod.models, pod.gpus, pod.gpu_milli], dtype=np.int64)
        gain = self._gains(pod.gpu_milli)
        found = choose(left.cpu, left.memory, left.models, left.gpu, asked, gain, self._blocks, self._weights(pod))
        if found < 0:
            return None
        node, gpu = divmod(found, left.gpu.shape[1])
        return Placement(node, (gpu,) if 0 < pod.milli < WHOLE else left.whole(node, pod.gpus))

    def _weights(self, pod: PodShape) -> Floats:
        one = self._settings
        cpu, gpu = (one.cpu_left, one.gpu_left) if pod.gpus else (one.cpu_left_without, one.gpu_left_without)
        return np.array([one.stranded, self._cpu_per_milli, cpu / 128_000, gpu / 8_000])

    def _gains(self, milli: int) -> Floats:
        """What a share gains by what is free on its GPU."""
        if milli not in self._gain:
            gain = np.full(WHOLE + 1, -np.inf)
            left = np.arange(WHOLE + 1 - milli)
            gain[milli:] = self._pieces[milli:] - self._pieces[left] - self._settings.share_left * left / WHOLE
            self._gain[milli] = gain
        return self._gain[milli]


class Placer:
    """Places pods one by one, knowing those that came before.

    Args:
        nodes: with what is free; filled in place.
        settings: what is weighed.
    """

    def __init__(self, nodes: Nodes, settings: PlacementSettings | None = None) -> None:
        self.nodes = nodes
        self._settings = settings or PlacementSettings()
        self._exists = nodes.gpu > 0  # one that was full from the start comes to nothing either way
        self._demand = Demand()
        self._expected: Floats = _UNKNOWN
        self._scorer = self._learnt()

    def place(self, pod: PodShape) -> Placement | None:
        """Place a pod and fill its place.

        Args:
            pod: what comes now.

        Returns:
            Where it went; None where no node has room for it.
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
        asked: dict[int, float] = {}
        for (gpus, milli), count in self._demand.shapes.items():
            size = -(-milli // UNIT)
            asked[size] = asked.get(size, 0.0) + gpus * count / self._demand.pods
        free = np.bincount(self.nodes.gpu[self._exists] // UNIT, minlength=WHOLE // UNIT + 1)
        # What no GPU has room for comes no more, as far as prices go.
        asked = {size: rate for size, rate in asked.items() if free[size:].any()}
        if asked:
            self._expected = leftover(free, asked)


def _prices_due(pods: int) -> bool:
    """Often while little is known, then as what is free changes; a program takes about 50 ms."""
    return pods in {50, 200} or pods % 1_000 == 0


def _tables_due(pods: int) -> bool:
    return pods % (20 if pods <= 200 else 100 if pods <= 2_000 else 500) == 0 or _prices_due(pods)
