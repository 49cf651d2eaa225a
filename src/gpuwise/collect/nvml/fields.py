"""Values of a board that NVML returns as field values: one call for all of them."""

import ctypes
from collections.abc import Iterator
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.nvml.library import Calls

# How many NVML units make one of ours.
_KIB, _NANOSECOND = 2.0**-10, 1e9
# The scope 2**32 - 1 asks NVLink counters for the sum over links (nvml.h, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX).
_ALL_LINKS = 2**32 - 1

_FIELDS: tuple[tuple[Metric, tuple[str, ...], int, float], ...] = (
    (c.TEMPERATURE, ("memory",), pynvml.NVML_FI_DEV_MEMORY_TEMP, 1.0),
    (c.PCIE_REPLAYS, (), pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, 1.0),
    (c.PCIE_BYTES, ("transmit",), pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 1.0),
    (c.PCIE_BYTES, ("receive",), pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES, 1.0),
    (c.NVLINK_LINKS, (), pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, 1.0),
    (c.NVLINK_BYTES, ("transmit",), pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _KIB),
    (c.NVLINK_BYTES, ("receive",), pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _KIB),
    (c.NVLINK_ERRORS, ("crc_flit",), pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, 1.0),
    (c.NVLINK_ERRORS, ("crc_data",), pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, 1.0),
    (c.NVLINK_ERRORS, ("replay",), pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, 1.0),
    (c.NVLINK_ERRORS, ("recovery",), pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, 1.0),
    (c.THROTTLE_TIME, ("sw_power_cap",), pynvml.NVML_FI_DEV_PERF_POLICY_POWER, _NANOSECOND),
    (c.THROTTLE_TIME, ("thermal",), pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, _NANOSECOND),
    (c.THROTTLE_TIME, ("sync_boost",), pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST, _NANOSECOND),
    (c.THROTTLE_TIME, ("board_limit",), pynvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT, _NANOSECOND),
    (c.THROTTLE_TIME, ("low_utilization",), pynvml.NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION, _NANOSECOND),
    (c.THROTTLE_TIME, ("reliability",), pynvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY, _NANOSECOND),
    (c.THROTTLE_TIME, ("sw_thermal",), pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, _NANOSECOND),
    (c.THROTTLE_TIME, ("hw_thermal",), pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN, _NANOSECOND),
    (c.THROTTLE_TIME, ("hw_power_brake",), pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN, _NANOSECOND),
)
_LINKS = {c.NVLINK_BYTES}
_REQUEST = [(number, _ALL_LINKS if metric in _LINKS else 0) for metric, _, number, _ in _FIELDS]

_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
}
_TOO_OLD = frozenset({pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_UNKNOWN})


def fields(gpu: Any, calls: Calls) -> Iterator[Sample]:
    """Counters of links and throttling, and the memory temperature.

    Args:
        gpu: NVML's handle.
        calls: the calls of this sweep.
    """
    answers = calls.ask(pynvml.nvmlDeviceGetFieldValues, gpu, _REQUEST)
    for (metric, labels, _, unit), answer in zip(_FIELDS, answers or (), strict=False):
        if answer.nvmlReturn == pynvml.NVML_SUCCESS:
            yield Sample(metric, _number(answer) / unit, labels)
        elif answer.nvmlReturn not in _TOO_OLD:  # a driver answers so for a field that it does not know yet
            calls.record_error(answer.nvmlReturn)


def _number(answer: ctypes.Structure) -> float:
    """The value in the union member that its type names; -1, which is dropped as impossible, for an unknown type."""
    member = _MEMBERS.get(answer.valueType)
    return -1.0 if member is None else float(getattr(answer.value, member))
