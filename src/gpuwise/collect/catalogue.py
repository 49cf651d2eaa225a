"""Every metric of the exporter, in the order of the page; the series limit removes metrics from the end.

Maximum values are above any board sold by 2026 and below NVML's sentinels (4294967295, and 2**63 and more: DCGM#199,
gpu-monitoring-tools#92).
"""

from gpuwise.collect.metric import Kind, Metric, Scope

TIB = float(2**40)
_MOST_WATTS = 1e4
# 1e12 J is 10 kW for three years, and NVML's sentinel is 1.8e16 J; 1e18 B is a terabyte a second for eleven days.
_MOST_JOULES, _MOST_BYTES = 1e12, 1e18
# An event counter of 2**32 - 1 is NVML's "unknown" value of an unsigned int.
_MOST_EVENTS = 2.0**32 - 2

GPM = "gpm"
"""Hardware counters between two sweeps, from NVML's GPM; Hopper and later."""
RATES = "utilization_rates"
"""The driver's sampling over its last period, 1/6 s to 1 s: whether any kernel ran."""
PROCESSES = "process_samples"
"""The driver's samples of each process since the last sweep, added up."""
SOURCES = (GPM, RATES, PROCESSES)


def _device(name: str, text: str, *, highest: float = 1.0, kind: Kind = Kind.GAUGE, sourced: bool = False) -> Metric:
    labels = ("source",) if sourced else ()
    return Metric(f"gpuwise_gpu_{name}", text, Scope.DEVICE, kind, labels, highest=highest)


def _card(
    name: str,
    text: str,
    *labels: str,
    highest: float = 1.0,
    lowest: float = 0.0,
    kind: Kind = Kind.GAUGE,
    most: int = 1,
) -> Metric:
    return Metric(f"gpuwise_gpu_{name}", text, Scope.CARD, kind, labels, most=most, highest=highest, lowest=lowest)


def _part(name: str, text: str, *, highest: float = 1.0, kind: Kind = Kind.GAUGE) -> Metric:
    return Metric(f"gpuwise_container_gpu_{name}", text, Scope.CONTAINER, kind, highest=highest)


def _own(name: str, text: str, *labels: str, kind: Kind = Kind.GAUGE, most: int = 1) -> Metric:
    return Metric(f"gpuwise_exporter_{name}", text, Scope.NODE, kind, labels, most=most)


SAMPLED_AT = _device("sample_timestamp_seconds", "Unix time of the last reading of the device.", highest=1e11)
INFO = _device("info", "1 for each device, and for each container on a shared device.")
UP = _card("up", "1 if the device answered in the last sweep, 0 if it was present before and did not answer.")

SM_ACTIVITY = _device(
    "sm_activity_ratio",
    "Ratio of SMs with at least one resident warp, averaged over time, 0 to 1; Hopper and later.",
    sourced=True,
)
TENSOR_ACTIVITY = _device(
    "tensor_activity_ratio", "Share of time the tensor pipes were active, 0 to 1; Hopper and later.", sourced=True
)
DRAM_ACTIVITY = _device(
    "dram_activity_ratio", "Share of the memory bandwidth in use, 0 to 1; Hopper and later.", sourced=True
)
SM_OCCUPANCY = _device(
    "sm_occupancy_ratio", "Resident warps divided by the maximum, 0 to 1; Hopper and later.", sourced=True
)
GRAPHICS_ACTIVITY = _device(
    "graphics_activity_ratio",
    "Share of time the compute and graphics engine was active, 0 to 1; Hopper and later.",
    sourced=True,
)
UTILIZATION = _device(
    "utilization_ratio", "Share of time any kernel ran, 0 to 1; absent on a GPU in MIG mode.", sourced=True
)
PROCESS_SM = _device(
    "process_sm_utilization_ratio",
    "Share of time the kernels of all processes ran, summed over processes, 0 to 1; absent if the driver saw none.",
    sourced=True,
)
MEMORY_USED = _device(
    "memory_used_bytes", "Framebuffer in use; on a shared device, each container's part and the rest.", highest=TIB
)
MEMORY_TOTAL = _device("memory_total_bytes", "Framebuffer size.", highest=TIB)
MEMORY_RESERVED = _device("memory_reserved_bytes", "Framebuffer reserved by the driver.", highest=TIB)
POWER = _device("power_watts", "Power draw of the whole board.", highest=_MOST_WATTS)
ENERGY = _device(
    "energy_joules_total",
    "Energy used by the whole board since the driver was loaded.",
    highest=_MOST_JOULES,
    kind=Kind.COUNTER,
)
PROCESS_COUNT = _device("processes", "Compute processes with a context, including MPS clients.", highest=1e6)
IDLE = _device(
    "idle_seconds",
    "Seconds since a kernel was last seen running, or since monitoring began; a gap in the samples resets it.",
    highest=1e10,
)
PROCESSLESS = _device(
    "processless_seconds", "Seconds since the device last had a compute process; 0 while it has one.", highest=1e10
)

