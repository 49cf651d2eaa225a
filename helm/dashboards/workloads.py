"""Which GPUs does a workload use, and how well?"""

from helm.dashboards.board import Board, of_devices
from helm.dashboards.panels import BYTES, COUNT, RATIO, SECONDS, WATTS, Panel, lines, number, rows, stacked
from helm.dashboards.queries import pods, rate

_CONTAINER = "{{pod}}/{{container}}"
_BY = "by (namespace, pod, container)"
_PART = (
    f"{pods('gpuwise_container_gpu_sm_activity_ratio')}"
    f" or on (device_uuid, namespace, pod, container) {pods('gpuwise_container_gpu_utilization_ratio')}"
)

_OVERVIEW: tuple[Panel, ...] = (
    number("Pods", f"count(count by (namespace, pod) ({pods('gpuwise_gpu_info')}))", COUNT, "Pods that use a GPU."),
    number(
        "Devices",
        f"count(count by (device_uuid) ({pods('gpuwise_gpu_info')}))",
        COUNT,
        "GPUs and MIG instances that are allocated to the pods; a shared device counts once.",
    ),
    number(
        "GPUs in use",
        f"sum({_PART})",
        COUNT,
        "Sum of the activity: 1.5 devices mean that one and a half would do the same work if they were always busy.",
    ),
    number(
        "Memory in use",
        f"sum({pods('gpuwise_container_gpu_memory_used_bytes')})",
        BYTES,
        "Framebuffer that the containers use.",
    ),
    number(
        "Power",
        f"sum({pods('gpuwise_container_gpu_power_watts')})",
        WATTS,
        "Power draw that is attributed to the containers.",
    ),
    number(
        "Longest idle time",
        f"max({pods('gpuwise_gpu_idle_seconds')})",
        SECONDS,
        "Time since a kernel last ran on the device that has been idle the longest.",
    ),
)
_USE: tuple[Panel, ...] = (
    lines("Activity", f"sum {_BY} ({_PART})", _CONTAINER, RATIO, "The container's part of its devices' activity."),
    stacked(
        "Memory",
        f"sum {_BY} ({pods('gpuwise_container_gpu_memory_used_bytes')})",
        _CONTAINER,
        BYTES,
        "Framebuffer in use, including what an inference server reserves in advance.",
    ),
    stacked(
        "Power of containers",
        f"sum {_BY} ({pods('gpuwise_container_gpu_power_watts')})",
        _CONTAINER,
        WATTS,
        "The container's part of its boards' power draw.",
    ),
    lines(
        "Mean power by energy",
        f"sum {_BY} ({rate(pods('gpuwise_container_gpu_energy_joules_total'))})",
        _CONTAINER,
        WATTS,
        "The same from the energy counters, which also see what happens between two samples.",
    ),
)
_WASTE: tuple[Panel, ...] = (
    rows(
        "Idle devices",
        "sort_desc(max by (namespace, pod, container, node, gpu, mig_profile, device_uuid)"
        f" ({pods('gpuwise_gpu_idle_seconds')}))",
        SECONDS,
        "Time since a kernel was last seen on each device. `gpuwise explain` shows what gpuwise makes of it.",
    ),
    rows(
        "Devices without a process",
        "sort_desc(max by (namespace, pod, container, node, gpu, mig_profile, device_uuid)"
        f" ({pods('gpuwise_gpu_processless_seconds')}))",
        SECONDS,
        "Time since the device last had a process; 0 while it has one.",
    ),
    lines(
        "Processes",
        f"max by (namespace, pod, device_uuid) ({pods('gpuwise_gpu_processes')})",
        "{{pod}} {{device_uuid}}",
        COUNT,
        "Processes with a context on each device, including those of other pods that share it.",
    ),
    lines(
        "Hardware activity",
        f"max by (namespace, pod, device_uuid) ({pods('gpuwise_gpu_tensor_activity_ratio')})",
        "{{pod}} {{device_uuid}} tensor",
        RATIO,
        "Share of time in which the tensor pipes were active: low values of a busy training job show a bottleneck.",
    ),
)

BOARD = Board(
    name="workloads",
    title="Workloads",
    description="Which GPUs a namespace or a pod uses, how well, and which of them are idle.",
    source="gpuwise_gpu_info",
    rows=(("Overview", _OVERVIEW), ("Use", _USE), ("Idle", _WASTE)),
    variables=of_devices("namespace", "pod"),
)
