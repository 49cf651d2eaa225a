"""The fields of DCGM that gpuwise can serve: names, units and types.

Sources: dcgm-exporter's etc/default-counters.csv (names to 4.8, types), DCGM's dcgm_fields.h (units, names since 4.9).
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Kind

MIB, KIB_PER_MS = 2.0**20, 1024e3
_MEGA, _PERCENT, _MILLI, _NANO = 1e6, 0.01, 1e-3, 1e-9
_UNITS = {MIB: "in MiB", _MEGA: "in MHz", _PERCENT: "in %", _MILLI: "in mJ", _NANO: "in ns", KIB_PER_MS: "in MB/s"}

FREE, USED_RATIO = "memory free", "memory used, as a ratio"
REASONS, RECOVERY, NVLINK = "clock event reasons", "recovery action", "NVLink throughput"
"""Values that are computed from several samples."""

REASON_BITS = {
    "gpu_idle": 0x1, "applications_clocks": 0x2, "sw_power_cap": 0x4, "hw_slowdown": 0x8, "sync_boost": 0x10,
    "sw_thermal": 0x20, "hw_thermal": 0x40, "hw_power_brake": 0x80, "display_clock": 0x100,
}  # fmt: skip
"""DCGM_CLOCKS_EVENT_REASON_* (dcgm_fields.h)."""
RECOVERY_NUMBERS = {action: number for number, action in enumerate(c.RECOVERY_ACTIONS)}
"""nvmlDeviceGpuRecoveryAction_t (nvml.h), by the names of `catalogue.RECOVERY_ACTION`."""


class Rows(StrEnum):
    """Which rows a field has on a shared device."""

    SPLIT = "split"
    """The containers' parts, and the rest without a pod: they sum to the device."""
    ONCE = "once"
    """One row without a pod."""
    EACH = "each"
    """The same value for each container, because it describes the card."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        key: the metric of gpuwise, with its label values if it has several series; or a computed value.
        old: name up to 4.8, without the prefix DCGM_FI_; empty if there is none.
        new: name since 4.9; empty if there is none, the same as `old` if it did not change.
        text: help text.
        unit: one unit of the old name, in the unit of gpuwise. The unit of the new name is that of gpuwise.
        kind: its type in dcgm-exporter.
        rows: which rows it has on a shared device.
        on_instances: whether each MIG instance shows the value of its card.
    """

    key: object
    old: str
    new: str
    text: str
    unit: float = 1.0
    kind: Kind = Kind.GAUGE
    rows: Rows = Rows.EACH
    on_instances: bool = False

    @property
    def old_help(self) -> str:
        """Help text with the unit of the old name."""
        return f"{self.text} ({_UNITS[self.unit]})." if self.unit in _UNITS else f"{self.text}."


def _counters(*fields: Field) -> tuple[Field, ...]:
    return tuple(replace(field, kind=Kind.COUNTER) for field in fields)


def _split(*fields: Field) -> tuple[Field, ...]:
    return tuple(replace(field, rows=Rows.SPLIT) for field in fields)


def _once(*fields: Field) -> tuple[Field, ...]:
    return tuple(replace(field, rows=Rows.ONCE) for field in fields)


def _on_instances(*fields: Field) -> tuple[Field, ...]:
    return tuple(replace(field, on_instances=True) for field in fields)


def _violation(reason: str, name: str, text: str) -> Field:
    new = f"DEV_GPU_{name}_THROTTLE_SECONDS_TOTAL"
    return Field((c.THROTTLE_TIME, reason), f"DEV_{name}_VIOLATION", new, f"Throttling by {text}", _NANO)


