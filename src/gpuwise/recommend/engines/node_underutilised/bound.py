"""A lower bound on the number of nodes that pods need: a linear program that may split pods between kinds of nodes.

CPU, memory and GPU are divided by kind of node. Shares of a GPU cannot be divided freely, however: dual feasible
functions u with sum u(x) <= 1 over any shares x of one GPU add the constraints on what fits together on one GPU (Fekete
& Schepers, "New classes of fast lower bounds for bin packing problems", Mathematical Programming 91, 2001, theorem 5).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, hstack, kron, vstack

from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, Ints, Nodes, PodShape

# u^(1) .. u^(6); on openb u^(4) is the binding one.
_FUNCTIONS = 6


@dataclass(frozen=True, slots=True)
class LeastNodes:
    """The bound, and the nodes that attain it.

    Attributes:
        nodes: the lower bound, possibly a fraction.
        kind: kind of each node, shape (n,).
        by_kind: number of nodes of each kind, possibly fractions.
    """

    nodes: float
    kind: Ints
    by_kind: Floats


def least_nodes(empty: Nodes, pods: Sequence[PodShape]) -> LeastNodes:
    """A lower bound on the number of nodes for some pods.

    Args:
        empty: the nodes without any pods.
        pods: the pods; they must fit on these nodes together.
    """
    sizes = np.stack([empty.cpu, empty.memory, (empty.gpu > 0).sum(axis=1), empty.models], axis=1)
    kinds, kind, count = np.unique(sizes, axis=0, return_inverse=True, return_counts=True)
    counted = Counter(pods)
    shapes = list(counted)
    if not shapes:
        return LeastNodes(0.0, kind.reshape(-1), np.zeros(len(kinds)))
    need = np.array([_needs(pod) for pod in shapes]).T
    most = np.where(np.stack([_hosts(kinds, pod) for pod in shapes], axis=1), np.inf, 0.0)
    capacity = LinearConstraint(_capacity(need, kinds), ub=0.0)
    numbers = np.array([counted[pod] for pod in shapes], dtype=np.float64)
    everyone = LinearConstraint(_everyone(len(kinds), len(shapes)), numbers, numbers)
    solved = milp(
        np.r_[np.zeros(most.size), np.ones(len(kinds))],
        constraints=(capacity, everyone),
        bounds=Bounds(0, np.r_[most.reshape(-1), count]),
    )
    if solved.x is None:  # pragma: no cover - feasible, because the pods are on these nodes now
        raise RuntimeError(solved.message)
    return LeastNodes(float(solved.fun), kind.reshape(-1), np.asarray(solved.x[most.size :]))


def _needs(pod: PodShape) -> list[float]:
    """CPUs, GiB, GPUs, and GPUs by each dual feasible function."""
    shares = [pod.gpus * _dual_feasible(k, pod.gpu_milli) for k in range(1, _FUNCTIONS + 1)]
    return [pod.cpu_milli / WHOLE, pod.memory_mib / 1024, pod.milli / WHOLE, *shares]


def _dual_feasible(k: int, milli: int) -> float:
    steps, rest = divmod((k + 1) * milli, WHOLE)
    return steps / k if rest else milli / WHOLE


def _hosts(kinds: Ints, pod: PodShape) -> NDArray[np.bool_]:
    cpu, memory, gpus, models = kinds.T
    fits = (cpu >= pod.cpu_milli) & (memory >= pod.memory_mib) & (gpus >= pod.gpus)
    return np.asarray(fits & ((models & pod.models != 0) | (pod.gpus == 0)))


def _capacity(need: Floats, kinds: Ints) -> csr_array:
    """For each resource and kind: the pods' needs minus the nodes' capacity, shape (r x k, k x pods + k)."""
    cpu, memory, gpus, _ = kinds.T
    offers = [cpu / WHOLE, memory / 1024, *[gpus] * (_FUNCTIONS + 1)]
    each = np.eye(len(kinds))
    rows = [
        hstack([kron(each, line[None, :]), csr_array(-np.diag(offer))])
        for line, offer in zip(need, offers, strict=True)
    ]
    return csr_array(vstack(rows))


def _everyone(kinds: int, pods: int) -> csr_array:
    """Constraint that each pod is on some kind of node, shape (pods, kinds x pods + kinds)."""
    columns = np.arange(kinds * pods)
    shape = (pods, kinds * pods + kinds)
    return csr_array(coo_array((np.ones(len(columns)), (columns % pods, columns)), shape=shape))
