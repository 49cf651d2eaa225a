"""Devices in Prometheus: the rows of all exporters, merged by pod and device."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.names import (
    INSTANCE_LABELS,
    PROFILE_LABELS,
    UUID_LABELS,
    Family,
    MetricName,
    first,
    pod_labels,
)
from gpuwise.sources.prometheus.series import GridSeries, Reduce
from gpuwise.sources.prometheus.units import to_base_units

Grid = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ACTIVITY = frozenset({Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL})

PodKey = tuple[str, str]
"""(namespace, name) of a pod."""


@dataclass(frozen=True, slots=True, order=True)
class DeviceKey:
    """Identifies a device.

    Under MIG, dcgm-exporter exports the card's UUID and the instance's id; gpuwise exports the instance's UUID. The id
    is "" for a whole card.
    """

    uuid: str
    gpu_instance_id: str

    @property
    def name(self) -> str:
        """The device as one string: the UUID, plus the instance if the UUID is that of the whole card."""
        if not self.gpu_instance_id or self.uuid.startswith("MIG-"):
            return self.uuid
        return f"{self.uuid}/{self.gpu_instance_id}"


@dataclass(slots=True)
class Device:
    """The rows of one device.

    Attributes:
        rows: labels of a row of each metric, by metric name.
        raw: raw values by metric name, on the grid on which they were read.
        heartbeats: values that advance while the exporter measures, by metric name, on the same grid.
        card: raw values of its card's rows without a pod, by metric name: where they are busier, they count.
    """

    rows: dict[str, Mapping[str, str]] = field(default_factory=dict)
    raw: dict[str, Grid] = field(default_factory=dict)
    heartbeats: dict[str, Grid] = field(default_factory=dict)
    card: dict[str, Grid] = field(default_factory=dict)

    @property
    def mig_profile(self) -> str | None:
        """The MIG profile, None for a whole card."""
        return self.label(PROFILE_LABELS)

    def label(self, names: Iterable[str]) -> str | None:
        """Return the first of these labels that any row has, or None."""
        return next((value for labels in self.rows.values() if (value := first(labels, names))), None)

    def add(self, metric: MetricName, labels: Mapping[str, str], values: Grid) -> None:
        """Merge a row. Two rows of one metric measure the same device: the busier value counts, not the sum."""
        self.rows.setdefault(metric.name, labels)
        before = self.raw.get(metric.name)
        busier = np.fmin if metric.reduce is Reduce.MIN else np.fmax
        self.raw[metric.name] = values if before is None else busier(before, values)

    def sampled(self) -> Mask:
        """Return the steps in which any row has a sample."""
        return np.asarray(np.any([~np.isnan(values) for values in self.raw.values()], axis=0))

    def reports_activity(self, metrics: Iterable[MetricName]) -> bool:
        """Return whether any row measures activity, and not only whether a kernel ran."""
        return any(
            metric.name in self.raw and metric.signal in _ACTIVITY and not self._is_false_zero(metric)
            for metric in metrics
        )

    def samples(self, metrics: Sequence[MetricName], window: Window) -> tuple[dict[Signal, Grid], int]:
        """Return each signal in base units, and the number of steps in which a value was dropped.

        Args:
            metrics: in order of preference: the first one wins; a later one only fills its gaps.
            window: the grid.
        """
        found: dict[Signal, Grid] = {}
        dropped: Mask = np.zeros(window.steps, dtype=bool)
        for metric in metrics:
            if metric.name not in self.raw or self._is_false_zero(metric):
                continue
            values, bad = to_base_units(self.raw[metric.name], metric, window)
            before = found.get(metric.signal)
            found[metric.signal] = values if before is None else np.where(np.isnan(before), values, before)
            dropped |= bad
        for metric in metrics:
            if metric.name not in self.card:
                continue
            values, _ = to_base_units(self.card[metric.name], metric, window)
            before = found.get(metric.signal)
            if before is not None:
                found[metric.signal] = np.where(np.isnan(before), before, np.fmax(before, values))
            elif metric.family is Family.SMI:  # reads the card at each scrape, so it serves no old page
                found[metric.signal] = values
        return found, int(dropped.sum())

    def _is_false_zero(self, metric: MetricName) -> bool:
        """Return whether a metric is wrongly 0: under MIG, dcgm-exporter's GPU_UTIL is missing or 0 (#216)."""
        sliced = self.mig_profile is not None or self.label(INSTANCE_LABELS) is not None
        return sliced and metric.signal is Signal.GPU_UTIL


Devices = dict[DeviceKey, Device]


def device_key(labels: Mapping[str, str]) -> DeviceKey | None:
    """Return the device of a row, or None if it has no device; nvidia_gpu_exporter omits the prefix "GPU-"."""
    uuid = first(labels, UUID_LABELS)
    if uuid is None:
        return None
    return DeviceKey(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}", first(labels, INSTANCE_LABELS) or "")


def pod_key(labels: Mapping[str, str]) -> PodKey | None:
    """Return the pod of a series, or None if it has no pod."""
    way = pod_labels(labels)
    return None if way is None else (labels.get(way.namespace, ""), labels[way.pod])


def add_row(devices: Devices, metric: MetricName, series: GridSeries, values: Grid) -> None:
    """Merge a row into its device; a row without a device is dropped."""
    key = device_key(series.labels)
    if key is not None:
        devices.setdefault(key, Device()).add(metric, series.labels, values)


def add_heartbeat(devices: Devices, series: GridSeries, values: Grid) -> None:
    """Add a heartbeat to its device; two series of one metric, such as those of an HA pair, show the same counter."""
    key = device_key(series.labels)
    if key is not None:
        beats = devices.setdefault(key, Device()).heartbeats
        name = series.labels["__name__"]
        beats[name] = np.fmax(beats[name], values) if name in beats else values


def counted_once(devices: Mapping[DeviceKey, Device], metrics: Iterable[MetricName]) -> Devices:
    """Return the devices of one pod without duplicates.

    If gpuwise's exporter reports the devices, those of other exporters are dropped: under MIG they name the same
    devices differently. A whole card beside its own instances is also a duplicate.
    """
    families = {metric.name: metric.family for metric in metrics}
    by_gpuwise = {key for key, device in devices.items() if Family.GPUWISE in {families[name] for name in device.raw}}
    kept = {key: device for key, device in devices.items() if not by_gpuwise or key in by_gpuwise}
    divided = {key.uuid for key in kept if key.gpu_instance_id}
    return {key: device for key, device in kept.items() if key.gpu_instance_id or key.uuid not in divided}


def measured(devices: Devices) -> Devices:
    """Return the devices with a signal, each with its heartbeats; a MIG instance has those of its card, too."""
    found = {key: device for key, device in devices.items() if device.raw}
    for key, device in found.items():
        card = devices.get(DeviceKey(key.uuid, ""))
        if card is not None:
            device.heartbeats = card.heartbeats | device.heartbeats
    return found


def span_of(sampled: Mask) -> Mask:
    """Return the steps from the first to the last sample: a pod with a device at both ends had it in between, too."""
    steps = np.flatnonzero(sampled)
    allocated = np.zeros(sampled.shape, dtype=bool)
    if steps.size:
        allocated[steps[0] : steps[-1] + 1] = True
    return allocated
