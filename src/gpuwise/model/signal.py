"""The signals of GPU usage, with their units, valid ranges and the sensor each comes from."""

from dataclasses import dataclass
from enum import StrEnum


class Sensor(StrEnum):
    """Where a signal is measured; two signals are independent evidence only if their sensors differ.

    In dcgm-exporter#662 every profiling field read 0 at 99 % load: the fields of one sensor fail together.
    """

    PROFILING = "profiling"
    DRIVER = "driver"
    POWER = "power"
    MEMORY = "memory"
    APPLICATION = "application"
    KERNEL = "kernel"


class Signal(StrEnum):
    """One measured quantity; the value is its column name in recordings and its JSON key."""

    SM_ACTIVITY = "sm_activity_ratio"
    TENSOR_ACTIVITY = "tensor_activity_ratio"
    DRAM_ACTIVITY = "dram_activity_ratio"
    GPU_UTIL = "gpu_util_ratio"
    MEMORY_USED = "memory_used_bytes"
    POWER = "power_watts"
    REQUESTS = "requests_per_second"
    KERNEL_ACTIVITY = "kernel_activity_ratio"
    POWER_LIMIT = "power_limit_watts"
    MEAN_POWER = "mean_power_watts"
    WORK = "work_per_second"
    OWN_USE = "own_use_ratio"

    __hash__ = str.__hash__  # that of Enum is in Python: a third of the time of looking up a signal in a dict


OF_PACES = frozenset({Signal.POWER_LIMIT, Signal.MEAN_POWER, Signal.WORK})
"""Signals that are counted with the paces of declared work, and nowhere else."""

APART = OF_PACES | {Signal.OWN_USE}
"""Signals that are no evidence of use or idleness; few pods have them."""


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """The unit of a signal, its largest valid value, and its sensor.

    Attributes:
        unit: the base unit.
        highest: largest valid value; a larger one is a sentinel and is dropped as unknown.
        sensor: what measures the signal.
    """

    unit: str
    highest: float
    sensor: Sensor


# Largest values: DCGM and NVML report "unknown" as huge numbers (4294967295 in DCGM#199, 9223372036854775794 in
# gpu-monitoring-tools#92). 1 TiB and 10 kW are above any board sold by 2026 and below every sentinel.
SIGNALS: dict[Signal, SignalSpec] = {
    Signal.SM_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.TENSOR_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.DRAM_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.GPU_UTIL: SignalSpec("ratio", 1.0, Sensor.DRIVER),
    Signal.MEMORY_USED: SignalSpec("bytes", float(2**40), Sensor.MEMORY),
    Signal.POWER: SignalSpec("watts", 1e4, Sensor.POWER),
    Signal.REQUESTS: SignalSpec("requests per second", 1e9, Sensor.APPLICATION),
    # 1.0 in a step in which a kernel was launched, else 0.0; reported by HAMi, which intercepts the launches.
    Signal.KERNEL_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.KERNEL),
    # Read where work is declared, and no evidence of use: the limit in force, the mean power over a step by the board's
    # energy counter (the power above is the highest of a step), and the units of work.
    Signal.POWER_LIMIT: SignalSpec("watts", 1e4, Sensor.POWER),
    Signal.MEAN_POWER: SignalSpec("watts", 1e4, Sensor.POWER),
    Signal.WORK: SignalSpec("units per second", 1e15, Sensor.APPLICATION),
    # What a pod on a shared device used of it: the larger of its part of the activity and its part of the memory. It
    # divides the bill of the device.
    Signal.OWN_USE: SignalSpec("ratio", 1.0, Sensor.PROFILING),
}