PART_UTILIZATION = _part("utilization_ratio", "The container's part of gpuwise_gpu_utilization_ratio.")
PART_SM_ACTIVITY = _part("sm_activity_ratio", "The container's part of gpuwise_gpu_sm_activity_ratio.")
PART_MEMORY = _part("memory_used_bytes", "The container's part of gpuwise_gpu_memory_used_bytes.", highest=TIB)
PART_POWER = _part("power_watts", "The container's part of the board's power draw.", highest=_MOST_WATTS)
PART_ENERGY = _part(
    "energy_joules_total",
    "The container's part of the board's energy since the exporter first saw the container on it.",
    highest=_MOST_JOULES,
    kind=Kind.COUNTER,
)

CARD_INFO = _card("card_info", "Location of the card: PCI address and minor number.", "pci_bus_id", "minor")
MIG_INFO = _card(
    "mig_info",
    "1 for each MIG instance, with its card, profile, ids and memory slices.",
    "card_uuid",
    "mig_profile",
    "gpu_instance_id",
    "compute_instance_id",
    "placement_start",
    "placement_size",
)
ENGINE_UTILIZATION = _card(
    "engine_utilization_ratio", "Share of time an engine other than the SMs was active, 0 to 1.", "engine", most=3
)
POWER_LIMIT = _card("power_limit_watts", "Enforced power limit of the board.", highest=_MOST_WATTS)
POWER_LIMIT_SETTING = _card(
    "power_limit_setting_watts",
    "Power limits that can be set or are set: minimum, maximum, default and requested.",
    "setting",
    highest=_MOST_WATTS,
    most=4,
)
MODULE_POWER = _card(
    "module_power_watts", "Power draw of the module: GPU, memory and, on Grace superchips, CPU.", highest=_MOST_WATTS
)
MEMORY_POWER = _card("memory_power_watts", "Power draw of the board's memory.", highest=_MOST_WATTS)
TEMPERATURE = _card("temperature_celsius", "Temperature by sensor.", "sensor", highest=200.0, most=2)
TEMPERATURE_THRESHOLD = _card(
    "temperature_threshold_celsius",
    "Temperatures at which the board slows down or shuts down, and the highest for normal operation.",
    "threshold",
    highest=200.0,
    most=4,
)
TEMPERATURE_MARGIN = _card(
    "temperature_margin_celsius",
    "Degrees below the temperature at which the clocks are reduced; negative above it.",
    highest=200.0,
    lowest=-100.0,
)
FAN_SPEED = _card("fan_speed_ratio", "Target fan speed divided by the maximum, 0 to 1.5.", highest=1.5)
CLOCK = _card("clock_hertz", "Clock frequency.", "clock", highest=1e11, most=4)
CLOCK_MAX = _card("clock_max_hertz", "Highest clock frequency of the board.", "clock", highest=1e11, most=4)
PERFORMANCE_STATE = _card("performance_state", "P-state: 0 is the fastest, 15 the slowest.", highest=15.0)
THROTTLE_REASON = _card("throttle_reason", "1 while the clocks are reduced for this reason, else 0.", "reason", most=9)
THROTTLE_TIME = _card(
    "throttle_seconds_total",
    "Time the clocks were reduced, by reason.",
    "reason",
    highest=1e10,
    kind=Kind.COUNTER,
    most=9,
)
PCIE_BYTES = _card(
    "pcie_bytes_total",
    "Bytes sent and received over PCIe, as seen by the GPU.",
    "direction",
    highest=_MOST_BYTES,
    kind=Kind.COUNTER,
    most=2,
)
PCIE_RATE = _card(
    "pcie_bytes_per_second", "PCIe throughput since the last sweep; Hopper and later.", "direction",
    highest=1e12, most=2,
)  # fmt: skip
PCIE_REPLAYS = _card("pcie_replays_total", "PCIe packets that were resent.", highest=_MOST_EVENTS, kind=Kind.COUNTER)
PCIE_GENERATION = _card("pcie_link_generation", "PCIe generation in use.", highest=16.0)
PCIE_WIDTH = _card("pcie_link_width", "PCIe lanes in use.", highest=64.0)
NVLINK_LINKS = _card("nvlink_links", "Number of NVLinks of the card.", highest=64.0)
NVLINK_BYTES = _card(
    "nvlink_bytes_total", "Payload bytes over all NVLinks, as seen by the GPU.", "direction",
    highest=_MOST_BYTES, kind=Kind.COUNTER, most=2,
)  # fmt: skip
NVLINK_RATE = _card(
    "nvlink_bytes_per_second", "NVLink throughput since the last sweep; Hopper and later.", "direction",
    highest=1e13, most=2,
)  # fmt: skip
NVLINK_ERRORS = _card(
    "nvlink_errors_total", "Errors on all NVLinks, by type.", "kind", highest=_MOST_EVENTS, kind=Kind.COUNTER, most=4
)
ECC_MODE = _card("ecc_mode", "1 if ECC is enabled, 0 if not.")
ECC_ERRORS = _card(
    "ecc_errors_total", "ECC memory errors: volatile since driver load, aggregate over the board's lifetime.",
    "severity", "counter", highest=_MOST_EVENTS, kind=Kind.COUNTER, most=4,
)  # fmt: skip
REMAPPED_ROWS = _card(
    "remapped_rows_total", "Remapped memory rows, by cause.", "cause", highest=1e6, kind=Kind.COUNTER, most=2
)
REMAP_PENDING = _card("row_remap_pending", "1 if a row will be remapped at the next reset.")
REMAP_FAILED = _card("row_remap_failure", "1 if a row could not be remapped: replace the board.")
RETIRED_PAGES = _card(
    "retired_pages_total", "Memory pages retired over the board's lifetime, by cause; before Ampere.", "cause",
    highest=1e6, kind=Kind.COUNTER, most=2,
)  # fmt: skip
RETIREMENT_PENDING = _card("page_retirement_pending", "1 if a page will be retired at the next reset.")
SRAM_THRESHOLD = _card("sram_error_threshold_exceeded", "1 if the board has more SRAM errors than NVIDIA tolerates.")
REPAIR_PENDING = _card("repair_pending", "1 if a repair takes effect at the next reset, by repair.", "repair", most=2)
RECOVERY_ACTIONS = (
    "none",
    "gpu_reset",
    "node_reboot",
    "drain_p2p",
    "drain_and_reset",
    "recover_imex_domain",
    "bus_reset",
    "system_reboot",
)
"""NVML_GPU_RECOVERY_ACTION_*, in the order of their numbers."""
RECOVERY_ACTION = _card(
    "recovery_action", "1 for the action that the driver asks for, 0 for the others.", "action", most=8
)
HEALTH = Metric(
    "gpuwise_device_health",
    "Verdict on the card: 0 healthy, 1 reset it in the next maintenance window, 2 drain it now, for this reason.",
    Scope.CARD,
    labels=("reason",),
    highest=2.0,
)
XID_ERRORS = _card(
    "xid_errors_total",
    "XID errors since the exporter started, by code.",
    "xid",
    highest=1e9,
    kind=Kind.COUNTER,
    most=50,
)
XID_LAST = _card("xid_last_code", "Code of the last XID error; absent before the first.", highest=1e6)
XID_LAST_AT = _card(
    "xid_last_timestamp_seconds", "Unix time of the last XID error of each code.", "xid", highest=1e11, most=50
)
MIG_MODE = _card("mig_mode", "1 if MIG is enabled on the card, 0 if not.")
COMPUTE_MODE = _card("compute_mode", "Compute mode: 0 default, 2 prohibited, 3 exclusive process.", highest=16.0)

