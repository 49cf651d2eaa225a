"""GPU metrics of the supported exporters: names, units and labels, in order of preference.

dcgm-exporter's names are from its default-counters.csv (4.8) and DCGM's field aliases (4.9); those of
nvidia_gpu_exporter and HAMi are from their lists of metrics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.series import Reduce

MIB = 2.0**20


class Family(StrEnum):
    """Exporter of a metric. If two exporters measure one device, the earlier one in this list is preferred."""

    GPUWISE = "gpuwise"
    DCGM = "dcgm-exporter"
    HAMI = "HAMi"
    SMI = "nvidia_gpu_exporter"


NAMES_PODS = frozenset({Family.GPUWISE, Family.DCGM})
"""Exporters that list all devices, with their pods. HAMi lists only pods, nvidia_gpu_exporter only cards."""


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric of a signal.

    Attributes:
        name: name in Prometheus.
        signal: the measured signal.
        family: its exporter.
        scale: factor from the metric's value to the signal's base unit.
        perhaps_percent: named a ratio, but may contain percent; its HELP text or its values decide.
        reduce: which value of a step counts: the busier one.
    """

    name: str
    signal: Signal
    family: Family
    scale: float = 1.0
    perhaps_percent: bool = False
    reduce: Reduce = Reduce.MAX


def _ours(name: str, signal: Signal) -> MetricName:
    return MetricName(f"gpuwise_gpu_{name}", signal, Family.GPUWISE)


def _dcgm(name: str, signal: Signal, scale: float = 1.0) -> MetricName:
    return MetricName(f"DCGM_FI_{name}", signal, Family.DCGM, scale, perhaps_percent=name.endswith("_RATIO"))


def _dcgm1(name: str, signal: Signal, scale: float = 1.0) -> MetricName:
    """A metric of dcgm-exporter 1.x, and of later ones with its file of counters."""
    return MetricName(f"dcgm_{name}", signal, Family.DCGM, scale)


def _smi(name: str, signal: Signal) -> MetricName:
    return MetricName(f"nvidia_smi_{name}", signal, Family.SMI)


# They advance while the exporter measures: energy used by the board, and the time of the last sample.
HEARTBEATS = frozenset(
    {
        "gpuwise_gpu_energy_joules_total",
        "gpuwise_gpu_sample_timestamp_seconds",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_GPU_ENERGY_JOULES_TOTAL",
        "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL",
    }
)

LAST_KERNEL = "hami_container_last_kernel_elapsed_seconds"

# For each signal the first name wins, and a later one only fills its gaps. The graphics engine's activity replaces SM
# activity where that is not exported (it is off by default). It is higher, so nothing looks more idle than it is.
METRICS: tuple[MetricName, ...] = (
    _ours("sm_activity_ratio", Signal.SM_ACTIVITY),
    _dcgm("PROF_SM_UTIL_RATIO", Signal.SM_ACTIVITY),
    _dcgm("PROF_SM_ACTIVE", Signal.SM_ACTIVITY),
    _dcgm("PROF_GR_ENGINE_UTIL_RATIO", Signal.SM_ACTIVITY),
    _dcgm("PROF_GR_ENGINE_ACTIVE", Signal.SM_ACTIVITY),
    _smi("mig_sm_activity_ratio", Signal.SM_ACTIVITY),
    _ours("tensor_activity_ratio", Signal.TENSOR_ACTIVITY),
    _dcgm("PROF_TENSOR_UTIL_RATIO", Signal.TENSOR_ACTIVITY),
    _dcgm("PROF_PIPE_TENSOR_ACTIVE", Signal.TENSOR_ACTIVITY),
    _smi("mig_tensor_activity_ratio", Signal.TENSOR_ACTIVITY),
    _ours("dram_activity_ratio", Signal.DRAM_ACTIVITY),
    _dcgm("PROF_DRAM_UTIL_RATIO", Signal.DRAM_ACTIVITY),
    _dcgm("PROF_DRAM_ACTIVE", Signal.DRAM_ACTIVITY),
    _ours("utilization_ratio", Signal.GPU_UTIL),
    _dcgm("DEV_GPU_UTIL_RATIO", Signal.GPU_UTIL),
    _dcgm("DEV_GPU_UTIL", Signal.GPU_UTIL, 0.01),
    _dcgm1("gpu_utilization", Signal.GPU_UTIL, 0.01),
    # HAMi's documentation says percent, although the name says ratio.
    MetricName("hami_container_device_utilization_ratio", Signal.GPU_UTIL, Family.HAMI, perhaps_percent=True),
    MetricName("Device_utilization_desc_of_container", Signal.GPU_UTIL, Family.HAMI, perhaps_percent=True),
    _smi("utilization_gpu_ratio", Signal.GPU_UTIL),
    _ours("memory_used_bytes", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED_BYTES", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED", Signal.MEMORY_USED, MIB),
    _dcgm1("fb_used", Signal.MEMORY_USED, MIB),
    MetricName("hami_container_device_memory_bytes", Signal.MEMORY_USED, Family.HAMI),
    MetricName("vGPU_device_memory_usage_in_bytes", Signal.MEMORY_USED, Family.HAMI),
    _smi("memory_used_bytes", Signal.MEMORY_USED),
    _ours("power_watts", Signal.POWER),
    _dcgm("DEV_BOARD_POWER_WATTS", Signal.POWER),
    _dcgm("DEV_POWER_USAGE", Signal.POWER),
    _dcgm1("power_usage", Signal.POWER),
    _smi("power_draw_watts", Signal.POWER),
    MetricName(LAST_KERNEL, Signal.KERNEL_ACTIVITY, Family.HAMI, reduce=Reduce.MIN),
    MetricName("Device_last_kernel_of_container", Signal.KERNEL_ACTIVITY, Family.HAMI, reduce=Reduce.MIN),
)


