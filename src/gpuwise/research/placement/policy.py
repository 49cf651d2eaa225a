"""Chooses a place for each arriving pod so that the remaining capacity stays usable."""

import numpy as np

from gpuwise.recommend.engines.node_underutilised.demand import Demand
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.scorer import UNKNOWN, PlacementSettings, Scorer
from gpuwise.research.placement.prices import UNIT, leftover


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
        self._expected: Floats = UNKNOWN
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