COLLECTION_DURATION = _own("collection_duration_seconds", "Duration of the last sweep.")
SNAPSHOT_AGE = _own("snapshot_age_seconds", "Seconds since the last finished sweep began, at the time of the scrape.")
SWEEPS = _own("sweeps_total", "Completed sweeps.", kind=Kind.COUNTER)
ERRORS = _own("errors_total", "Errors during sampling, by code.", "code", kind=Kind.COUNTER, most=32)
DROPPED_VALUES = _own(
    "dropped_values_total", "Values dropped because no board can report them.", "signal", kind=Kind.COUNTER, most=48
)
DRIVER_UP = _own("driver_up", "1 if the driver listed its devices in the last sweep, 0 if not.")
DRIVER_RELOADS = _own("driver_reloads_total", "How often the driver was unloaded and loaded again.", kind=Kind.COUNTER)
DRIVER_INFO = _own("driver_info", "Version of the driver.", "driver_version")
ATTRIBUTION_UP = _own("pod_resources_up", "1 if the kubelet returned the device allocations, 0 if not.")
DROPPED_SERIES = _own(
    "dropped_series", "Series of a metric removed by the series limit, which removes whole metrics.", "metric", most=64
)
SERIES = _own("series", "Series exposed, without the exporter's own.")
BUILD = _own("build_info", "Version of the exporter.", "version")

