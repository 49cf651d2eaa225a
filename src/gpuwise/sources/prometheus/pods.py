"""The pods that workloads had in a window, with their series in Prometheus."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from gpuwise.model.inventory import Inventory, Workload, WorkloadClass
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.pod_names import Owner, PodOwners, patterns, series_owner
from gpuwise.sources.prometheus.clusters import KnownPods
from gpuwise.sources.prometheus.devices import Devices, Mask, PodKey, add_heartbeat, add_row, measured, pod_key, span_of
from gpuwise.sources.prometheus.names import HEARTBEATS, REQUEST_METRICS, MetricName
from gpuwise.sources.prometheus.requests import Requests
from gpuwise.sources.prometheus.selections import by_pod
from gpuwise.sources.prometheus.series import GridSeries, Selection, SeriesReader

POD_OWNER = "kube_pod_owner"
"""kube-state-metrics' series with a pod's owner, which is kept after the pod is deleted."""


@dataclass(slots=True)
class PodRows:
    """The series of one pod.

    Attributes:
        devices: devices that were allocated to it.
        requests: requests that reached it, None if no metric reports them.
        scrapes: the same in steps of SCRAPE_S, read for endpoints only.
        controller: its controller according to kube-state-metrics, None if there is no such series.
    """

    devices: Devices = field(default_factory=dict)
    requests: Requests | None = None
    scrapes: Requests | None = None
    controller: Owner | None = None

    def lifetime(self, window: Window) -> Mask:
        """Return the steps from its first to its last sample."""
        sampled = [device.sampled() for device in self.devices.values()]
        if self.requests is not None:
            sampled.append(~np.isnan(self.requests.per_second()))
        return span_of(np.any(sampled, axis=0)) if sampled else np.zeros(window.steps, dtype=bool)


Gathered = dict[PodKey, PodRows]


def gather(
    reader: SeriesReader,
    metrics: Sequence[MetricName],
    present: Collection[str],
    workloads: Sequence[Workload],
    window: Window,
    known: KnownPods,
) -> Gathered:
    """Read all series of the pods that these workloads may have had.

    Args:
        reader: reads the series.
        metrics: available GPU metrics.
        present: names of all available metrics.
        workloads: the workloads.
        window: the grid.
        known: pods and nodes of this cluster; a series of another cluster is not used.

    Raises:
        SourceError: a response is not complete.
    """
    by_name = {metric.name: metric for metric in metrics}
    names = {*by_name, *(set(present) & {*REQUEST_METRICS, *HEARTBEATS, POD_OWNER})}
    free = POD_OWNER in names
    # A counter is used by its increase, so the step before the window is read, too.
    lead = Window(window.start_s - window.step_s, window.end_s, window.step_s)
    fine = lead.scraped
    chosen = [one for one in workloads if fine is None or one.workload_class is not WorkloadClass.ENDPOINT]
    endpoints = [one for one in workloads if fine is not None and one.workload_class is WorkloadClass.ENDPOINT]
    of_requests = names & REQUEST_METRICS.keys()

    def selections(which: Collection[str], some: Iterable[Workload]) -> list[Selection]:
        pods = [(one.ref.namespace, pattern) for one in some for pattern in patterns(one, free=free)]
        return by_pod(which, pods) if which else []

    found = [reader.series([*selections(names, chosen), *selections(names - of_requests, endpoints)], lead)]
    if fine is not None and endpoints and of_requests:  # read once: the window's steps are joined from these
        found.append(reader.series(selections(of_requests, endpoints), fine))
    gathered: Gathered = {}
    for series in chain.from_iterable(found):
        pod = pod_key(series.labels)
        if pod is None or known.elsewhere(pod, series.labels):
            continue
        # Requests that may be another pod's can only add use.
        is_row = series.labels["__name__"] not in {*REQUEST_METRICS, POD_OWNER}
        if not (is_row and known.untold(pod, series.labels)):
            until_s = known.ended_s(pod, series.labels) if is_row else None
            _take(gathered.setdefault(pod, PodRows()), _until(series, until_s, lead), by_name, lead)
    for rows in gathered.values():
        rows.devices = measured(rows.devices)
    return gathered


def _until(series: GridSeries, until_s: int | None, window: Window) -> GridSeries:
    """Return a series without its values after some time; None keeps all."""
    if until_s is None:
        return series
    starts_s = window.start_s + window.step_s * np.arange(window.steps)
    return replace(series, values=np.where(starts_s < until_s, series.values, np.nan))


def _take(rows: PodRows, series: GridSeries, metrics: Mapping[str, MetricName], lead: Window) -> None:
    name = series.labels["__name__"]
    if name == POD_OWNER:
        rows.controller = series_owner(series.labels)
    elif name in REQUEST_METRICS:
        rows.requests = rows.requests or Requests(lead)
        fine = lead.scraped
        if fine is not None and series.values.size == fine.steps:
            rows.scrapes = rows.scrapes or Requests(fine)
            rows.scrapes.add(series)
            series = rows.scrapes.coarser(series, lead)
        rows.requests.add(series)
    elif name in HEARTBEATS:
        add_heartbeat(rows.devices, series, series.values[1:])
    elif not np.isnan(series.values[1:]).all():
        add_row(rows.devices, metrics[name], series, series.values[1:])


def of_workloads(
    gathered: Gathered, workloads: Sequence[Workload], inventory: Inventory, window: Window
) -> list[dict[PodKey, PodRows]]:
    """Return the pods of each workload: its current pods, then deleted pods that are certainly its own.

    Pods that are older than the workload belonged to a deleted workload of the same name.
    """
    owners = PodOwners.of(inventory, workloads)
    found: dict[object, dict[PodKey, PodRows]] = {workload.ref: _alive(workload, gathered) for workload in workloads}
    created_s = {workload.ref: workload.created_s for workload in workloads}
    for pod, rows in sorted(gathered.items(), key=lambda item: item[0]):
        owner = owners.owner(*pod, rows.controller)
        if owner in created_s and not older(rows, created_s[owner], window):
            found[owner].setdefault(pod, rows)
    return [found[workload.ref] for workload in workloads]


def _alive(workload: Workload, gathered: Gathered) -> dict[PodKey, PodRows]:
    keys: Iterable[PodKey] = ((workload.ref.namespace, pod.name) for pod in workload.pods)
    return {key: gathered.get(key) or PodRows() for key in keys}


def older(rows: PodRows, created_s: int, window: Window) -> bool:
    """Return whether a pod had run for a whole step before that instant."""
    alive = np.flatnonzero(rows.lifetime(window))
    return bool(alive.size) and window.start_s + (int(alive[0]) + 1) * window.step_s <= created_s
