"""A lower bound on the number of nodes that pods need: a linear program that may split pods between kinds of nodes.

CPU, memory and GPU are divided by kind of node. Shares of a GPU cannot be divided freely, however: dual feasible
functions u with sum u(x) <= 1 over any shares x of one GPU add the constraints on what fits together on one GPU (Fekete
& Schepers, "New classes of fast lower bounds for bin packing problems", Mathematical Programming 91, 2001, theorem 5).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Bools, Floats, Ints, Nodes, PodShape

if TYPE_CHECKING:  # takes 1 s to import, and a fleet without nodes to consolidate does not need it
    from scipy.sparse import csr_array

# u^(1) .. u^(6); on openb u^(4) is the binding one.
_FUNCTIONS = 6
# Kinds of nodes times shapes of pods above which the program would take more than a few seconds: then each resource is
# divided by the largest node alone.
_MOST_PAIRS = 12_000
# Numbers of different amounts of a node and of pods above which they are rounded, and the steps of the rounding.
_MOST_SIZES, _SIZE_STEPS, _MOST_SHAPES, _SHAPE_STEPS = 16, 8, 400, 32


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


def least_nodes(empty: Nodes, pods: Sequence[PodShape], stay: Bools | None = None) -> LeastNodes:
    """A lower bound on the number of nodes for some pods.

    Where there are many different sizes of nodes or pods, those of nodes are rounded up and those of pods
    down, which keeps the bound valid and the program small.

    Args:
        empty: the nodes without any pods.
        pods: the pods; they must fit on these nodes together.
        stay: nodes that are needed even without pods, shape (n,); None if there are none.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415

    free = np.zeros(len(empty.cpu), dtype=np.int64) if stay is None else stay.astype(np.int64)
    sizes = _node_sizes(empty, pods, free)
    kinds, kind, count = np.unique(sizes, axis=0, return_inverse=True, return_counts=True)
    kind = kind.reshape(-1)
    kept = kinds[:, 3] > 0
    counted = Counter(_rounded(pods, empty))
    shapes = list(counted)
    if not shapes:
        return LeastNodes(float(free.sum()), kind, np.where(kept, count, 0.0))
    need = np.array([_needs(pod) for pod in shapes]).T
    numbers = np.array([counted[pod] for pod in shapes], dtype=np.float64)
    if len(kinds) * len(shapes) > _MOST_PAIRS:
        return LeastNodes(max(_by_totals(need @ numbers, kinds), float(free.sum())), kind, count.astype(np.float64))
    most = np.where(np.stack([_hosts(kinds, kind, empty, pod) for pod in shapes], axis=1), np.inf, 0.0)
    capacity = LinearConstraint(_capacity(need, kinds), ub=0.0)
    everyone = LinearConstraint(_everyone(len(kinds), len(shapes)), numbers, numbers)
    solved = milp(
        np.r_[np.zeros(most.size), np.where(kept, 0.0, 1.0)],
        constraints=(capacity, everyone),
        bounds=Bounds(0, np.r_[most.reshape(-1), count]),
    )
    if solved.x is None:  # pragma: no cover - feasible, because the pods are on these nodes now
        raise RuntimeError(solved.message)
    by_kind = np.where(kept, count, solved.x[most.size :])
    return LeastNodes(float(solved.fun + free.sum()), kind, by_kind)


def _node_sizes(empty: Nodes, pods: Sequence[PodShape], free: Ints) -> Ints:
    """CPU, memory, GPUs, whether it stays, models and other resources of each node, rounded up."""
    other = np.zeros((len(empty.cpu), 0), dtype=np.int64)
    if empty.other is not None and pods:  # more than all pods request counts for nothing
        other = np.minimum(empty.other, np.sum([pod.other for pod in pods], axis=0))
    columns = [empty.cpu, empty.memory, (empty.gpu > 0).sum(axis=1), free, empty.models, *other.T]
    whole = (2, 3, 4)
    return np.stack([one if at in whole else _up(one) for at, one in enumerate(columns)], axis=1)


