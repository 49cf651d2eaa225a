"""Names, units and labels of the supported exporters and inference servers, from exporters.csv in this folder.

The order of the file is the order of preference: for each signal the first name wins, and a later one only fills its
gaps. The graphics engine's activity replaces SM activity where that is not exported (it is off by default in
dcgm-exporter). It is higher, so nothing looks more idle than it is.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.series import Reduce


class Family(StrEnum):
    """Exporter of a metric. If two exporters measure one device, the earlier one in this list is preferred."""

    GPUWISE = "gpuwise"
    DCGM = "dcgm-exporter"
    HAMI = "HAMi"
    SMI = "nvidia_gpu_exporter"


NAMES_PODS = frozenset({Family.GPUWISE, Family.DCGM})
"""Exporters that list all devices, with their pods. HAMi lists only pods, nvidia_gpu_exporter only cards."""

LISTING = frozenset({Signal.GPU_UTIL, Signal.SM_ACTIVITY, Signal.MEMORY_USED})
"""Signals whose series list the pods: every exporter that names pods has at least one of them."""


class Unit(StrEnum):
    """Unit of a metric's values. Where two are possible, the HELP text or the values decide; the first is by name."""

    RATIO = "ratio"
    PERCENT = "percent"
    RATIO_OR_PERCENT = "ratio or percent"
    PERCENT_OR_RATIO = "percent or ratio"
    BYTES = "bytes"
    MIB = "MiB"
    BYTES_OR_MIB = "bytes or MiB"
    WATTS = "W"
    SECONDS_SINCE = "seconds since"


class Counting(StrEnum):
    """How the value of a metric relates to requests."""

    IN_FLIGHT = "requests in flight"
    """A gauge of requests that wait or are processed."""

    ANSWERED = "requests answered"
    """A counter of completed requests."""

    WORK = "work of requests"
    """A counter of something that only requests cause, such as tokens."""

    OCCUPANCY = "occupied by requests"
    """A gauge from 0 to 1 of what requests occupy, such as the KV cache."""


@dataclass(frozen=True, slots=True)
class Known:
    """One row of exporters.csv.

    Attributes:
        measures: a signal, "heartbeat", how it counts requests, "build information", what a label holds, or "not read".
        exporter: what exports it.
        name: of the metric, with a matcher of one label where other series of it measure something else; of a label,
            or of a namespace's and a pod's label.
        unit: of its values.
        versions: of the exporter, as a person reads them.
        source: where the name is documented.
    """

    measures: str
    exporter: str
    name: str
    unit: str
    versions: str
    source: str


def _read() -> tuple[Known, ...]:
    text = resources.files("gpuwise.sources.prometheus").joinpath("exporters.csv").read_text(encoding="utf-8")
    return tuple(Known(**row) for row in csv.DictReader(text.splitlines()))


