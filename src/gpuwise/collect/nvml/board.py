"""Values of a whole board that have an NVML call each."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.nvml.library import Calls

_MHZ = 1e6

# One number per call: the metric, the call, and how many NVML units make one of the metric's units.
_NUMBERS: tuple[tuple[Metric, Callable[[Any], Any], float], ...] = (
    (c.POWER, pynvml.nvmlDeviceGetPowerUsage, 1000.0),
    (c.POWER_LIMIT, pynvml.nvmlDeviceGetEnforcedPowerLimit, 1000.0),
    (c.ENERGY, pynvml.nvmlDeviceGetTotalEnergyConsumption, 1000.0),
    (c.PERFORMANCE_STATE, pynvml.nvmlDeviceGetPerformanceState, 1.0),
    (c.FAN_SPEED, pynvml.nvmlDeviceGetFanSpeed, 100.0),
    (c.PCIE_GENERATION, pynvml.nvmlDeviceGetCurrPcieLinkGeneration, 1.0),
    (c.PCIE_WIDTH, pynvml.nvmlDeviceGetCurrPcieLinkWidth, 1.0),
    (c.COMPUTE_MODE, pynvml.nvmlDeviceGetComputeMode, 1.0),
)
_LIMITS = (
    ("default", pynvml.nvmlDeviceGetPowerManagementDefaultLimit),
    ("requested", pynvml.nvmlDeviceGetPowerManagementLimit),
)
_THRESHOLDS = (
    ("shutdown", pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN),
    ("slowdown", pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
    ("memory_max", pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX),
    ("gpu_max", pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX),
)
_CLOCKS = (
    ("graphics", pynvml.NVML_CLOCK_GRAPHICS),
    ("sm", pynvml.NVML_CLOCK_SM),
    ("memory", pynvml.NVML_CLOCK_MEM),
    ("video", pynvml.NVML_CLOCK_VIDEO),
)
_CLOCK_CALLS = ((c.CLOCK, pynvml.nvmlDeviceGetClockInfo), (c.CLOCK_MAX, pynvml.nvmlDeviceGetMaxClockInfo))
_ECC = tuple(
    (severity, lasting, kind, counter)
    for severity, kind in (
        ("corrected", pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        ("uncorrected", pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
    )
    for lasting, counter in (("volatile", pynvml.NVML_VOLATILE_ECC), ("aggregate", pynvml.NVML_AGGREGATE_ECC))
)
# gpu_idle is not throttling, but the most frequent reason for low clocks; it is exposed under its own name.
_REASONS = (
    ("gpu_idle", pynvml.nvmlClocksEventReasonGpuIdle),
    ("applications_clocks", pynvml.nvmlClocksEventReasonApplicationsClocksSetting),
    ("sw_power_cap", pynvml.nvmlClocksEventReasonSwPowerCap),
    ("hw_slowdown", pynvml.nvmlClocksEventReasonHwSlowdown),
    ("sync_boost", pynvml.nvmlClocksEventReasonSyncBoost),
    ("sw_thermal", pynvml.nvmlClocksEventReasonSwThermalSlowdown),
    ("hw_thermal", pynvml.nvmlClocksEventReasonHwThermalSlowdown),
    ("hw_power_brake", pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown),
    ("display_clock", pynvml.nvmlClocksEventReasonDisplayClockSetting),
)


def board(gpu: Any, calls: Calls) -> Iterator[Sample]:
    """Power, clocks, temperatures, links and memory health of a card.

    Args:
        gpu: NVML's handle.
        calls: the calls of this sweep.
    """
    for metric, function, unit in _NUMBERS:
        answer = calls.ask(function, gpu)
        if answer is not None:
            yield Sample(metric, answer / unit)
    degrees = calls.ask(pynvml.nvmlDeviceGetTemperature, gpu, pynvml.NVML_TEMPERATURE_GPU)
    if degrees is not None:
        yield Sample(c.TEMPERATURE, float(degrees), ("gpu",))
    for name, clock in _CLOCKS:
        for metric, function in _CLOCK_CALLS:
            mhz = calls.ask(function, gpu, clock)
            if mhz is not None:
                yield Sample(metric, mhz * _MHZ, (name,))
    yield from _limits(gpu, calls)
    yield from _reasons(gpu, calls)
    yield from _memory_health(gpu, calls)


def utilization(gpu: Any, calls: Calls) -> Iterator[Sample]:
    """The driver's own sampling; do not call it under MIG, where it returns 0 for a busy card (dcgm-exporter#216)."""
    rates = calls.ask(pynvml.nvmlDeviceGetUtilizationRates, gpu)
    if rates is not None:
        yield Sample(c.UTILIZATION, rates.gpu / 100, (c.RATES,))
        yield Sample(c.ENGINE_UTILIZATION, rates.memory / 100, ("memory_copy",))
    for name, function in (
        ("encoder", pynvml.nvmlDeviceGetEncoderUtilization),
        ("decoder", pynvml.nvmlDeviceGetDecoderUtilization),
    ):
        answer = calls.ask(function, gpu)
        if answer is not None:
            yield Sample(c.ENGINE_UTILIZATION, answer[0] / 100, (name,))


