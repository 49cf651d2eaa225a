"""What keeps a workload from going faster, by the activity signals at hand."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpuwise.model.gpu import named
from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.profile import Bottleneck, Limit
from gpuwise.model.signal import Signal
from gpuwise.score.idle import HeldDevice
from gpuwise.score.settings import ScoreSettings

# NVIDIA's guidance on DCGM's profiling fields: SM activity of 0.8 is needed for good use. DRAM activity peaks at about
# 0.8 in practice, so 0.6 of the time is bound by it. Well-tuned mixed-precision training holds its tensor pipes
# active 0.4 to 0.6 of the time.
_SM_GOOD = 0.8
_DRAM_BOUND = 0.6
_TENSOR_BOUND = 0.4
# A kernel was running all the time, yet it neither computed nor moved data: a collective that waits spins like that.
_SPINNING = 0.9
_SPIN_TENSOR = 0.05
_SPIN_DRAM = 0.1
# The device itself waits for its next kernel a third of the time at work.
_FED = 0.7
_MEMORY_FULL = 0.9
_IDLE_SHARE = 0.95

_WEIGHTS = {Signal.SM_ACTIVITY: 0.35, Signal.TENSOR_ACTIVITY: 0.25, Signal.DRAM_ACTIVITY: 0.25, Signal.GPU_UTIL: 0.15}
"""How much each signal tells of the limit; they sum to 1."""


def bottleneck(devices: Sequence[HeldDevice], settings: ScoreSettings) -> Bottleneck:
    """Name the limit of a workload.

    GPU utilisation alone says only that a kernel was running, so it tells idle from not idle and no more.

    Args:
        devices: of the workload.
        settings: coverage that counts as full.
    """
    sums, seen, busy_seen = (np.zeros(len(DEVICE_SIGNALS)) for _ in range(3))
    for device in devices:
        rows = device.rows.rows
        # One after the other: a sum in pairs would depend on how the rows lie in memory.
        sums += np.add.accumulate(rows["busy_sum"], axis=0)[-1]
        busy_seen += np.add.reduce(rows["busy_seen"], axis=0, dtype=np.int64)
        seen += device.seen
    held = sum(device.end - device.start for device in devices)
    means = {
        signal: float(total / n) for signal, total, n in zip(DEVICE_SIGNALS, sums, busy_seen, strict=True) if n > 0
    }
    known = {signal: float(n) / held for signal, n in zip(DEVICE_SIGNALS, seen, strict=True) if n > 0}
    confidence = sum(
        weight * min(1.0, known[signal] / settings.full_coverage)
        for signal, weight in _WEIGHTS.items()
        if signal in known
    )
    idle = sum(int(np.count_nonzero(device.idle)) for device in devices)
    if held and idle / held >= _IDLE_SHARE:
        return Bottleneck(Limit.IDLE, confidence, means)
    limit = _limit(means, devices) if Signal.SM_ACTIVITY in means else Limit.UNKNOWN
    return Bottleneck(limit, 0.0 if limit is Limit.UNKNOWN else confidence, means)


def _limit(means: Mapping[Signal, float], devices: Sequence[HeldDevice]) -> Limit:
    """The first that fits: a stall hides every other limit, and a starved device shows none of its own."""
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
    if util is not None and util < _FED:
        return Limit.INPUT
    return Limit.MEMORY if _memory_full(devices) else Limit.UNKNOWN


def _memory_full(devices: Sequence[HeldDevice]) -> bool:
    """Whether every device came near the end of its memory; a card whose size is not known did not."""
    column = DEVICE_SIGNALS.index(Signal.MEMORY_USED)
    for device in devices:
        card = named(device.holding.gpu_type) if device.holding.gpu_type else None
        peak = float(np.fmax.reduce(device.rows.rows["peak"][:, column], initial=np.nan))
        if card is None or not peak >= _MEMORY_FULL * card.memory_bytes * min(1.0, device.holding.gpu_fraction):
            return False
    return bool(devices)