METRICS: tuple[Metric, ...] = (
    SAMPLED_AT, INFO, UP,
    SM_ACTIVITY, TENSOR_ACTIVITY, DRAM_ACTIVITY, SM_OCCUPANCY, GRAPHICS_ACTIVITY, UTILIZATION, PROCESS_SM,
    MEMORY_USED, MEMORY_TOTAL, MEMORY_RESERVED, POWER, ENERGY, PROCESS_COUNT, IDLE, PROCESSLESS,
    PART_UTILIZATION, PART_SM_ACTIVITY, PART_MEMORY, PART_POWER, PART_ENERGY,
    CARD_INFO, MIG_INFO, MIG_MODE, COMPUTE_MODE, HEALTH, XID_ERRORS, XID_LAST, XID_LAST_AT,
    ECC_MODE, ECC_ERRORS, REMAPPED_ROWS, REMAP_PENDING, REMAP_FAILED, RETIRED_PAGES, RETIREMENT_PENDING,
    SRAM_THRESHOLD, REPAIR_PENDING, RECOVERY_ACTION,
    POWER_LIMIT, POWER_LIMIT_SETTING, MODULE_POWER, MEMORY_POWER,
    TEMPERATURE, TEMPERATURE_MARGIN, TEMPERATURE_THRESHOLD,
    FAN_SPEED, CLOCK, CLOCK_MAX, PERFORMANCE_STATE, THROTTLE_REASON, THROTTLE_TIME, ENGINE_UTILIZATION,
    PCIE_BYTES, PCIE_RATE, PCIE_REPLAYS, PCIE_GENERATION, PCIE_WIDTH,
    NVLINK_LINKS, NVLINK_BYTES, NVLINK_RATE, NVLINK_ERRORS,
)  # fmt: skip
"""Metrics of devices and containers."""

OWN_METRICS: tuple[Metric, ...] = (
    COLLECTION_DURATION, SNAPSHOT_AGE, SWEEPS, ERRORS, DROPPED_VALUES, DRIVER_UP, DRIVER_RELOADS, DRIVER_INFO,
    ATTRIBUTION_UP, SERIES, DROPPED_SERIES, BUILD,
)  # fmt: skip
"""Metrics of the exporter itself; the series limit does not apply to them."""
