"""The demand of the pods so far, and how much free GPU capacity such pods could not use."""

from dataclasses import dataclass, field

import numpy as np

from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, PodShape

# A pod's share of the demand is weighted by (GPUs) ^ -0.5: large pods weigh less than in proportion, small ones more.
_SIZE_EXPONENT = -0.5


@dataclass(slots=True)
class Demand:
    """Counts of the pods so far.

    Attributes:
        pods: number of all pods.
        shapes: number of pods by (GPUs, milli of each), without pods that request no GPU.
        cpu_milli: CPU-milli requested by pods with a GPU.
        gpu_milli: GPU-milli requested by them.
    """

    pods: int = 0
    shapes: dict[tuple[int, int], int] = field(default_factory=dict)
    cpu_milli: int = 0
    gpu_milli: int = 0

    def see(self, pod: PodShape) -> None:
        """Count a pod."""
        self.pods += 1
        if pod.gpus:
            shape = pod.gpus, pod.gpu_milli
            self.shapes[shape] = self.shapes.get(shape, 0) + 1
            self.cpu_milli += pod.cpu_milli
            self.gpu_milli += pod.milli

    @property
    def cpu_per_milli(self) -> float:
        """CPU-milli per GPU-milli; infinite if no pod requested both, so that no CPU is reserved."""
        return self.cpu_milli / self.gpu_milli if self.cpu_milli else np.inf


def fragmentation(demand: Demand, width: int) -> tuple[Floats, Floats]:
    """Expected GPU-milli that a pod like those so far could not use, F of Weng et al. (FGD, ATC 2023, eq. 2-4).

    A pod that requests m milli of one GPU cannot use smaller free pieces. A pod that requests k whole GPUs cannot use
    any pieces, nor the whole GPUs of a node with fewer than k. So F is a sum over GPUs plus a term for whole GPUs.

    Args:
        demand: the demand so far; a shape has the weight of its share x GPUs ^ -0.5.
        width: GPUs of the largest node.

    Returns:
        By free milli of a GPU, shape (1001,), and by a node's number of whole free GPUs, shape (width + 1,).
    """
    free, whole = np.arange(WHOLE + 1.0), np.arange(width + 1.0)
    pieces, blocks = np.zeros(WHOLE + 1), np.zeros(width + 1)
    for (gpus, milli), count in demand.shapes.items():
        share = count / demand.pods * (gpus * milli / WHOLE) ** _SIZE_EXPONENT
        pieces += share * np.where(free < milli, free, 0.0)
        if milli == WHOLE:
            blocks += share * np.where(whole < gpus, whole * WHOLE, 0.0)
    return pieces, blocks
