"""How many pods share a device, for time-sliced GPUs."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, Series
from gpuwise.sources.prometheus.devices import Device, DeviceKey, device_key
from gpuwise.sources.prometheus.names import (
    INSTANCE_LABELS,
    METRICS,
    UUID_LABELS,
    Family,
    PodLabels,
    any_of,
    label_name,
    pod_labels,
    selector,
)
from gpuwise.sources.prometheus.samples import ranges
from gpuwise.sources.prometheus.selections import chunks
from gpuwise.sources.prometheus.slices import Slices

# The number changes with pods, not with scrapes: 200 evaluations in the window are enough for its median.
_EVALUATIONS = 200
_MEMORY = frozenset(metric.name for metric in METRICS if metric.signal is Signal.MEMORY_USED)


def pods_per_device(
    client: PrometheusClient,
    devices: Iterable[tuple[DeviceKey, Device]],
    families: Mapping[str, Family],
    window: Window,
) -> dict[DeviceKey, int]:
    """Return the median number of pods on each device, in all namespaces; a device without data is not included.

    Args:
        client: client of the server.
        devices: devices that are allocated to a pod.
        families: exporter of each metric.
        window: the grid.

    Raises:
        SourceError: a response is not complete.
    """
    uuids: dict[tuple[str, str, PodLabels], set[str]] = defaultdict(set)
    for key, device in devices:
        metric = _counted(device, families)
        labels = device.rows[metric]
        way = pod_labels(labels)
        label = next(name for name in UUID_LABELS if labels.get(name))
        if way is not None:
            uuids[metric, label, way].add(key.uuid)
    coarse = _coarse(window)
    counts: dict[DeviceKey, int] = {}
    for (metric, label, way), names in uuids.items():
        for some in chunks(sorted(names)):
            query = _query(metric, label, way, some, client.settings.matchers)
            for key, seen in _seen(ranges(client, query, coarse, Slices(coarse.steps))).items():
                counts[key] = max(counts.get(key, 1), round(float(np.median(seen))))
    return counts


def _coarse(window: Window) -> Window:
    """Return at most about 200 evaluations in the window, at multiples of their step."""
    step_s = math.ceil(window.seconds / _EVALUATIONS / window.step_s) * window.step_s
    return Window(window.start_s - window.start_s % step_s, window.end_s - window.end_s % step_s, step_s)


def _seen(answers: Iterable[Series]) -> dict[DeviceKey, list[float]]:
    """Return the counts of each device, from all slices of the window."""
    seen: dict[DeviceKey, list[float]] = defaultdict(list)
    for series in answers:
        shared = device_key(series.labels)
        if shared is not None:
            seen[shared] += series.values[np.isfinite(series.values) & (series.values >= 1.0)].tolist()
    return {key: values for key, values in seen.items() if values}


def _counted(device: Device, families: Mapping[str, Family]) -> str:
    """Return the metric whose pods are counted: HAMi's if there is one, because only HAMi knows its pods.

    Memory is the last choice: on a shared device, a pod whose part is not known has no row of it.
    """
    by_hami = (name for name in device.raw if families[name] is Family.HAMI)
    of_all = (name for name in device.raw if name not in _MEMORY)
    return next(itertools.chain(by_hami, of_all, device.raw))


def _query(metric: str, label: str, way: PodLabels, uuids: list[str], matchers: Mapping[str, str]) -> str:
    own = selector(matchers)
    pod, namespace = label_name(way.pod), label_name(way.namespace)
    from_ = f'{metric}{{{label}=~{any_of(uuids)},{pod}!=""{own}}}'
    if way == PodLabels("namespace", "pod"):
        # Prometheus adds the scrape target's pod to a row without a pod. The exporter's own pod has a series `up` at
        # the same address and uses no device.
        target = f'up{{{way.pod}!=""{own}}}'
        from_ += f" unless on (instance,{way.namespace},{way.pod}) {target}"
    device = ",".join((label, *INSTANCE_LABELS))
    return f"count by ({device}) (count by ({device},{namespace},{pod}) ({from_}))"
