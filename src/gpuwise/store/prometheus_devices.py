"""What Prometheus has of the devices that some pods hold, gathered from every exporter's names."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.store.prometheus_http import PrometheusClient, Series
from gpuwise.store.prometheus_names import (
    INSTANCE_LABELS,
    METRICS,
    PROFILE_LABELS,
    UUID_LABELS,
    Family,
    MetricName,
    first,
    pod_labels,
    selectors,
)
from gpuwise.store.prometheus_samples import in_base_units, on_grid, ranges

PodKey = tuple[str, str]
"""(namespace, name) of a pod."""

# 200 names of 63 characters are 40 kB of query: far below the server's limit of 10 MB on a form.
_PODS_PER_QUERY = 200


@dataclass(frozen=True, slots=True, order=True)
class DeviceKey:
    """Which device: under MIG, dcgm-exporter gives the card's UUID and the instance's id, we the instance's UUID.

    The id is "" for a whole card.
    """

    uuid: str
    gpu_instance_id: str

    @property
    def name(self) -> str:
        """One string for it: the UUID, with the instance where the UUID is that of the whole card."""
        if not self.gpu_instance_id or self.uuid.startswith("MIG-"):
            return self.uuid
        return f"{self.uuid}/{self.gpu_instance_id}"


@dataclass(slots=True)
class Device:
    """What one pod's series say of one device.

    Attributes:
        labels: of one of its series.
        raw: values as they were sent, by metric, on the window's grid.
    """

    labels: Mapping[str, str]
    raw: dict[MetricName, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def families(self) -> set[Family]:
        """Which exporters report it."""
        return {metric.family for metric in self.raw}

    @property
    def mig_profile(self) -> str | None:
        """The MIG profile, None for a whole card."""
        return first(self.labels, PROFILE_LABELS)

    def samples(self) -> dict[Signal, NDArray[np.float64]]:
        """Each signal in base units; the preferred name first, later ones where it has no sample."""
        found: dict[Signal, NDArray[np.float64]] = {}
        for metric in METRICS:
            if metric not in self.raw or self._is_false_zero(metric):
                continue
            values = in_base_units(self.raw[metric], metric)
            before = found.get(metric.signal)
            found[metric.signal] = values if before is None else np.where(np.isnan(before), values, before)
        return found

    def _is_false_zero(self, metric: MetricName) -> bool:
        """Under MIG, dcgm-exporter's GPU_UTIL is missing or 0 (dcgm-exporter#216)."""
        sliced = self.mig_profile is not None or first(self.labels, INSTANCE_LABELS) is not None
        return sliced and metric.signal is Signal.GPU_UTIL


def chunks(names: Collection[str]) -> Iterator[list[str]]:
    """Names in order, as many at a time as go into one query."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _PODS_PER_QUERY):
        yield ordered[start : start + _PODS_PER_QUERY]


def gather(
    client: PrometheusClient, metrics: Collection[MetricName], pods: Mapping[str, Collection[str]], window: Window
) -> dict[PodKey, dict[DeviceKey, Device]]:
    """The devices of these pods, with the largest value of each step: no peak is lost, no sample counted twice.

    Args:
        client: where.
        metrics: those that have data.
        pods: names by namespace.
        window: the grid.

    Raises:
        SourceError: any of the answers is not whole.
    """
    found: dict[PodKey, dict[DeviceKey, Device]] = defaultdict(dict)
    for metric in metrics:
        for namespace, names in pods.items():
            for some in chunks(names):
                query = " or ".join(
                    f"max_over_time({selector}[{window.step_s}s])"
                    for selector in selectors(metric.name, namespace, some)
                )
                for series in ranges(client, query, window):
                    _add(found, metric, series, asked={(namespace, pod) for pod in some}, window=window)
    return {pod: _one_family(devices) for pod, devices in found.items()}


def pod_key(labels: Mapping[str, str]) -> PodKey | None:
    """The pod that a series speaks of, or None if it names none."""
    way = pod_labels(labels)
    return None if way is None else (labels.get(way.namespace, ""), labels[way.pod])


def _add(
    found: dict[PodKey, dict[DeviceKey, Device]],
    metric: MetricName,
    series: Series,
    *,
    asked: Collection[PodKey],
    window: Window,
) -> None:
    """Merge a series in; two of the same pod, device and metric are one measured twice: the larger, never the sum."""
    pod, uuid = pod_key(series.labels), first(series.labels, UUID_LABELS)
    if pod not in asked or pod is None or uuid is None:
        return
    key = DeviceKey(uuid, first(series.labels, INSTANCE_LABELS) or "")
    device = found[pod].setdefault(key, Device(series.labels))
    grid = on_grid(series, window)
    device.raw[metric] = np.fmax(device.raw[metric], grid) if metric in device.raw else grid


def _one_family(devices: dict[DeviceKey, Device]) -> dict[DeviceKey, Device]:
    """Where we report a pod's devices, dcgm-exporter adds no devices: under MIG it names the same ones otherwise."""
    ours = {key for key, device in devices.items() if Family.GPUWISE in device.families}
    return {key: device for key, device in devices.items() if not ours or key in ours}
