"""What each GPU does, and for which pods: rows of the dashboard of GPUs."""

from helm.dashboards.panels import BYTES, RATIO, WATTS, Panel, lines, stacked
from helm.dashboards.queries import card

_DEVICE, _POD = "{{node}} GPU {{gpu}} {{mig_profile}}", "{{namespace}}/{{pod}}"
_BY_DEVICE = "by (cluster, node, gpu, mig_profile, device_uuid)"

ACTIVITY: tuple[Panel, ...] = (
    lines(
        "Activity",
        f"max {_BY_DEVICE} ({card('gpuwise_gpu_sm_activity_ratio')}"
        f" or on (node, device_uuid, pod) {card('gpuwise_gpu_utilization_ratio')})",
        _DEVICE,
        RATIO,
        "SM activity where the GPU supports it, otherwise the share of time in which any kernel ran.",
    ),
    lines(
        "Memory in use",
        f"max {_BY_DEVICE} ({card('gpuwise_gpu_memory_used_bytes')})"
        f" / max {_BY_DEVICE} ({card('gpuwise_gpu_memory_total_bytes')})",
        _DEVICE,
        RATIO,
        "Share of the framebuffer that is in use, including what is reserved in advance.",
    ),
    lines(
        "Tensor activity",
        f"max {_BY_DEVICE} ({card('gpuwise_gpu_tensor_activity_ratio')})",
        _DEVICE,
        RATIO,
        "Share of time in which the tensor pipes were active; Hopper and later.",
    ),
    lines(
        "Memory bandwidth in use",
        f"max {_BY_DEVICE} ({card('gpuwise_gpu_dram_activity_ratio')})",
        _DEVICE,
        RATIO,
        "Share of the memory bandwidth; Hopper and later.",
    ),
    lines(
        "Decoder and encoder",
        f"max by (cluster, node, gpu, engine) ({card('gpuwise_gpu_engine_utilization_ratio')})",
        "{{node}} GPU {{gpu}} {{engine}}",
        RATIO,
        "Share of time in which the video engines worked.",
    ),
)
BY_POD: tuple[Panel, ...] = (
    stacked(
        "Power by pod",
        f"sum by (namespace, pod) ({card('gpuwise_container_gpu_power_watts')})",
        _POD,
        WATTS,
        "The boards' power draw, attributed to containers. Without a pod: idle boards, and what is not attributed.",
    ),
    stacked(
        "Memory by pod",
        f"sum by (namespace, pod) ({card('gpuwise_container_gpu_memory_used_bytes')})",
        _POD,
        BYTES,
        "Framebuffer in use, attributed to containers.",
    ),
    lines(
        "Activity by pod",
        f"sum by (namespace, pod) ({card('gpuwise_container_gpu_sm_activity_ratio')}"
        f" or on (device_uuid, namespace, pod, container) {card('gpuwise_container_gpu_utilization_ratio')})",
        _POD,
        RATIO,
        "Sum over the pod's parts of GPUs: 200 % is two GPUs that are fully busy.",
    ),
)
