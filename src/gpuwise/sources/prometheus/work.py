"""Declared work and the power limits in force, read for the workloads that declare a counter and for no others."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gpuwise.model.declared import work_metric
from gpuwise.model.inventory import Workload, WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.kubernetes.pod_names import patterns
from gpuwise.sources.prometheus.clusters import KnownPods
from gpuwise.sources.prometheus.devices import Grid, PodKey, device_key, pod_key
from gpuwise.sources.prometheus.names import LIMITS, REPLICA_LABELS
from gpuwise.sources.prometheus.pods import PodRows
from gpuwise.sources.prometheus.selections import by_pod, by_uuid
from gpuwise.sources.prometheus.series import SeriesReader
from gpuwise.sources.prometheus.units import to_base_units
from gpuwise.sources.work import increase, summed

# Two scrape jobs that read one address read the same counters: the sum must not count them twice.
_SCRAPE_LABELS = REPLICA_LABELS | {"job", "service", "endpoint"}

_Counters = dict[frozenset[tuple[str, str]], Grid]
"""The values of a pod's counters by their labels, so that parts of one series are joined."""


@dataclass(frozen=True, slots=True)
class DeclaredWork:
    """What was read for the workloads that declare a counter.

    Attributes:
        metrics: the name of the counter, by workload.
        per_second: units of work per second, None without samples, by workload.
        limits: power limit in force in watts, by UUID of the card.
    """

    metrics: Mapping[WorkloadRef, str] = field(default_factory=dict)
    per_second: Mapping[WorkloadRef, Grid | None] = field(default_factory=dict)
    limits: Mapping[str, Grid] = field(default_factory=dict)


def declared_work(
    reader: SeriesReader,
    present: Collection[str],
    workloads: Sequence[Workload],
    pods: Sequence[Mapping[PodKey, PodRows]],
    window: Window,
    known: KnownPods,
) -> DeclaredWork:
    """Read the counters that workloads declare, and the power limits of their cards.

    Args:
        reader: reads the series.
        present: names of the available metrics that gpuwise knows.
        workloads: the workloads.
        pods: the pods of each.
        window: the grid.
        known: pods and nodes of this cluster.

    Raises:
        SourceError: a response is not complete.
    """
    declaring = [
        (workload, of_pods, metric)
        for workload, of_pods in zip(workloads, pods, strict=True)
        if (metric := work_metric(workload)) is not None
    ]
    if not declaring:
        return DeclaredWork()
    counters: dict[tuple[str, PodKey], _Counters] = {}
    for metric in sorted({metric for _, _, metric in declaring}):
        some = [workload for workload, _, declared in declaring if declared == metric]
        for pod, found in _read(reader, metric, some, window, known).items():
            counters[metric, pod] = found
    return DeclaredWork(
        {workload.ref: metric for workload, _, metric in declaring},
        {
            workload.ref: summed(
                [
                    increase(values, window.step_s) / window.step_s
                    for pod in of_pods
                    for values in counters.get((metric, pod), {}).values()
                ]
            )
            for workload, of_pods, metric in declaring
        },
        _limits(reader, present, (key.uuid for _, rows in _rows(declaring) for key in rows.devices), window),
    )


def _rows(
    declaring: Sequence[tuple[Workload, Mapping[PodKey, PodRows], str]],
) -> Iterable[tuple[PodKey, PodRows]]:
    return (item for _, of_pods, _ in declaring for item in of_pods.items())


def _read(
    reader: SeriesReader, metric: str, workloads: Sequence[Workload], window: Window, known: KnownPods
) -> dict[PodKey, _Counters]:
    """Return the counters of one name by pod, on a grid that starts one step early: they are used by their increase."""
    lead = Window(window.start_s - window.step_s, window.end_s, window.step_s)
    of_pods = [(workload.ref.namespace, pattern) for workload in workloads for pattern in patterns(workload, free=True)]
    found: dict[PodKey, _Counters] = {}
    for series in reader.series(by_pod({metric}, of_pods), lead):
        pod = pod_key(series.labels)
        if pod is None or known.elsewhere(pod, series.labels):
            continue
        labels = frozenset(item for item in series.labels.items() if item[0] not in _SCRAPE_LABELS)
        before = found.setdefault(pod, {}).get(labels)
        found[pod][labels] = series.values if before is None else np.fmax(before, series.values)
    return found


def _limits(reader: SeriesReader, present: Collection[str], uuids: Iterable[str], window: Window) -> dict[str, Grid]:
    """Return the limit of each card; the first exporter in the table wins, a later one only fills its gaps."""
    metrics = {metric.name: metric for metric in LIMITS if metric.name in present}
    cards = sorted({uuid for uuid in uuids if uuid.startswith("GPU-")})
    raw: dict[str, dict[str, Grid]] = {}
    for series in reader.series(by_uuid(metrics, cards) if metrics and cards else [], window):
        key = device_key(series.labels)
        if key is None:
            continue
        name, of_name = series.labels["__name__"], raw.setdefault(key.uuid, {})
        of_name[name] = np.fmax(of_name[name], series.values) if name in of_name else series.values
    found: dict[str, Grid] = {}
    for uuid, by_name in raw.items():
        for name, metric in metrics.items():
            if name in by_name:
                values, _ = to_base_units(by_name[name], metric, window)
                found[uuid] = np.where(np.isnan(found[uuid]), values, found[uuid]) if uuid in found else values
    return found


def with_work(series: UsageSeries, read: DeclaredWork) -> UsageSeries:
    """Return the series of a workload with its declared work; unchanged if it declares none."""
    metric = read.metrics.get(series.workload)
    if metric is None:
        return series
    return replace(
        series,
        devices=tuple(_with_limit(device, read.limits) for device in series.devices),
        work_per_second=read.per_second[series.workload],
        work_metric=metric,
    )


def _with_limit(device: DeviceSeries, limits: Mapping[str, Grid]) -> DeviceSeries:
    """Return a device with the limit of its card; a MIG instance that has its own UUID has none."""
    limit = limits.get(device.device_uuid.partition("/")[0])
    return device if limit is None else replace(device, samples={**device.samples, Signal.POWER_LIMIT: limit})
