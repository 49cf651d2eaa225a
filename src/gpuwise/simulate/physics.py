"""From the activity of a workload to the sensor values of a device, quantised as real sensors are."""

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import GpuType
from gpuwise.model.signal import Signal
from gpuwise.simulate.activity import Activity, Track
from gpuwise.simulate.placement import Slot

_MIB = float(2**20)

# Idle draw of a card with an open context (AcmeTrace: 90 W of 400 W with memory allocated and nothing running; T4 and
# L4 draw 25-30 W of 70 W), as a share of the type's idle_ratio, so that idle stays below the threshold.
_IDLE_DRAW = (0.62, 0.9)
_TENSOR_CARDS = ("A100", "H100", "H200", "B200")


def sensors(doing: Activity, slot: Slot, *, works: bool, rng: np.random.Generator) -> dict[Signal, NDArray[np.float64]]:
    """Sensor values of one device for an activity of its workload.

    Args:
        doing: the workload's activity over the pod's life.
        slot: the device; a MIG instance has neither GPU_UTIL nor power of its own (dcgm-exporter#216).
        works: False for a device that is allocated to the pod and never used.
        rng: random generator of this device.

    Returns:
        Arrays by signal, float64 of shape (steps,).
    """
    util = _jitter(doing.util, rng) if works else np.zeros_like(doing.util)
    sm = _percent(util * doing.sm * (1.0 + 0.04 * rng.standard_normal(util.size, dtype=np.float32)))
    read = {
        Signal.SM_ACTIVITY: sm,
        Signal.DRAM_ACTIVITY: _percent(sm * np.float32(rng.uniform(0.25, 0.75))),
        Signal.MEMORY_USED: _memory(doing.memory if works else np.minimum(doing.memory, 0.02), slot),
    }
    if slot.gpu.name.startswith(_TENSOR_CARDS):
        read[Signal.TENSOR_ACTIVITY] = _percent(sm * np.float32(rng.uniform(0.15, 0.65)))
    if slot.fraction == 1.0:
        read[Signal.GPU_UTIL] = util
        read[Signal.POWER] = _power(util, sm, slot.gpu, rng)
    return {signal: values.astype(np.float64) for signal, values in read.items()}


def _percent(values: Track) -> Track:
    """Clipped to 0..1 and quantised at 1 %."""
    return (np.clip(np.rint(values * 100), 0, 100) / 100).astype(np.float32)


def _jitter(util: Track, rng: np.random.Generator) -> Track:
    """A device deviates by up to 1 % from its active workload, and not at all from an idle one."""
    deviation = rng.integers(-1, 2, util.size, dtype=np.int8) * np.float32(0.01) * (util < 0.95)
    return np.where(util > 0, np.maximum(_percent(util + deviation), np.float32(0.01)), np.float32(0)).astype(
        np.float32
    )


def _memory(share: Track, slot: Slot) -> Track:
    size = slot.gpu.memory_bytes * _memory_share(slot)
    return np.asarray(np.rint(share * (size / _MIB)) * _MIB, dtype=np.float32)


def _memory_share(slot: Slot) -> float:
    if slot.fraction == 1.0:
        return 1.0
    profile = slot.gpu.mig_profile(slot.resource.rpartition("mig-")[2])
    return profile.memory_bytes / slot.gpu.memory_bytes if profile is not None else slot.fraction


def _power(util: Track, sm: Track, gpu: GpuType, rng: np.random.Generator) -> Track:
    """Idle draw, a quarter of the rest as soon as any kernel runs, and the remainder in proportion to SM activity."""
    idle = gpu.board_watts * gpu.idle_ratio * rng.uniform(*_IDLE_DRAW)
    top = gpu.board_watts * rng.uniform(0.85, 0.98)
    # A kernel that only waits (sm 0) keeps the clocks up and draws little more.
    drawn = idle + (top - idle) * (0.03 * util + 0.22 * util * (sm > 0) + 0.75 * sm)
    noise = rng.integers(-1, 2, util.size, dtype=np.int8)
    return np.asarray(np.rint(drawn + noise), dtype=np.float32)
