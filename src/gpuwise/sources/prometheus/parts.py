"""What each pod used of a device that it shares: its own part of the activity and of the memory.

Read for shared devices only. gpuwise's exporter divides a device by the SM time and the memory of its processes; HAMi
measures its containers. dcgm-exporter gives every pod on a card the card's values (dcgm-exporter#587), so they show no
part.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus.conversion import Context, OwnUse
from gpuwise.sources.prometheus.devices import DeviceKey, Grid, PodKey, device_key, pod_key
from gpuwise.sources.prometheus.names import OWN_METRICS, REPLICA_LABELS, Family, MetricName
from gpuwise.sources.prometheus.selections import by_uuid
from gpuwise.sources.prometheus.series import SeriesReader
from gpuwise.sources.prometheus.units import to_base_units

# Two scrape jobs that read one address read the same values: the sum over containers must not count them twice.
_SCRAPE_LABELS = REPLICA_LABELS | {"__name__", "job", "service", "endpoint", "method"}

Holder = tuple[PodKey, DeviceKey]
"""A pod and a device that it has."""


@dataclass(slots=True)
class _Containers:
    """The values of one metric of a pod on a device, by the labels of its containers."""

    parts: dict[frozenset[tuple[str, str]], Grid]

    def add(self, labels: Mapping[str, str], values: Grid) -> None:
        key = frozenset(item for item in labels.items() if item[0] not in _SCRAPE_LABELS)
        before = self.parts.get(key)
        self.parts[key] = values if before is None else np.fmax(before, values)

    def total(self) -> Grid:
        """The sum over the containers, NaN where none is known."""
        parts = np.array(list(self.parts.values()))
        known = ~np.isnan(parts).all(axis=0)
        return np.where(known, np.nansum(parts, axis=0), np.nan)


def own_uses(
    reader: SeriesReader,
    present: Collection[str],
    holders: Iterable[Holder],
    shares: Mapping[DeviceKey, int],
    context: Context,
) -> dict[Holder, OwnUse]:
    """Read what pods used of the devices that they share; a pod that is not measured is absent.

    Args:
        reader: reads the series.
        present: names of the available metrics.
        holders: pods and their devices.
        shares: how many pods share a device, by device.
        context: metrics in use, and the window.

    Raises:
        SourceError: a response is not complete.
    """
    shared = {one for one in holders if shares.get(one[1], 1) > 1}
    metrics = {one.name: one for one in _metrics(present, context)}
    found: defaultdict[Holder, dict[str, _Containers]] = defaultdict(dict)
    uuids = sorted({key.uuid for _, key in shared})
    for series in reader.series(by_uuid(metrics, uuids) if metrics and uuids else [], context.window):
        pod, key = pod_key(series.labels), device_key(series.labels)
        if pod is None or key is None or (pod, key) not in shared:
            continue
        name = series.labels["__name__"]
        found[pod, key].setdefault(name, _Containers({})).add(series.labels, series.values)
    return {one: _own_use(by_name, metrics, context) for one, by_name in found.items()}


def _metrics(present: Collection[str], context: Context) -> Iterable[MetricName]:
    """The metrics of containers, the better ones first."""
    yield from (one for one in OWN_METRICS if one.name in present)
    yield from (
        one
        for one in context.metrics
        if one.family is Family.HAMI and one.signal in (Signal.GPU_UTIL, Signal.MEMORY_USED)
    )


def _own_use(by_name: Mapping[str, _Containers], metrics: Mapping[str, MetricName], context: Context) -> OwnUse:
    found: dict[bool, Grid] = {}
    for name, metric in metrics.items():
        if name in by_name:
            values, _ = to_base_units(by_name[name].total(), metric, context.window)
            of_memory = metric.signal is Signal.MEMORY_USED
            before = found.get(of_memory)
            found[of_memory] = values if before is None else np.where(np.isnan(before), values, before)
    return OwnUse(activity=found.get(False), memory=found.get(True))
