"""The specification of native/placement.pyx, in NumPy."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
WHOLE = 1000


def choose(
    cpu: Ints, memory: Ints, models: Ints, gpu: Ints, pod: Ints, gain: Floats, block: Floats, weights: Floats
) -> int:
    """Find the GPU or the node with the highest score for a pod; the first one among equals.

    A node's score is the gain of the pod's GPUs + weights[0] x (stranded before - stranded after) - weights[2] x cpu
    - weights[3] x free. Here free is the node's free GPU-milli, and stranded is the part of it that the CPU left cannot
    serve: max(0, free - cpu / weights[1]).

    Args:
        cpu: CPU-milli left by node, shape (n,).
        memory: MiB left, shape (n,).
        models: bit of the node's GPU model, shape (n,).
        gpu: GPU-milli left by node and GPU, 0 if there is no such GPU, shape (n, g).
        pod: CPU-milli, MiB, bits of the allowed models, number of GPUs and milli of each, shape (5,).
        gain: gain of a share, by the free milli of its GPU, shape (1001,).
        block: potential of a node by its number of whole free GPUs, shape (g + 1,).
        weights: weight of stranded GPU-milli, CPU-milli per GPU-milli, weight per CPU-milli and per GPU-milli left.

    Returns:
        node x g + GPU (GPU 0 if whole GPUs or none are requested); -1 if the pod does not fit anywhere.
    """
    cpu_milli, memory_mib, bits, gpus, milli = (int(one) for one in pod)
    fits = (cpu >= cpu_milli) & (memory >= memory_mib)
    free, whole = gpu.sum(axis=1), (gpu == WHOLE).sum(axis=1)
    if gpus:
        fits &= (models & bits) != 0
    if gpus == 0 or milli == WHOLE:
        fits &= whole >= gpus
        devices = (block[whole] - block[np.maximum(whole - gpus, 0)])[:, None]
    else:
        broken = np.where(gpu == WHOLE, (block[whole] - block[np.maximum(whole - 1, 0)])[:, None], 0.0)
        devices = np.where(gpu >= milli, gain[gpu] + broken, -np.inf)
    begin = devices.argmax(axis=1)
    best = np.take_along_axis(devices, begin[:, None], axis=1)[:, 0]
    before = np.maximum(free - cpu / weights[1], 0.0)
    after = np.maximum((free - gpus * milli) - (cpu - cpu_milli) / weights[1], 0.0)
    score = best + weights[0] * (before - after) - weights[2] * cpu - weights[3] * free
    score = np.where(fits, score, -np.inf)
    node = int(score.argmax())
    return node * gpu.shape[1] + int(begin[node]) if score[node] > -np.inf else -1
