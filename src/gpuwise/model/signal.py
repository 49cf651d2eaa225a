"""The signals of GPU usage, with their units, valid ranges and the sensor each comes from."""

from dataclasses import dataclass
from enum import StrEnum


class Sensor(StrEnum):
    """Where a signal is measured; two signals are independent evidence only if their sensors differ.

    dcgm-exporter#662 read 0 on every profiling field at 99 % load: fields of one sensor fail together.
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


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """What a signal may be: its unit, the largest value that is not a sentinel, and its sensor.

    Attributes:
        unit: the base unit.
        highest: largest believable value; anything above is dropped as unknown.
        sensor: what measures it.
    """

    unit: str
    highest: float
    sensor: Sensor


# Highest: DCGM and NVML mark "unknown" by huge numbers (4294967295 in DCGM#199, 9223372036854775794 in
# gpu-monitoring-tools#92).
# 1 TiB and 10 kW lie above any board sold by 2026 and below every sentinel.
SIGNALS: dict[Signal, SignalSpec] = {
    Signal.SM_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.TENSOR_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.DRAM_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.PROFILING),
    Signal.GPU_UTIL: SignalSpec("ratio", 1.0, Sensor.DRIVER),
    Signal.MEMORY_USED: SignalSpec("bytes", float(2**40), Sensor.MEMORY),
    Signal.POWER: SignalSpec("watts", 1e4, Sensor.POWER),
    Signal.REQUESTS: SignalSpec("requests per second", 1e9, Sensor.APPLICATION),
    # 1.0 in a step in which a kernel was launched, by what intercepts the launches (HAMi), else 0.0.
    Signal.KERNEL_ACTIVITY: SignalSpec("ratio", 1.0, Sensor.KERNEL),
}
