"""What GPU metrics are called in the wild: names, units and labels, in order of preference.

dcgm-exporter's names are from its default-counters.csv (4.8) and DCGM's field aliases (4.9); nvidia_gpu_exporter's and
HAMi's from their own lists of metrics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.series import Reduce

MIB = 2.0**20


class Family(StrEnum):
    """Whose metric it is; where two exporters watch one device, the first of these comes first."""

    GPUWISE = "gpuwise"
    DCGM = "dcgm-exporter"
    HAMI = "HAMi"
    SMI = "nvidia_gpu_exporter"


NAMES_PODS = frozenset({Family.GPUWISE, Family.DCGM})
"""Exporters that list every device, and the pod of each that is held; HAMi lists pods only, the last one cards only."""


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric that carries a signal.

    Attributes:
        name: as Prometheus has it.
        signal: what it measures.
        family: whose it is.
        scale: times its value is the signal in base units.
        perhaps_percent: named a ratio but known to carry percent; its HELP text or its values tell.
        reduce: which value of a step makes it busier.
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


def _smi(name: str, signal: Signal) -> MetricName:
    return MetricName(f"nvidia_smi_{name}", signal, Family.SMI)


LAST_KERNEL = "hami_container_last_kernel_elapsed_seconds"

# For each signal the first name wins, and a later one fills only what it leaves open. The graphics engine's activity
# stands in for the SMs' where that is not exported (it is off by default): it reads higher, so nothing looks more idle.
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
    # HAMi documents it as percent, whatever its name.
    MetricName("hami_container_device_utilization_ratio", Signal.GPU_UTIL, Family.HAMI, perhaps_percent=True),
    _smi("utilization_gpu_ratio", Signal.GPU_UTIL),
    _ours("memory_used_bytes", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED_BYTES", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED", Signal.MEMORY_USED, MIB),
    MetricName("hami_container_device_memory_bytes", Signal.MEMORY_USED, Family.HAMI),
    _smi("memory_used_bytes", Signal.MEMORY_USED),
    _ours("power_watts", Signal.POWER),
    _dcgm("DEV_BOARD_POWER_WATTS", Signal.POWER),
    _dcgm("DEV_POWER_USAGE", Signal.POWER),
    _smi("power_draw_watts", Signal.POWER),
    MetricName(LAST_KERNEL, Signal.KERNEL_ACTIVITY, Family.HAMI, reduce=Reduce.MIN),
)


@dataclass(frozen=True, slots=True)
class PodLabels:
    """One way in which a series names its pod."""

    namespace: str
    pod: str


# The first that a series has is the workload's. With `honorLabels: false` Prometheus keeps `pod` for the exporter's own
# pod and moves the workload's to `exported_pod`. dcgm-exporter's old label set (use-old-namespace) says
# `pod_name`, and Prometheus' own `pod` then stands beside it.
POD_LABELS: tuple[PodLabels, ...] = (
    PodLabels("exported_namespace", "exported_pod"),
    PodLabels("pod_namespace", "pod_name"),
    PodLabels("namespace", "pod"),
)
UUID_LABELS = ("device_uuid", "UUID", "uuid")
MODEL_LABELS = ("model", "modelName")
PROFILE_LABELS = ("mig_profile", "GPU_I_PROFILE")
INSTANCE_LABELS = ("gpu_instance_id", "GPU_I_ID")
NODE_LABELS = ("node", "Hostname", "hostname")


def first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    """The first of these labels that is set, or None."""
    return next((labels[name] for name in names if labels.get(name)), None)


def pod_labels(labels: Mapping[str, str]) -> PodLabels | None:
    """The way in which this series names its pod, or None if it names none."""
    return next((way for way in POD_LABELS if labels.get(way.pod)), None)


def quoted(value: str) -> str:
    """A PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# RE2's metacharacters. A name is data, never a pattern: a pod called "a|b" must not select two.
_META = frozenset(r"\.+*?()|[]{}^$")


def literal(name: str) -> str:
    """A regular expression that matches exactly this name."""
    return "".join(f"\\{char}" if char in _META else char for char in name)


def any_of(names: Iterable[str]) -> str:
    """A PromQL string literal of a regular expression that matches exactly these names."""
    return quoted("|".join(literal(name) for name in sorted(names)))