@dataclass(frozen=True, slots=True)
class PodLabels:
    """Names of the labels with which a series identifies its pod."""

    namespace: str
    pod: str


# The first of these that a series has identifies the workload's pod. With `honorLabels: false` Prometheus sets `pod` to
# the exporter's pod and renames the workload's label to `exported_pod`. dcgm-exporter's old label set
# (use-old-namespace) uses `pod_name`, and Prometheus adds its own `pod`. HAMi up to 2.8 uses `podname`.
POD_LABELS: tuple[PodLabels, ...] = (
    PodLabels("exported_namespace", "exported_pod"),
    PodLabels("pod_namespace", "pod_name"),
    PodLabels("podnamespace", "podname"),
    PodLabels("namespace", "pod"),
)
UUID_LABELS = ("device_uuid", "UUID", "uuid", "deviceuuid")
MODEL_LABELS = ("model", "modelName")
PROFILE_LABELS = ("mig_profile", "GPU_I_PROFILE")
INSTANCE_LABELS = ("gpu_instance_id", "GPU_I_ID")
NODE_LABELS = ("node", "Hostname", "hostname")
REPLICA_LABELS = frozenset({"prometheus_replica", "__replica__", "replica", "prometheus"})
"""Labels that distinguish the two servers of an HA pair, which measure the same series: of Prometheus' operator, of
Cortex and Mimir, and of Thanos' guides."""


def first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return the first of these labels that is set, or None."""
    return next((labels[name] for name in names if labels.get(name)), None)


def pod_labels(labels: Mapping[str, str]) -> PodLabels | None:
    """Return the labels with which this series identifies its pod, or None if it has no pod."""
    return next((way for way in POD_LABELS if labels.get(way.pod)), None)


def quoted(value: str) -> str:
    """Return a PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# RE2's metacharacters. A name is never used as a pattern: a pod called "a|b" must not select two pods.
_META = frozenset(r"\.+*?()|[]{}^$")


def literal(name: str) -> str:
    """Return a regular expression that matches exactly this name."""
    return "".join(f"\\{char}" if char in _META else char for char in name)


def selector(matchers: Mapping[str, str]) -> str:
    """Return conditions to append to a PromQL selector, each after a comma; "" for none."""
    return "".join(f",{name}={quoted(value)}" for name, value in matchers.items())


def any_of(names: Iterable[str]) -> str:
    """Return a PromQL string literal of a regular expression that matches exactly these names."""
    return quoted("|".join(literal(name) for name in sorted(names)))