def _up(amounts: Ints) -> Ints:
    step = _step(amounts)
    return np.asarray(-(-np.maximum(amounts, 0) // step) * step)


def _step(amounts: Ints) -> int:
    """The unit of rounding: 1 unless there are many different amounts."""
    return 1 if len(np.unique(amounts)) <= _MOST_SIZES else max(int(amounts.max()) // _SIZE_STEPS, 1)


def _rounded(pods: Sequence[PodShape], empty: Nodes) -> list[PodShape]:
    """The pods, with CPU and memory rounded down if there are many different sizes."""
    if len(set(pods)) <= _MOST_SHAPES:
        return list(pods)
    cpu, memory = (max(int(one.max()) // _SHAPE_STEPS, 1) for one in (empty.cpu, empty.memory))
    return [
        replace(pod, cpu_milli=pod.cpu_milli // cpu * cpu, memory_mib=pod.memory_mib // memory * memory) for pod in pods
    ]


def _needs(pod: PodShape) -> list[float]:
    """CPUs, GiB, GPUs, and GPUs by each dual feasible function."""
    shares = [pod.gpus * _dual_feasible(k, pod.gpu_milli) for k in range(1, _FUNCTIONS + 1)]
    return [pod.cpu_milli / WHOLE, pod.memory_mib / 1024, pod.milli / WHOLE, *shares, *pod.other]


def _dual_feasible(k: int, milli: int) -> float:
    steps, rest = divmod((k + 1) * milli, WHOLE)
    return steps / k if rest else milli / WHOLE


def _hosts(kinds: Ints, kind: Ints, empty: Nodes, pod: PodShape) -> Bools:
    cpu, memory, gpus, _, models, *other = kinds.T
    fits = (cpu >= pod.cpu_milli) & (memory >= pod.memory_mib) & (gpus >= pod.gpus)
    for amounts, wanted in zip(other, pod.other, strict=True):
        fits &= amounts >= wanted
    if empty.accepts is not None:
        fits &= np.bincount(kind, empty.accepts[pod.group], len(kinds)) > 0
    return np.asarray(fits & ((models & pod.models != 0) | (pod.gpus == 0)))


def _capacity(need: Floats, kinds: Ints) -> "csr_array":
    """For each resource and kind: the pods' needs minus the nodes' capacity, shape (r x k, k x pods + k)."""
    from scipy.sparse import csr_array, hstack, kron, vstack  # noqa: PLC0415

    each = np.eye(len(kinds))
    rows = [
        hstack([kron(each, line[None, :]), csr_array(-np.diag(offer))])
        for line, offer in zip(need, _offers(kinds), strict=True)
    ]
    return csr_array(vstack(rows))


def _by_totals(totals: Floats, kinds: Ints) -> float:
    """Nodes that some amounts need, if all were as large as the largest."""
    largest = np.array([offer.max() for offer in _offers(kinds)], dtype=np.float64)
    return float(np.max(np.divide(totals, largest, out=np.zeros_like(totals), where=largest > 0.0)))


def _offers(kinds: Ints) -> list[Floats]:
    """What a node of each kind has of each resource, in the order and units of `_needs`."""
    cpu, memory, gpus, _, _, *other = kinds.T
    return [cpu / WHOLE, memory / 1024, *[gpus] * (_FUNCTIONS + 1), *other]


def _everyone(kinds: int, pods: int) -> "csr_array":
    """Constraint that each pod is on some kind of node, shape (pods, kinds x pods + kinds)."""
    from scipy.sparse import coo_array, csr_array  # noqa: PLC0415

    columns = np.arange(kinds * pods)
    shape = (pods, kinds * pods + kinds)
    return csr_array(coo_array((np.ones(len(columns)), (columns % pods, columns)), shape=shape))