def memory(device: Any, calls: Calls) -> Iterator[Sample]:
    """Framebuffer of a card or an instance; before driver 510, used memory includes reserved memory."""
    found = calls.ask(pynvml.nvmlDeviceGetMemoryInfo, device, pynvml.nvmlMemory_v2)
    if found is not None:
        yield Sample(c.MEMORY_RESERVED, float(found.reserved))
    else:
        found = calls.ask(pynvml.nvmlDeviceGetMemoryInfo, device)
    if found is not None:
        yield Sample(c.MEMORY_USED, float(found.used))
        # A total of 0 is invalid, and ratios to it would be meaningless: -1 marks it to be dropped.
        yield Sample(c.MEMORY_TOTAL, float(found.total) or -1.0)


def _limits(gpu: Any, calls: Calls) -> Iterator[Sample]:
    """Limits of power and temperature."""
    bounds = calls.ask(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, gpu)
    for name, milliwatts in zip(("minimum", "maximum"), bounds or (), strict=False):
        yield Sample(c.POWER_LIMIT_SETTING, milliwatts / 1000, (name,))
    for name, function in _LIMITS:
        milliwatts = calls.ask(function, gpu)
        if milliwatts is not None:
            yield Sample(c.POWER_LIMIT_SETTING, milliwatts / 1000, (name,))
    for name, number in _THRESHOLDS:
        degrees = calls.ask(pynvml.nvmlDeviceGetTemperatureThreshold, gpu, number)
        if degrees is not None:
            yield Sample(c.TEMPERATURE_THRESHOLD, float(degrees), (name,))
    margin = calls.ask(pynvml.nvmlDeviceGetMarginTemperature, gpu)
    if margin is not None:
        yield Sample(c.TEMPERATURE_MARGIN, float(margin))


def _reasons(gpu: Any, calls: Calls) -> Iterator[Sample]:
    mask = calls.ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, gpu)
    if mask is None:  # the name of the call before driver 535
        mask = calls.ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, gpu)
    if mask is not None:
        for name, bit in _REASONS:
            yield Sample(c.THROTTLE_REASON, float(bool(mask & bit)), (name,))


def _memory_health(gpu: Any, calls: Calls) -> Iterator[Sample]:
    mode = calls.ask(pynvml.nvmlDeviceGetEccMode, gpu)
    if mode is not None:
        yield Sample(c.ECC_MODE, float(mode[0]))
    for severity, lasting, kind, counter in _ECC:
        count = calls.ask(pynvml.nvmlDeviceGetTotalEccErrors, gpu, kind, counter)
        if count is not None:
            yield Sample(c.ECC_ERRORS, float(count), (severity, lasting))
    rows = calls.ask(pynvml.nvmlDeviceGetRemappedRows, gpu)
    if rows is not None:
        corrected, uncorrected, pending, failed = map(float, rows)
        yield Sample(c.REMAPPED_ROWS, corrected, ("corrected",))
        yield Sample(c.REMAPPED_ROWS, uncorrected, ("uncorrected",))
        yield Sample(c.REMAP_PENDING, pending)
        yield Sample(c.REMAP_FAILED, failed)
    sram = pynvml.c_nvmlEccSramErrorStatus_v1_t()
    if calls.ask(pynvml.nvmlDeviceGetSramEccErrorStatus, gpu, ctypes.byref(sram)) is not None:
        yield Sample(c.SRAM_THRESHOLD, float(bool(sram.bThresholdExceeded)))
    repairs = calls.ask(pynvml.nvmlDeviceGetRepairStatus, gpu)
    for name, pending in zip(("channel", "tpc"), repairs or (), strict=False):
        yield Sample(c.REPAIR_PENDING, float(bool(pending)), (name,))
