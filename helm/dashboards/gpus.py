"""What is the state of each GPU?"""

from helm.dashboards import gpu_work
from helm.dashboards.board import Board, of_devices
from helm.dashboards.panels import COUNT, RATIO, WATTS, Panel, lines, number, rows, states
from helm.dashboards.queries import card, rate

_GPU, _BY = "{{node}} GPU {{gpu}}", "by (cluster, node, gpu)"
_VERDICTS = {"0": "healthy", "1": "reset it", "2": "drain it"}
_REASONS = 'reason!="gpu_idle"'
_SINCE_LOAD, _SM = 'counter="volatile"', 'clock="sm"'

_OVERVIEW: tuple[Panel, ...] = (
    number(
        "GPUs",
        f"count(max {_BY} ({card('gpuwise_gpu_card_info')}))",
        COUNT,
        "GPUs that respond, not counting MIG instances.",
    ),
    number(
        "Lost GPUs",
        f"sum(1 - {card('gpuwise_gpu_up')})",
        COUNT,
        "GPUs that responded before and no longer do: see the runbook, GpuwiseGpuLost.",
    ),
    number(
        "GPUs to drain",
        f"sum(max {_BY} ({card('gpuwise_device_health')}) == bool 2)",
        COUNT,
        "GPUs that must not be used any more: see the runbook, GpuwiseGpuNeedsDrain.",
    ),
    number(
        "GPUs to reset",
        f"sum(max {_BY} ({card('gpuwise_device_health')}) == bool 1)",
        COUNT,
        "GPUs with a repair that takes effect at the next reset.",
    ),
    number(
        "Smallest temperature margin",
        f"min({card('gpuwise_gpu_temperature_margin_celsius')})",
        "celsius",
        "Degrees to the temperature at which the clocks are reduced, of the warmest GPU.",
    ),
    number(
        "Power",
        f"sum(max by (cluster, node, device_uuid) ({card('gpuwise_gpu_power_watts')}))",
        WATTS,
        "Power draw of all boards.",
    ),
)
_HEALTH: tuple[Panel, ...] = (
    states(
        "Health",
        f"max {_BY} ({card('gpuwise_device_health')})",
        _GPU,
        _VERDICTS,
        "The exporter's verdict on each GPU.",
    ),
    rows(
        "Reasons of the verdicts",
        f"sort_desc(max by (cluster, node, gpu, device_uuid, reason) ({card('gpuwise_device_health')}))",
        "none",
        "0 healthy, 1 reset it in the next maintenance window, 2 drain it now.",
    ),
    rows(
        "XID errors",
        f"sort_desc(max by (cluster, node, gpu, device_uuid, xid) ({card('gpuwise_gpu_xid_errors_total')}))",
        COUNT,
        "Errors since the exporter started, by code. The runbook has the meaning of the codes.",
    ),
    lines(
        "ECC errors",
        f"sum by (cluster, node, gpu, severity) ({rate(card('gpuwise_gpu_ecc_errors_total', _SINCE_LOAD))})",
        f"{_GPU} {{{{severity}}}}",
        "cps",
        "Memory errors per second that ECC corrected, or could not correct.",
    ),
    rows(
        "Remapped memory rows",
        f"sort_desc(max by (cluster, node, gpu, cause) ({card('gpuwise_gpu_remapped_rows_total')}))",
        COUNT,
        "Defective rows that were replaced over the board's lifetime, by cause.",
    ),
    rows(
        "Repairs that wait for a reset",
        f"sort_desc(max by (cluster, node, gpu, repair) ({card('gpuwise_gpu_repair_pending')}))",
        "none",
        "1 if the repair takes effect at the next reset of the GPU.",
    ),
)
_HEAT: tuple[Panel, ...] = (
    lines(
        "Temperature",
        f"max by (cluster, node, gpu, sensor) ({card('gpuwise_gpu_temperature_celsius')})",
        f"{_GPU} {{{{sensor}}}}",
        "celsius",
        "Temperature of the GPU and, where the board reports it, of its memory.",
    ),
    lines(
        "Temperature margin",
        f"min {_BY} ({card('gpuwise_gpu_temperature_margin_celsius')})",
        _GPU,
        "celsius",
        "Degrees to the temperature at which the clocks are reduced; negative above it.",
    ),
    rows(
        "Temperature limits",
        f"max by (cluster, node, gpu, threshold) ({card('gpuwise_gpu_temperature_threshold_celsius')})",
        "celsius",
        "Temperatures at which the board slows down or shuts down, and the highest for normal operation.",
    ),
    lines("Fan speed", f"max {_BY} ({card('gpuwise_gpu_fan_speed_ratio')})", _GPU, RATIO, "Target speed of the fans."),
)
_POWER: tuple[Panel, ...] = (
    lines("Power by GPU", f"max {_BY} ({card('gpuwise_gpu_power_watts')})", _GPU, WATTS, "Power draw of the board."),
    lines(
        "Power relative to the limit",
        f"max {_BY} ({card('gpuwise_gpu_power_watts')}) / max {_BY} ({card('gpuwise_gpu_power_limit_watts')})",
        _GPU,
        RATIO,
        "At 100 % the driver reduces the clocks to stay within the enforced limit.",
    ),
    lines(
        "Power of modules",
        f"max {_BY} ({card('gpuwise_gpu_module_power_watts')})",
        _GPU,
        WATTS,
        "GPU, memory and, on Grace superchips, CPU together.",
    ),
    lines(
        "Power of the memory",
        f"max {_BY} ({card('gpuwise_gpu_memory_power_watts')})",
        _GPU,
        WATTS,
        "The part of the board's power draw that its memory uses.",
    ),
)
_CLOCKS: tuple[Panel, ...] = (
    lines(
        "Clocks",
        f"max by (cluster, node, gpu, clock) ({card('gpuwise_gpu_clock_hertz')})",
        f"{_GPU} {{{{clock}}}}",
        "hertz",
        "Current clock frequencies.",
    ),
    lines(
        "SM clock relative to its maximum",
        f"max {_BY} ({card('gpuwise_gpu_clock_hertz', _SM)}) / max {_BY} ({card('gpuwise_gpu_clock_max_hertz', _SM)})",
        _GPU,
        RATIO,
        "A busy GPU far below 100 % is throttled.",
    ),
    lines(
        "Time with reduced clocks",
        f"max by (cluster, node, gpu, reason) ({rate(card('gpuwise_gpu_throttle_seconds_total'))})",
        f"{_GPU} {{{{reason}}}}",
        RATIO,
        "Share of time in which the clocks were reduced, by reason.",
    ),
    rows(
        "Reasons for reduced clocks now",
        f"sort_desc(max by (cluster, node, gpu, reason) ({card('gpuwise_gpu_throttle_reason', _REASONS)}))",
        "none",
        "1 while the clocks are reduced for this reason. sw_power_cap is normal under load.",
    ),
)
_LINKS: tuple[Panel, ...] = (
    lines(
        "NVLink throughput",
        f"max by (cluster, node, gpu, direction) ({rate(card('gpuwise_gpu_nvlink_bytes_total'))})",
        f"{_GPU} {{{{direction}}}}",
        "Bps",
        "Payload over all NVLinks of the GPU.",
    ),
    lines(
        "NVLink errors",
        f"max by (cluster, node, gpu, kind) ({rate(card('gpuwise_gpu_nvlink_errors_total'))})",
        f"{_GPU} {{{{kind}}}}",
        "cps",
        "Errors per second on all NVLinks of the GPU, by type.",
    ),
    lines(
        "PCIe throughput",
        f"max by (cluster, node, gpu, direction) ({rate(card('gpuwise_gpu_pcie_bytes_total'))})",
        f"{_GPU} {{{{direction}}}}",
        "Bps",
        "Bytes sent and received over PCIe, as seen by the GPU.",
    ),
    lines(
        "PCIe replays",
        f"max {_BY} ({rate(card('gpuwise_gpu_pcie_replays_total'))})",
        _GPU,
        "cps",
        "Packets per second that were sent again; a steady rate means a bad connection.",
    ),
    rows(
        "PCIe generation",
        f"max {_BY} ({card('gpuwise_gpu_pcie_link_generation')})",
        "none",
        "Generation in use; an idle GPU can use a lower one to save power.",
    ),
    rows(
        "PCIe lanes",
        f"max {_BY} ({card('gpuwise_gpu_pcie_link_width')})",
        "none",
        "Lanes in use; fewer than the GPUs beside it means a bad connection.",
    ),
)

BOARD = Board(
    name="gpus",
    title="GPUs",
    description="The state of each GPU: health, errors, temperature, power, clocks, links, and the pods that use it.",
    source="gpuwise_exporter_build_info",
    rows=(
        ("Overview", _OVERVIEW),
        ("Health", _HEALTH),
        ("Activity and memory", gpu_work.ACTIVITY),
        ("Temperature", _HEAT),
        ("Power", _POWER),
        ("Clocks", _CLOCKS),
        ("Links", _LINKS),
        ("By pod", gpu_work.BY_POD),
    ),
    variables=of_devices("node", "gpu"),
)
