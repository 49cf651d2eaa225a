"""What pods have asked for so far, and how much of a free GPU such pods could not use."""

from dataclasses import dataclass, field

import numpy as np

from gpuwise.research.placement.nodes import WHOLE, Floats, PodShape

# A pod that needs many GPUs at once is rarer to find room for than its share tells, a small one less: (GPUs) ^ -0.5.
_SIZE_EXPONENT = -0.5


@dataclass(slots=True)
class Demand:
    """Counts of the pods seen.

    Attributes:
        pods: of any kind.
        shapes: pods by (GPUs, milli of each); those without a GPU are left out.
        cpu_milli: CPU that those with a GPU asked for.
        gpu_milli: GPU-milli that they asked for.
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
        """CPU-milli that go with a GPU-milli; without a pod that tells it, infinite: no CPU is held back."""
        return self.cpu_milli / self.gpu_milli if self.cpu_milli else np.inf


def fragmentation(demand: Demand, width: int) -> tuple[Floats, Floats]:
    """Expected GPU-milli that a pod like those seen could not use, F of Weng et al. (FGD, ATC 2023, eq. 2-4).

    For a pod that wants m of one GPU what is free in smaller pieces is lost; for one that wants k whole ones all pieces
    are, and the whole ones too where they are fewer than k. So F is a sum over GPUs plus a term of whole GPUs.

    Args:
        demand: what has been asked for; a shape counts by its share x GPUs ^ -0.5.
        width: GPUs of the largest node.

    Returns:
        By what is free on a GPU, shape (1001,), and by a node's number of whole free GPUs, shape (width + 1,).
    """
    free, whole = np.arange(WHOLE + 1.0), np.arange(width + 1.0)
    pieces, blocks = np.zeros(WHOLE + 1), np.zeros(width + 1)
    for (gpus, milli), count in demand.shapes.items():
        share = count / demand.pods * (gpus * milli / WHOLE) ** _SIZE_EXPONENT
        pieces += share * np.where(free < milli, free, 0.0)
        if milli == WHOLE:
            blocks += share * np.where(whole < gpus, whole * WHOLE, 0.0)
    return pieces, blocks