# fmt: off
# ruff: noqa: E501 - one field per line
FIELDS: tuple[Field, ...] = (
    *_split(
        Field(c.UTILIZATION, "DEV_GPU_UTIL", "DEV_GPU_UTIL_RATIO", "GPU utilization", _PERCENT),
        Field(c.MEMORY_USED, "DEV_FB_USED", "DEV_FB_USED_BYTES", "Framebuffer memory used", MIB),
        Field(c.GRAPHICS_ACTIVITY, "PROF_GR_ENGINE_ACTIVE", "PROF_GR_ENGINE_UTIL_RATIO", "Ratio of time the graphics engine is active"),
        Field(c.SM_ACTIVITY, "PROF_SM_ACTIVE", "PROF_SM_UTIL_RATIO", "Ratio of cycles an SM has at least one warp assigned"),
        Field(c.SM_OCCUPANCY, "PROF_SM_OCCUPANCY", "PROF_SM_OCCUPANCY_RATIO", "Ratio of warps resident on an SM"),
        Field(c.TENSOR_ACTIVITY, "PROF_PIPE_TENSOR_ACTIVE", "PROF_TENSOR_UTIL_RATIO", "Ratio of cycles the tensor pipe is active"),
        Field(c.DRAM_ACTIVITY, "PROF_DRAM_ACTIVE", "PROF_DRAM_UTIL_RATIO", "Ratio of cycles the device memory interface is active"),
    ),
    *_once(
        Field(c.POWER, "DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS", "Power draw in watts"),
        Field(FREE, "DEV_FB_FREE", "DEV_FB_FREE_BYTES", "Framebuffer memory free", MIB),
        Field(c.MEMORY_RESERVED, "DEV_FB_RESERVED", "DEV_FB_RESERVED_BYTES", "Framebuffer memory reserved", MIB),
        Field(c.MEMORY_TOTAL, "DEV_FB_TOTAL", "DEV_FB_CAPACITY_BYTES", "Framebuffer memory", MIB),
        *_counters(
            Field(c.ENERGY, "DEV_TOTAL_ENERGY_CONSUMPTION", "DEV_GPU_ENERGY_JOULES_TOTAL", "Energy since the driver was loaded", _MILLI),
        ),
    ),
    Field(USED_RATIO, "DEV_FB_USED_PERCENT", "DEV_FB_USED_RATIO", "Framebuffer memory used, as a ratio 0 to 1 of what is not reserved"),
    *_on_instances(
        Field((c.CLOCK, "sm"), "DEV_SM_CLOCK", "DEV_SM_CLOCK_HERTZ", "SM clock frequency", _MEGA),
        Field((c.CLOCK, "memory"), "DEV_MEM_CLOCK", "DEV_MEMORY_CLOCK_HERTZ", "Memory clock frequency", _MEGA),
        Field((c.TEMPERATURE, "gpu"), "DEV_GPU_TEMP", "DEV_GPU_TEMP_CELSIUS", "GPU temperature"),
        Field((c.TEMPERATURE, "memory"), "DEV_MEMORY_TEMP", "DEV_MEMORY_TEMP_CELSIUS", "Memory temperature"),
        Field(c.XID_LAST, "DEV_XID_ERRORS", "DEV_XID_ERROR", "Last XID error, 0 if there was none"),
    ),
    Field((c.ENGINE_UTILIZATION, "memory_copy"), "DEV_MEM_COPY_UTIL", "DEV_MEMORY_UTIL_RATIO", "Memory utilization", _PERCENT),
    Field((c.ENGINE_UTILIZATION, "encoder"), "DEV_ENC_UTIL", "DEV_ENC_UTIL_RATIO", "Encoder utilization", _PERCENT),
    Field((c.ENGINE_UTILIZATION, "decoder"), "DEV_DEC_UTIL", "DEV_DEC_UTIL_RATIO", "Decoder utilization", _PERCENT),
    Field((c.CLOCK, "video"), "DEV_VIDEO_CLOCK", "DEV_VIDEO_CLOCK_HERTZ", "Video clock frequency", _MEGA),
    Field((c.CLOCK_MAX, "sm"), "DEV_MAX_SM_CLOCK", "DEV_SM_MAX_CLOCK_HERTZ", "Maximum SM clock frequency", _MEGA),
    Field((c.CLOCK_MAX, "memory"), "DEV_MAX_MEM_CLOCK", "DEV_MEMORY_MAX_CLOCK_HERTZ", "Maximum memory clock frequency", _MEGA),
    Field((c.CLOCK_MAX, "video"), "DEV_MAX_VIDEO_CLOCK", "DEV_VIDEO_MAX_CLOCK_HERTZ", "Maximum video clock frequency", _MEGA),
    Field(REASONS, "DEV_CLOCKS_EVENT_REASONS", "DEV_CLOCKS_EVENT_REASONS", "Reasons for the current clocks, as a bit mask"),
    Field(REASONS, "DEV_CLOCK_THROTTLE_REASONS", "", "Reasons for the current clocks, as a bit mask"),
    Field(c.PERFORMANCE_STATE, "DEV_PSTATE", "DEV_GPU_PSTATE", "Performance state, 0 is the highest"),
    Field(c.FAN_SPEED, "DEV_FAN_SPEED", "DEV_FAN_SPEED_RATIO", "Fan speed", _PERCENT),
    Field((c.TEMPERATURE_THRESHOLD, "slowdown"), "DEV_SLOWDOWN_TEMP", "DEV_GPU_TEMP_SLOWDOWN_CELSIUS", "Temperature of slowdown"),
    Field((c.TEMPERATURE_THRESHOLD, "shutdown"), "DEV_SHUTDOWN_TEMP", "DEV_GPU_TEMP_SHUTDOWN_CELSIUS", "Temperature of shutdown"),
    Field((c.TEMPERATURE_THRESHOLD, "gpu_max"), "DEV_GPU_MAX_OP_TEMP", "DEV_GPU_MAX_OP_TEMP_CELSIUS", "Maximum operating temperature of the GPU"),
    Field((c.TEMPERATURE_THRESHOLD, "memory_max"), "DEV_MEM_MAX_OP_TEMP", "DEV_MEMORY_MAX_OP_TEMP_CELSIUS", "Maximum operating temperature of the memory"),
    Field(c.TEMPERATURE_MARGIN, "DEV_GPU_TEMP_LIMIT", "DEV_GPU_TEMP_MARGIN_CELSIUS", "Degrees below the nearest slowdown threshold"),
    Field(c.POWER_LIMIT, "DEV_ENFORCED_POWER_LIMIT", "DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS", "Power limit that the driver enforces, in watts"),
    Field((c.POWER_LIMIT_SETTING, "requested"), "DEV_POWER_MGMT_LIMIT", "DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS", "Power limit that is set, in watts"),
    Field((c.POWER_LIMIT_SETTING, "minimum"), "DEV_POWER_MGMT_LIMIT_MIN", "DEV_BOARD_POWER_LIMIT_MIN_WATTS", "Minimum power limit in watts"),
    Field((c.POWER_LIMIT_SETTING, "maximum"), "DEV_POWER_MGMT_LIMIT_MAX", "DEV_BOARD_POWER_LIMIT_MAX_WATTS", "Maximum power limit in watts"),
    Field((c.POWER_LIMIT_SETTING, "default"), "DEV_POWER_MGMT_LIMIT_DEF", "DEV_BOARD_POWER_LIMIT_DEFAULT_WATTS", "Default power limit in watts"),
    Field((c.PCIE_RATE, "transmit"), "PROF_PCIE_TX_BYTES", "PROF_PCIE_TX_BYTES", "Bytes per second transmitted over PCIe"),
    Field((c.PCIE_RATE, "receive"), "PROF_PCIE_RX_BYTES", "PROF_PCIE_RX_BYTES", "Bytes per second received over PCIe"),
    Field(c.PCIE_GENERATION, "DEV_PCIE_LINK_GEN", "DEV_PCIE_LINK_GEN", "PCIe generation in use"),
    Field(c.PCIE_WIDTH, "DEV_PCIE_LINK_WIDTH", "DEV_PCIE_LINK_WIDTH", "PCIe lanes in use"),
    Field((c.NVLINK_RATE, "transmit"), "PROF_NVLINK_TX_BYTES", "PROF_NVLINK_TX_BYTES", "Bytes per second transmitted over NVLink"),
    Field((c.NVLINK_RATE, "receive"), "PROF_NVLINK_RX_BYTES", "PROF_NVLINK_RX_BYTES", "Bytes per second received over NVLink"),
    Field(c.ECC_MODE, "DEV_ECC_CURRENT", "DEV_ECC_MODE", "Whether ECC is enabled"),
    Field(c.REMAP_FAILED, "DEV_ROW_REMAP_FAILURE", "DEV_ROW_REMAP_FAILED", "Whether remapping of rows has failed"),
    Field(c.REMAP_PENDING, "DEV_ROW_REMAP_PENDING", "DEV_ROW_REMAP_PENDING", "Whether remapping of rows is pending"),
    Field(c.SRAM_THRESHOLD, "DEV_THRESHOLD_SRM", "DEV_SRAM_EXCEEDED", "Whether the SRAM error threshold is exceeded"),
    Field(RECOVERY, "DEV_GPU_RECOVERY_ACTION", "DEV_GPU_RECOVERY_ACTION", "Recovery action that the driver asks for, by NVML's number"),
    Field(c.MIG_MODE, "DEV_MIG_MODE", "DEV_MIG_MODE", "Whether MIG is enabled"),
    Field(c.COMPUTE_MODE, "DEV_COMPUTE_MODE", "DEV_GPU_COMPUTE_MODE", "Compute mode"),
    *_counters(
        Field(NVLINK, "DEV_NVLINK_BANDWIDTH_TOTAL", "", "NVLink throughput in both directions", KIB_PER_MS),
        Field(c.PCIE_REPLAYS, "DEV_PCIE_REPLAY_COUNTER", "DEV_PCIE_REPLAY_TOTAL", "PCIe retries"),
        Field((c.ECC_ERRORS, "corrected", "volatile"), "DEV_ECC_SBE_VOL_TOTAL", "DEV_ECC_SBE_VOL_TOTAL", "Single-bit volatile ECC errors"),
        Field((c.ECC_ERRORS, "uncorrected", "volatile"), "DEV_ECC_DBE_VOL_TOTAL", "DEV_ECC_DBE_VOL_TOTAL", "Double-bit volatile ECC errors"),
        Field((c.ECC_ERRORS, "corrected", "aggregate"), "DEV_ECC_SBE_AGG_TOTAL", "DEV_ECC_SBE_AGG_TOTAL", "Single-bit persistent ECC errors"),
        Field((c.ECC_ERRORS, "uncorrected", "aggregate"), "DEV_ECC_DBE_AGG_TOTAL", "DEV_ECC_DBE_AGG_TOTAL", "Double-bit persistent ECC errors"),
        Field((c.REMAPPED_ROWS, "uncorrected"), "DEV_UNCORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", "Remapped rows for uncorrectable errors"),
        Field((c.REMAPPED_ROWS, "corrected"), "DEV_CORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_CORRECTABLE_TOTAL", "Remapped rows for correctable errors"),
        Field((c.RETIRED_PAGES, "single_bit"), "DEV_RETIRED_SBE", "DEV_PAGE_RETIRED_SBE_TOTAL", "Pages retired for single-bit errors"),
        Field((c.RETIRED_PAGES, "double_bit"), "DEV_RETIRED_DBE", "DEV_PAGE_RETIRED_DBE_TOTAL", "Pages retired for double-bit errors"),
        Field(c.RETIREMENT_PENDING, "DEV_RETIRED_PENDING", "DEV_PAGE_RETIRED_PENDING", "Whether pages are pending retirement"),
        Field((c.NVLINK_ERRORS, "crc_flit"), "DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "DEV_NVLINK_CRC_FLIT_ERROR_TOTAL", "NVLink flow-control CRC errors"),
        Field((c.NVLINK_ERRORS, "crc_data"), "DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "DEV_NVLINK_CRC_DATA_ERROR_TOTAL", "NVLink data CRC errors"),
        Field((c.NVLINK_ERRORS, "replay"), "DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "DEV_NVLINK_REPLAY_ERROR_TOTAL", "NVLink retries"),
        Field((c.NVLINK_ERRORS, "recovery"), "DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "DEV_NVLINK_RECOVERY_ERROR_TOTAL", "NVLink recovery errors"),
        _violation("sw_power_cap", "POWER", "power constraints"),
        _violation("thermal", "THERMAL", "thermal constraints"),
        _violation("sync_boost", "SYNC_BOOST", "sync boost"),
        _violation("board_limit", "BOARD_LIMIT", "the board's limit"),
        _violation("low_utilization", "LOW_UTIL", "low utilization"),
        _violation("reliability", "RELIABILITY", "reliability constraints"),
        Field((c.THROTTLE_TIME, "sw_thermal"), "DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", "", "Slowdown by software for temperature", _NANO),
        Field((c.THROTTLE_TIME, "hw_thermal"), "DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS", "", "Slowdown by hardware for temperature", _NANO),
        Field((c.THROTTLE_TIME, "hw_power_brake"), "DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS", "", "Slowdown by the power brake", _NANO),
    ),
)
