"""The resource that limits a workload, from the available activity signals."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpuwise.model.gpu import named
from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.profile import Bottleneck, Limit
from gpuwise.model.signal import Signal
from gpuwise.score.devices import AllocatedDevice
from gpuwise.score.settings import ScoreSettings

# NVIDIA's guidance on DCGM's profiling fields: good use needs an SM activity of 0.8. DRAM activity peaks at about 0.8
# in practice, so a workload at 0.6 is bandwidth-bound. Well-tuned mixed-precision training keeps its tensor pipes
# active 0.4 to 0.6 of the time.
_SM_GOOD = 0.8
_DRAM_BOUND = 0.6
_TENSOR_BOUND = 0.4
# A kernel ran all the time, but neither computed nor moved data: a collective that waits spins like this.
_SPINNING = 0.9
_SPIN_TENSOR = 0.05
_SPIN_DRAM = 0.1
# Below this, the device waits for its next kernel for about a third of its active time.
_STARVED_BELOW = 0.7
_MEMORY_FULL = 0.9
_IDLE_SHARE = 0.95

_WEIGHTS = {Signal.SM_ACTIVITY: 0.35, Signal.TENSOR_ACTIVITY: 0.25, Signal.DRAM_ACTIVITY: 0.25, Signal.GPU_UTIL: 0.15}
"""How much each signal contributes to the confidence; they sum to 1."""


def bottleneck(devices: Sequence[AllocatedDevice], idle_steps: int, settings: ScoreSettings) -> Bottleneck:
    """Determine the limit of a workload.

    GPU utilisation alone only shows that a kernel was running, so it only separates idle from not idle.

    Args:
        devices: of the workload.
        idle_steps: steps at which they were idle, of all of them.
        settings: the coverage that counts as full.
    """
    sums, seen, busy_seen = (np.zeros(len(DEVICE_SIGNALS)) for _ in range(3))
    for device in devices:
        sums += device.summary.busy_sum
        busy_seen += device.summary.busy_seen
        seen += device.summary.levels.seen
    allocated = sum(device.end - device.start for device in devices)
    means = {
        signal: float(total / n) for signal, total, n in zip(DEVICE_SIGNALS, sums, busy_seen, strict=True) if n > 0
    }
    known = {signal: float(n) / allocated for signal, n in zip(DEVICE_SIGNALS, seen, strict=True) if n > 0}
    confidence = sum(
        weight * min(1.0, known[signal] / settings.full_coverage)
        for signal, weight in _WEIGHTS.items()
        if signal in known
    )
    if allocated and idle_steps / allocated >= _IDLE_SHARE:
        return Bottleneck(Limit.IDLE, confidence, means)
    limit = _limit(means, devices) if Signal.SM_ACTIVITY in means else Limit.UNKNOWN
    return Bottleneck(limit, 0.0 if limit is Limit.UNKNOWN else confidence, means)


def _limit(means: Mapping[Signal, float], devices: Sequence[AllocatedDevice]) -> Limit:
    """The first limit that matches: a stall hides every other limit, and a starved device shows none of its own."""
    sm, util = means[Signal.SM_ACTIVITY], means.get(Signal.GPU_UTIL)
    tensor, dram = means.get(Signal.TENSOR_ACTIVITY), means.get(Signal.DRAM_ACTIVITY)
    if tensor is not None and dram is not None and util is not None:
        quiet = tensor < _SPIN_TENSOR and dram < _SPIN_DRAM and sm < _SM_GOOD
        if util >= _SPINNING and quiet and len(devices) > 1:
            return Limit.COMMUNICATION
    if dram is not None and dram >= _DRAM_BOUND and (tensor is None or dram / _DRAM_BOUND >= tensor / _TENSOR_BOUND):
        return Limit.BANDWIDTH
    if tensor is not None and tensor >= _TENSOR_BOUND:
        return Limit.COMPUTE
    if dram is not None and sm >= _SM_GOOD:
        return Limit.COMPUTE
    if util is not None and util < _STARVED_BELOW:
        return Limit.INPUT
    return Limit.MEMORY if _memory_full(devices) else Limit.UNKNOWN


def _memory_full(devices: Sequence[AllocatedDevice]) -> bool:
    """Whether every device came close to its memory size; a card of unknown size did not."""
    column = DEVICE_SIGNALS.index(Signal.MEMORY_USED)
    for device in devices:
        card = named(device.pod_device.gpu_type) if device.pod_device.gpu_type else None
        peak = float(device.summary.levels.highest[column])
        if card is None or not peak >= _MEMORY_FULL * card.memory_bytes * min(1.0, device.pod_device.gpu_fraction):
            return False
    return bool(devices)
