"""Values of a board that NVML returns as field values: one call for all of them."""

import ctypes
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.nvml.library import Calls, as_plain

# How many NVML units make one of ours.
_KIB, _MILLI, _NANOSECOND = 2.0**-10, 1e3, 1e9
# The scope 2**32 - 1 asks NVLink counters for the sum over links (nvml.h, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX).
_ALL_LINKS = 2**32 - 1
# Scopes of power (nvml.h, NVML_POWER_SCOPE_*).
_MODULE, _MEMORY = 1, 2


class _Field(NamedTuple):
    """One field: the metric and its labels, NVML's id and scope, and how many NVML units make one of the metric's."""

    metric: Metric
    labels: tuple[str, ...]
    number: int
    unit: float = 1.0
    scope: int = 0


_FIELDS: tuple[_Field, ...] = (
    _Field(c.TEMPERATURE, ("memory",), pynvml.NVML_FI_DEV_MEMORY_TEMP),
    _Field(c.PCIE_REPLAYS, (), pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER),
    _Field(c.PCIE_BYTES, ("transmit",), pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES),
    _Field(c.PCIE_BYTES, ("receive",), pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES),
    _Field(c.NVLINK_LINKS, (), pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT),
    _Field(c.NVLINK_BYTES, ("transmit",), pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _KIB, _ALL_LINKS),
    _Field(c.NVLINK_BYTES, ("receive",), pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _KIB, _ALL_LINKS),
    _Field(c.NVLINK_ERRORS, ("crc_flit",), pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
    _Field(c.NVLINK_ERRORS, ("crc_data",), pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
    _Field(c.NVLINK_ERRORS, ("replay",), pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL),
    _Field(c.NVLINK_ERRORS, ("recovery",), pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
    _Field(c.RETIRED_PAGES, ("single_bit",), pynvml.NVML_FI_DEV_RETIRED_SBE),
    _Field(c.RETIRED_PAGES, ("double_bit",), pynvml.NVML_FI_DEV_RETIRED_DBE),
    _Field(c.RETIREMENT_PENDING, (), pynvml.NVML_FI_DEV_RETIRED_PENDING),
    _Field(c.THROTTLE_TIME, ("sw_power_cap",), pynvml.NVML_FI_DEV_PERF_POLICY_POWER, _NANOSECOND),
    _Field(c.THROTTLE_TIME, ("thermal",), pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, _NANOSECOND),
    _Field(c.THROTTLE_TIME, ("sync_boost",), pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST, _NANOSECOND),
    _Field(c.THROTTLE_TIME, ("board_limit",), pynvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT, _NANOSECOND),
    _Field(c.THROTTLE_TIME, ("low_utilization",), pynvml.NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION, _NANOSECOND),
    _Field(c.THROTTLE_TIME, ("reliability",), pynvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY, _NANOSECOND),
    _Field(c.RECOVERY_ACTION, (), 230),  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
)
# A driver that does not know scopes of power would answer with the board's power for each.
_SCOPED_POWER_FROM = (550, 0)
_SCOPED_POWER = (
    _Field(c.MODULE_POWER, (), pynvml.NVML_FI_DEV_POWER_INSTANT, _MILLI, _MODULE),
    _Field(c.MEMORY_POWER, (), pynvml.NVML_FI_DEV_POWER_INSTANT, _MILLI, _MEMORY),
)
# Times of three more reasons have consecutive ids that a driver branch moved: the ids that one branch uses for them are
# power smoothing settings in the next. Of a driver in between, or of an unknown version, they are not asked.
_EVENT_REASONS = ("sw_thermal", "hw_thermal", "hw_power_brake")
_EVENT_REASON_IDS = (((580, 82), None, 269), ((575, 51), (580, 65), 251))
"""First driver, last driver (None: none yet), and the first of the three ids."""
_VERSION = re.compile(r"^(\d+)\.(\d+)")
_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
}
_TOO_OLD = frozenset({pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_UNKNOWN})


class FieldRequest:
    """The fields that a driver has, asked for in one call.

    Args:
        driver: its version, such as "580.82.07"; empty if it is not known.
    """

    def __init__(self, driver: str) -> None:
        version = _version(driver)
        first = event_reason_id(version)
        reasons = () if first is None else enumerate(_EVENT_REASONS, first)
        self._fields = (
            *_FIELDS,
            *(_SCOPED_POWER if version is not None and version >= _SCOPED_POWER_FROM else ()),
            *(_Field(c.THROTTLE_TIME, (reason,), number, _NANOSECOND) for number, reason in reasons),
        )
        self._request = [(field.number, field.scope) for field in self._fields]
        # ctypes finds the type of the array again as long as somebody keeps it; otherwise each call makes a new class.
        self._array = pynvml.c_nvmlFieldValue_t * len(self._request)

    def samples(self, gpu: Any, calls: Calls) -> Iterator[Sample]:
        """Counters of links and throttling, memory temperature, power of module and memory, recovery action.

        Args:
            gpu: NVML's handle.
            calls: the calls of this sweep.
        """
        answers = calls.ask(pynvml.nvmlDeviceGetFieldValues, gpu, self._request)
        for field, answer in zip(self._fields, () if answers is None else as_plain(answers), strict=False):
            if answer.nvmlReturn == pynvml.NVML_SUCCESS:
                yield from _samples(field, _number(answer))
            elif answer.nvmlReturn not in _TOO_OLD:  # a driver answers so for a field that it does not know yet
                calls.record_error(answer.nvmlReturn)


def event_reason_id(version: tuple[int, int] | None) -> int | None:
    """The first of the ids of the times of three clock event reasons; None if the driver has none, or an unknown one.

    Args:
        version: of the driver, branch and release; None if it is not known.
    """
    if version is None:
        return None
    fitting = (
        number for first, last, number in _EVENT_REASON_IDS if first <= version and (not last or version <= last)
    )
    return next(fitting, None)


def _version(driver: str) -> tuple[int, int] | None:
    found = _VERSION.match(driver)
    return (int(found[1]), int(found[2])) if found else None


def _samples(field: _Field, number: float) -> Iterator[Sample]:
    if field.metric is not c.RECOVERY_ACTION:
        yield Sample(field.metric, number / field.unit, field.labels)
    elif number < 0:
        yield Sample(c.RECOVERY_ACTION, number, ("none",))  # of an unknown type: dropped and counted
    elif number < len(c.RECOVERY_ACTIONS):
        for code, action in enumerate(c.RECOVERY_ACTIONS):
            yield Sample(c.RECOVERY_ACTION, float(code == number), (action,))
    else:  # an action that this version does not know: it is not "none"
        yield Sample(c.RECOVERY_ACTION, 0.0, ("none",))


def _number(answer: ctypes.Structure) -> float:
    """The value in the union member that its type names; -1, which is dropped as impossible, for an unknown type."""
    member = _MEMBERS.get(answer.valueType)
    return -1.0 if member is None else float(getattr(answer.value, member))
