"""Baselines for placing a pod: at random, on the fullest node, by alignment, and by fragmentation.

All but the first are those that Weng et al. compare ("Beware of Fragmentation", USENIX ATC 2023, section 6.1).
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.contract import Decisions
from gpuwise.backtest.placement.trace import OpenbTrace, arrived
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Floats, Ints, Nodes, Placement, PodShape

_SEED = 1
# openb's largest node; the baselines measure CPU and GPU as shares of it.
_CPU_MILLI, _GPU_MILLI = 128_000.0, 8_000.0


def random(trace: OpenbTrace) -> Decisions:
    """A random node that fits, and random GPUs of it.

    Args:
        trace: the trace of arrivals.
    """
    draw = np.random.default_rng(_SEED)
    return _by_node(trace, lambda _left, at, _pod: draw.random(len(at)), pick=lambda free: draw.random(len(free)))


def best_fit(trace: OpenbTrace) -> Decisions:
    """The node with the least free capacity, with equal weights for CPU and GPU.

    Args:
        trace: the trace of arrivals.
    """
    return _by_node(trace, lambda left, at, _pod: left.cpu[at] / _CPU_MILLI + left.gpu[at].sum(axis=1) / _GPU_MILLI)


def dot_product(trace: OpenbTrace) -> Decisions:
    """The node whose free resources align least with the pod's request.

    Args:
        trace: the trace of arrivals.
    """

    def score(left: Nodes, at: Ints, pod: PodShape) -> Floats:
        cpu = left.cpu[at] / _CPU_MILLI * (pod.cpu_milli / _CPU_MILLI)
        return np.asarray(cpu + left.gpu[at].sum(axis=1) / _GPU_MILLI * (pod.milli / _GPU_MILLI))

    return _by_node(trace, score)


def _by_node(
    trace: OpenbTrace,
    score: Callable[[Nodes, Ints, PodShape], Floats],
    *,
    pick: Callable[[Ints], Floats] = np.asarray,
) -> Decisions:
    """The node with the lowest score, and its GPU with the lowest value of `pick`: the fullest by default."""
    left = trace.empty.copy()

    def choose(pod: PodShape) -> Placement | None:
        fit = np.flatnonzero(left.fit(pod))
        if not len(fit):
            return None
        node = int(fit[np.argmin(score(left, fit, pod))])
        fitting = np.flatnonzero(left.gpu[node] >= max(pod.gpu_milli, 1))
        order = np.argsort(pick(left.gpu[node, fitting]), kind="stable")
        at = Placement(node, tuple(map(int, fitting[order[: pod.gpus]])))
        left.take(pod, at)
        return at

    return arrived(trace, choose)


def fragmentation(trace: OpenbTrace) -> Decisions:
    """FGD: the place where the expected GPU-milli that a typical pod could not use grow least.

    The typical pods are all pods of the trace (FGD may know them, gpuwise's policy may not). A node's score is the
    logistic function of the decrease in GPUs, rounded to a whole percent, and the first of equals wins, as in the
    authors' simulator. Without that rounding "default" reaches 94.7 instead of 95.3 (published: 95.4).

    Args:
        trace: the trace of arrivals.
    """
    left = trace.empty.copy()
    return arrived(trace, _Descent(trace, left).choose)


class _Descent:
    """F of every node from tables: by GPU model, rank of the free CPU among typical pods' CPU, and free capacity."""

    def __init__(self, trace: OpenbTrace, left: Nodes) -> None:
        self._left = left
        typical = Counter(trace.pods)
        self._cpus = np.unique([pod.cpu_milli for pod in typical if pod.gpus] or [0])
        bits, self._model = np.unique(left.models, return_inverse=True)
        shape = (len(bits), len(self._cpus) + 1)
        width = left.gpu.shape[1]
        self._pieces, self._blocks = np.zeros((*shape, WHOLE + 1)), np.zeros((*shape, width + 1))
        for pod, count in typical.items():
            self._add(pod, count / len(trace.pods), bits)
        self._now = self._of(np.arange(len(left.cpu)), left.cpu)

    def _add(self, pod: PodShape, share: float, bits: Ints) -> None:
        """Add a typical pod. If a node cannot host it, all free capacity is lost; else pieces that are too small."""
        free, whole = np.arange(WHOLE + 1.0), np.arange(self._blocks.shape[2])
        hosts = int(np.searchsorted(self._cpus, pod.cpu_milli)) + 1
        for model, bit in enumerate(bits):
            first = hosts if pod.gpus and int(bit) & pod.models else len(self._cpus) + 1
            self._pieces[model, :first] += share * free
            self._pieces[model, first:] += share * np.where(free < pod.gpu_milli, free, 0.0)
            if pod.gpu_milli == WHOLE:
                self._blocks[model, first:] += share * np.where(whole < pod.gpus, whole * WHOLE, 0.0)

    def _rank(self, cpu: Ints) -> Ints:
        return np.asarray(np.searchsorted(self._cpus, cpu, side="right"))

    def _of(self, at: Ints, cpu: Ints) -> Floats:
        model, rank, gpu = self._model[at], self._rank(cpu), self._left.gpu[at]
        pieces = self._pieces[model[:, None], rank[:, None], gpu].sum(axis=1)
        return np.asarray(pieces + self._blocks[model, rank, (gpu == WHOLE).sum(axis=1)])

    def choose(self, pod: PodShape) -> Placement | None:
        at = np.flatnonzero(self._left.fit(pod))
        if not len(at):
            return None
        after, gpu = self._after(at, pod)
        with np.errstate(over="ignore"):
            percent = np.floor(100 / (1 + np.exp((after - self._now[at]) / WHOLE)))
        best = int(np.argmax(percent))
        node = int(at[best])
        whole = pod.gpu_milli == WHOLE or not pod.gpus
        place = Placement(node, self._left.whole(node, pod.gpus) if whole else (int(gpu[best]),))
        self._left.take(pod, place)
        self._now[node] = after[best]
        return place

    def _after(self, at: Ints, pod: PodShape) -> tuple[Floats, Ints]:
        """F with the pod on its best GPU, and the index of that GPU."""
        cpu = self._left.cpu[at] - pod.cpu_milli
        base = self._of(at, cpu)
        if not pod.gpus:
            return base, np.zeros(len(at), np.int64)
        model, rank, gpu = self._model[at], self._rank(cpu), self._left.gpu[at]
        whole = (gpu == WHOLE).sum(axis=1)
        blocks = self._blocks[model, rank]
        if pod.gpu_milli == WHOLE:
            left = np.take_along_axis(blocks, (whole - pod.gpus)[:, None], axis=1)[:, 0]
            gone = pod.gpus * self._pieces[model, rank, WHOLE]
            return base - gone - self._blocks[model, rank, whole] + left, np.zeros(len(at), np.int64)
        return _least(base[:, None] + self._shares(at, pod, cpu), gpu >= pod.gpu_milli)

    def _shares(self, at: Ints, pod: PodShape, cpu: Ints) -> Floats:
        """The change of F by GPU."""
        model, rank, gpu = self._model[at][:, None], self._rank(cpu)[:, None], self._left.gpu[at]
        pieces = self._pieces[model, rank, np.maximum(gpu - pod.gpu_milli, 0)] - self._pieces[model, rank, gpu]
        whole = (gpu == WHOLE).sum(axis=1)[:, None]
        broken = self._blocks[model, rank, np.maximum(whole - 1, 0)] - self._blocks[model, rank, whole]
        return np.asarray(pieces + np.where(gpu == WHOLE, broken, 0.0))


def _least(change: Floats, fits: NDArray[np.bool_]) -> tuple[Floats, Ints]:
    change = np.where(fits, change, np.inf)
    gpu = change.argmin(axis=1)
    return np.take_along_axis(change, gpu[:, None], axis=1)[:, 0], gpu
