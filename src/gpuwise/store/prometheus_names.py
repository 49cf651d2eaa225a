"""What GPU metrics are called in the wild: names, units and labels, in order of preference.

dcgm-exporter's names are from its default-counters.csv (4.8) and DCGM's field aliases (4.9).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.model.signal import Signal

MIB = 2.0**20


class Family(StrEnum):
    """Whose metric it is; where two exporters watch one device, ours comes first."""

    GPUWISE = "gpuwise"
    DCGM = "dcgm-exporter"


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric that carries a signal.

    Attributes:
        name: as Prometheus has it.
        signal: what it measures.
        family: whose it is.
        scale: times its value is the signal in base units.
        perhaps_percent: named a ratio but known to carry percent in an early header; the values tell.
    """

    name: str
    signal: Signal
    family: Family
    scale: float = 1.0
    perhaps_percent: bool = False


def _ours(name: str, signal: Signal) -> MetricName:
    return MetricName(f"gpuwise_gpu_{name}", signal, Family.GPUWISE)


def _dcgm(name: str, signal: Signal, scale: float = 1.0) -> MetricName:
    return MetricName(f"DCGM_FI_{name}", signal, Family.DCGM, scale, perhaps_percent=name.endswith("_RATIO"))


# For each signal the first name wins, and a later one fills only what it leaves open. The graphics engine's activity
# stands in for the SMs' where that is not exported (it is off by default): it reads higher, so nothing looks more idle.
METRICS: tuple[MetricName, ...] = (
    _ours("sm_activity_ratio", Signal.SM_ACTIVITY),
    _dcgm("PROF_SM_UTIL_RATIO", Signal.SM_ACTIVITY),
    _dcgm("PROF_SM_ACTIVE", Signal.SM_ACTIVITY),
    _dcgm("PROF_GR_ENGINE_UTIL_RATIO", Signal.SM_ACTIVITY),
    _dcgm("PROF_GR_ENGINE_ACTIVE", Signal.SM_ACTIVITY),
    _ours("tensor_activity_ratio", Signal.TENSOR_ACTIVITY),
    _dcgm("PROF_TENSOR_UTIL_RATIO", Signal.TENSOR_ACTIVITY),
    _dcgm("PROF_PIPE_TENSOR_ACTIVE", Signal.TENSOR_ACTIVITY),
    _ours("dram_activity_ratio", Signal.DRAM_ACTIVITY),
    _dcgm("PROF_DRAM_UTIL_RATIO", Signal.DRAM_ACTIVITY),
    _dcgm("PROF_DRAM_ACTIVE", Signal.DRAM_ACTIVITY),
    _ours("utilization_ratio", Signal.GPU_UTIL),
    _dcgm("DEV_GPU_UTIL_RATIO", Signal.GPU_UTIL),
    _dcgm("DEV_GPU_UTIL", Signal.GPU_UTIL, 0.01),
    _ours("memory_used_bytes", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED_BYTES", Signal.MEMORY_USED),
    _dcgm("DEV_FB_USED", Signal.MEMORY_USED, MIB),
    _ours("power_watts", Signal.POWER),
    _dcgm("DEV_BOARD_POWER_WATTS", Signal.POWER),
    _dcgm("DEV_POWER_USAGE", Signal.POWER),
)


@dataclass(frozen=True, slots=True)
class PodLabels:
    """One way in which a series names its pod."""

    namespace: str
    pod: str


# The first that a series has is the workload's. With `honorLabels: false` Prometheus keeps `pod` for the exporter's own
# pod and moves the workload's to `exported_pod`.
POD_LABELS: tuple[PodLabels, ...] = (
    PodLabels("exported_namespace", "exported_pod"),
    PodLabels("namespace", "pod"),
    PodLabels("pod_namespace", "pod_name"),
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


def any_of(names: Iterable[str]) -> str:
    """A PromQL string literal of a regular expression that matches exactly these names."""
    return quoted("|".join("".join(f"\\{char}" if char in _META else char for char in name) for name in sorted(names)))


def selectors(metric: str, namespace: str, pods: Iterable[str]) -> list[str]:
    """The selectors of a metric's series of these pods, one per way of naming a pod."""
    some = any_of(pods)
    return [f"{metric}{{{way.namespace}={quoted(namespace)},{way.pod}=~{some}}}" for way in POD_LABELS]
