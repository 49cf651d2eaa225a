"""How many pods hold a device at once, for time-sliced GPUs."""

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from gpuwise.model.usage import Window
from gpuwise.store.prometheus_devices import Device, DeviceKey, chunks
from gpuwise.store.prometheus_http import PrometheusClient
from gpuwise.store.prometheus_names import INSTANCE_LABELS, UUID_LABELS, PodLabels, any_of, first, pod_labels

# Holders change with pods, not with scrapes: 200 looks over the window find their usual number.
_LOOKS = 200


def holders(
    client: PrometheusClient, devices: Iterable[tuple[DeviceKey, Device]], window: Window
) -> dict[DeviceKey, int]:
    """The usual (median) number of pods on each device, whichever namespace they are in; 1 where nothing says.

    Raises:
        SourceError: any of the answers is not whole.
    """
    uuids: dict[tuple[str, str, PodLabels], set[str]] = defaultdict(set)
    for key, device in devices:
        way = pod_labels(device.labels)
        label = next(name for name in UUID_LABELS if device.labels.get(name))
        if way is not None:
            uuids[next(iter(device.raw)).name, label, way].add(key.uuid)
    counts: dict[DeviceKey, int] = {}
    step_s = math.ceil(window.seconds / _LOOKS / window.step_s) * window.step_s
    for (metric, label, way), names in uuids.items():
        for some in chunks(names):
            query = _query(metric, label, way, some)
            for series in client.range(query, start_s=window.start_s + step_s, end_s=window.end_s, step_s=step_s):
                key = DeviceKey(series.labels.get(label, ""), first(series.labels, INSTANCE_LABELS) or "")
                seen = series.values[np.isfinite(series.values) & (series.values >= 1.0)]
                counts[key] = round(float(np.median(seen))) if seen.size else 1
    return counts


def _query(metric: str, label: str, way: PodLabels, uuids: list[str]) -> str:
    from_ = f'{metric}{{{label}=~{any_of(uuids)},{way.pod}!=""}}'
    device = ",".join((label, *INSTANCE_LABELS))
    return f"count by ({device}) (count by ({device},{way.namespace},{way.pod}) ({from_}))"