TABLE = _read()


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric of a signal.

    Attributes:
        name: name in Prometheus.
        signal: the measured signal.
        family: its exporter.
        unit: of its values.
    """

    name: str
    signal: Signal
    family: Family
    unit: Unit

    @property
    def reduce(self) -> Reduce:
        """Which value of a step counts: the busier one."""
        return Reduce.MIN if self.unit is Unit.SECONDS_SINCE else Reduce.MAX


@dataclass(frozen=True, slots=True)
class PodLabels:
    """Names of the labels with which a series identifies its pod."""

    namespace: str
    pod: str


@dataclass(frozen=True, slots=True)
class RequestMetric:
    """A metric of an inference server.

    Attributes:
        counting: how its values relate to requests.
        label: label that distinguishes its series, "" if all of them count.
        values: of this label, those that count.
    """

    counting: Counting
    label: str = ""
    values: frozenset[str] = frozenset()


_TRANSLATED = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_CONDITION = re.compile(r'(?P<name>[^{]+)\{(?P<label>\w+)="(?P<value>[^"]*)"\}')


def _of(measures: str) -> Iterator[str]:
    return (row.name for row in TABLE if row.measures == measures)


def _request_metrics() -> dict[str, RequestMetric]:
    found: dict[str, RequestMetric] = {}
    for row in TABLE:
        if row.measures not in set(Counting):
            continue
        one = _CONDITION.fullmatch(row.name)
        if one is None:
            found[row.name] = RequestMetric(Counting(row.measures))
            continue
        before = found.get(one["name"])
        values = frozenset({one["value"]}) | (before.values if before else frozenset())
        found[one["name"]] = RequestMetric(Counting(row.measures), one["label"], values)
    return found


_SIGNALS: tuple[MetricName, ...] = tuple(
    MetricName(row.name, Signal(row.measures), Family(row.exporter), Unit(row.unit))
    for row in TABLE
    if row.measures in set(Signal)
)
METRICS = tuple(metric for metric in _SIGNALS if metric.signal is not Signal.POWER_LIMIT)
"""Metrics of usage."""
LIMITS = tuple(metric for metric in _SIGNALS if metric.signal is Signal.POWER_LIMIT)
"""Metrics of the power limit in force, read for workloads that declare their work. They show no use."""
_OWN = {"own activity": Signal.GPU_UTIL, "own memory": Signal.MEMORY_USED}
OWN_METRICS = tuple(
    MetricName(row.name, _OWN[row.measures], Family(row.exporter), Unit(row.unit))
    for row in TABLE
    if row.measures in _OWN
)
"""Metrics of a container's part of a device, read for devices that several pods share."""
LAST_KERNEL = next(metric.name for metric in METRICS if metric.signal is Signal.KERNEL_ACTIVITY)
HEARTBEATS = frozenset(_of("heartbeat"))
"""They advance while the exporter measures: energy used by the board, and the time of the last sample."""
_JOULES = {"J": 1.0, "mJ": 1e-3}
ENERGY: Mapping[str, float] = {
    row.name: _JOULES[row.unit] for row in TABLE if row.measures == "heartbeat" and row.unit in _JOULES
}
"""Of these, the counters of energy, with their unit in joules; read as mean power for workloads that declare work."""

REQUEST_METRICS = _request_metrics()

_SCRAPED = tuple(PodLabels(*pair.split()) for pair in _of("scraped pod labels"))
# The first of these that a series has identifies the workload's pod. With `honorLabels: false` Prometheus sets `pod` to
# the exporter's pod and renames the workload's label to `exported_pod`. Beside dcgm-exporter's `pod_name`, Prometheus
# adds its own `pod`.
POD_LABELS: tuple[PodLabels, ...] = (*(PodLabels(*pair.split()) for pair in _of("pod labels")), *_SCRAPED)
TARGET_LABELS = (PodLabels("namespace", "pod"), *_SCRAPED)
"""With these, collectors also name the scraped pod: the workload for an inference server, the exporter for a device."""

BUILD_INFO = tuple(row for row in TABLE if row.measures == "build information")
NOT_READ = tuple(row for row in TABLE if row.measures == "not read")
"""Metrics of exporters that gpuwise cannot use: their series name no pods, or no device."""

UUID_LABELS = tuple(_of("device label"))
MODEL_LABELS = tuple(_of("model label"))
PROFILE_LABELS = tuple(_of("MIG profile label"))
INSTANCE_LABELS = tuple(_of("MIG instance label"))
NODE_LABELS = tuple(_of("node label"))
REPLICA_LABELS = frozenset(_of("replica label"))
"""Labels that distinguish the two servers of an HA pair, which measure the same series."""


def first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return the first of these labels that is set, or None."""
    return next((labels[name] for name in names if labels.get(name)), None)


def pod_labels(labels: Mapping[str, str]) -> PodLabels | None:
    """Return the labels with which this series identifies its pod, or None if it has no pod."""
    return next((way for way in POD_LABELS if labels.get(way.pod)), None)


def translated(name: str) -> bool:
    """Return whether every server can parse a label's name without quotes; Prometheus 3 allows any other, too."""
    return _TRANSLATED.fullmatch(name) is not None


def label_name(name: str) -> str:
    """Return a label's name as PromQL writes it, in quotes where Prometheus 3 requires them."""
    return name if translated(name) else quoted(name)


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
