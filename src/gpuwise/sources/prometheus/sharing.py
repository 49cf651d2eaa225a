"""How many pods hold a device at once, for time-sliced GPUs."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.devices import Device, DeviceKey, device_key
from gpuwise.sources.prometheus.names import INSTANCE_LABELS, UUID_LABELS, Family, PodLabels, any_of, pod_labels
from gpuwise.sources.prometheus.selections import chunks

# Holders change with pods, not with scrapes: 200 looks over the window find their usual number.
_LOOKS = 200


def holders(
    client: PrometheusClient,
    devices: Iterable[tuple[DeviceKey, Device]],
    families: Mapping[str, Family],
    window: Window,
) -> dict[DeviceKey, int]:
    """The usual (median) number of pods on each device, whichever namespace they are in; 1 where nothing says.

    Args:
        client: which Prometheus.
        devices: that some pod holds.
        families: whose each metric is.
        window: the grid.

    Raises:
        SourceError: any of the answers is not whole.
    """
    uuids: dict[tuple[str, str, PodLabels], set[str]] = defaultdict(set)
    for key, device in devices:
        metric = _counted(device, families)
        labels = device.rows[metric]
        way = pod_labels(labels)
        label = next(name for name in UUID_LABELS if labels.get(name))
        if way is not None:
            uuids[metric, label, way].add(key.uuid)
    counts: dict[DeviceKey, int] = {}
    step_s = math.ceil(window.seconds / _LOOKS / window.step_s) * window.step_s
    for (metric, label, way), names in uuids.items():
        for some in chunks(sorted(names)):
            query = _query(metric, label, way, some)
            for series in client.range(query, start_s=window.start_s + step_s, end_s=window.end_s, step_s=step_s):
                shared = device_key(series.labels)
                seen = series.values[np.isfinite(series.values) & (series.values >= 1.0)]
                if shared is not None and seen.size:
                    counts[shared] = max(counts.get(shared, 1), round(float(np.median(seen))))
    return counts


def _counted(device: Device, families: Mapping[str, Family]) -> str:
    """The metric whose pods are counted: HAMi's where it is there, since only HAMi knows who shares by it."""
    return next((name for name in device.raw if families[name] is Family.HAMI), next(iter(device.raw)))


def _query(metric: str, label: str, way: PodLabels, uuids: list[str]) -> str:
    from_ = f'{metric}{{{label}=~{any_of(uuids)},{way.pod}!=""}}'
    if way == PodLabels("namespace", "pod"):
        # A row without a pod gets its target's: the exporter's own pod, which `up` has at the same address, holds none.
        from_ += f" unless on (instance,{way.namespace},{way.pod}) up"
    device = ",".join((label, *INSTANCE_LABELS))
    return f"count by ({device}) (count by ({device},{way.namespace},{way.pod}) ({from_}))"
