"""Declared work, the power limits in force and the mean power, read for workloads that declare a counter only."""

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
from gpuwise.sources.prometheus.names import ENERGY, LIMITS, REPLICA_LABELS
from gpuwise.sources.prometheus.pods import PodRows
from gpuwise.sources.prometheus.selections import by_pod, by_uuid
from gpuwise.sources.prometheus.series import SeriesReader
from gpuwise.sources.prometheus.units import to_base_units
from gpuwise.sources.work import increase, summed

# Two scrape jobs that read one address read the same counters: the sum must not count them twice.
_SCRAPE_LABELS = REPLICA_LABELS | {"job", "service", "endpoint"}
# A series of 28 days in steps of 60 s takes 0.3 MB: the buckets of a histogram with labels would take gigabytes.
_MOST_SERIES = 500
_OF_PARTS = frozenset({Signal.POWER_LIMIT})

_Counters = dict[frozenset[tuple[str, str]], Grid]
"""The values of a pod's counters by their labels, so that parts of one series are joined."""


@dataclass(frozen=True, slots=True)
class DeclaredWork:
    """What was read for the workloads that declare a counter.

    Attributes:
        metrics: the name of the counter, by workload.
        per_second: units of work per second, None without samples, by workload.
        cards: power limit in force and mean power in watts, by UUID of the card.
    """

    metrics: Mapping[WorkloadRef, str] = field(default_factory=dict)
    per_second: Mapping[WorkloadRef, Grid | None] = field(default_factory=dict)
    cards: Mapping[str, Mapping[Signal, Grid]] = field(default_factory=dict)


def declared_work(
    reader: SeriesReader,
    present: Collection[str],
    workloads: Sequence[Workload],
    pods: Sequence[Mapping[PodKey, PodRows]],
    window: Window,
    known: KnownPods,
) -> DeclaredWork:
    """Read the counters that workloads declare, and the power limits and the mean power of their cards.

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
            workload.ref: _together(
                [(rows, counters[metric, pod]) for pod, rows in of_pods.items() if (metric, pod) in counters], window
            )
            for workload, of_pods, metric in declaring
        },
        _cards(reader, present, (key.uuid for _, rows in _rows(declaring) for key in rows.devices), window),
    )


def _together(pods: Sequence[tuple[PodRows, _Counters]], window: Window) -> Grid | None:
    """Units of work per second of all pods with the counter; unknown where one of them lives without its samples."""
    if not all(counters for _, counters in pods):
        return None  # a pod has too many
    of_pods = [
        (rows.lifetime(window), summed([increase(one, window.step_s) / window.step_s for one in counters.values()]))
        for rows, counters in pods
    ]
    known = [(alive, work) for alive, work in of_pods if work is not None]
    return summed([work for _, work in known], [alive for alive, _ in known])


def _rows(
    declaring: Sequence[tuple[Workload, Mapping[PodKey, PodRows], str]],
) -> Iterable[tuple[PodKey, PodRows]]:
    return (item for _, of_pods, _ in declaring for item in of_pods.items())


def _read(
    reader: SeriesReader, metric: str, workloads: Sequence[Workload], window: Window, known: KnownPods
) -> dict[PodKey, _Counters]:
    """Return the counters of one name by pod, on a grid that starts one step early: they are used by their increase.

    A pod with more than `_MOST_SERIES` of them has none.
    """
    lead = Window(window.start_s - window.step_s, window.end_s, window.step_s)
    of_pods = [(workload.ref.namespace, pattern) for workload in workloads for pattern in patterns(workload, free=True)]
    found: dict[PodKey, _Counters] = {}
    too_many: set[PodKey] = set()
    for series in reader.series(by_pod({metric}, of_pods), lead):
        pod = pod_key(series.labels)
        if pod is None or pod in too_many or known.elsewhere(pod, series.labels):
            continue
        labels = frozenset(item for item in series.labels.items() if item[0] not in _SCRAPE_LABELS)
        before = found.setdefault(pod, {}).get(labels)
        found[pod][labels] = series.values if before is None else np.fmax(before, series.values)
        if len(found[pod]) > _MOST_SERIES:
            found[pod].clear()
            too_many.add(pod)
    return found


def _cards(
    reader: SeriesReader, present: Collection[str], uuids: Iterable[str], window: Window
) -> dict[str, dict[Signal, Grid]]:
    """Return the limit and the mean power of each card; the first exporter in the table wins, others fill its gaps."""
    limits = {metric.name: metric for metric in LIMITS if metric.name in present}
    energies = {name: joules for name, joules in ENERGY.items() if name in present}
    cards = sorted({uuid for uuid in uuids if uuid.startswith("GPU-")})
    names = {*limits, *energies}
    lead = Window(window.start_s - window.step_s, window.end_s, window.step_s)
    raw: dict[str, dict[str, Grid]] = {}
    for series in reader.series(by_uuid(names, cards) if names and cards else [], lead):
        key = device_key(series.labels)
        if key is None:
            continue
        name, of_name = series.labels["__name__"], raw.setdefault(key.uuid, {})
        of_name[name] = np.fmax(of_name[name], series.values) if name in of_name else series.values
    found: dict[str, dict[Signal, Grid]] = {}
    for uuid, by_name in raw.items():
        of_card = found.setdefault(uuid, {})
        for name, metric in limits.items():
            if name in by_name:
                _fill(of_card, Signal.POWER_LIMIT, to_base_units(by_name[name][1:], metric, window)[0])
        for name, joules in energies.items():
            if name in by_name:
                _fill(of_card, Signal.MEAN_POWER, increase(by_name[name], window.step_s) * joules / window.step_s)
    return found


def _fill(of_card: dict[Signal, Grid], signal: Signal, values: Grid) -> None:
    before = of_card.get(signal)
    of_card[signal] = values if before is None else np.where(np.isnan(before), values, before)


def with_work(series: UsageSeries, read: DeclaredWork) -> UsageSeries:
    """Return the series of a workload with its declared work; unchanged if it declares none."""
    metric = read.metrics.get(series.workload)
    if metric is None:
        return series
    return replace(
        series,
        devices=tuple(_with_card(device, read.cards) for device in series.devices),
        work_per_second=read.per_second[series.workload],
        work_metric=metric,
    )


def _with_card(device: DeviceSeries, cards: Mapping[str, Mapping[Signal, Grid]]) -> DeviceSeries:
    """Return a device with the limit and, unless it is a part of it, the mean power of its card.

    A MIG instance that has its own UUID has neither.
    """
    uuid, _, instance = device.device_uuid.partition("/")
    of_card = {signal: values for signal, values in cards.get(uuid, {}).items() if not instance or signal in _OF_PARTS}
    return replace(device, samples={**device.samples, **of_card}) if of_card else device
