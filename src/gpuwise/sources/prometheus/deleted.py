"""Pods that had GPUs in a window and that no workload of the inventory owns: their objects were deleted.

Only pods on nodes of the inventory count, unless matchers select this cluster: a pod on another node may be another
cluster's (I28).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gpuwise.model.inventory import Inventory
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.pod_names import PodOwners, series_owner
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.clusters import KnownPods
from gpuwise.sources.prometheus.devices import PodKey, add_row, measured, pod_key
from gpuwise.sources.prometheus.names import (
    NODE_LABELS,
    POD_LABELS,
    TARGET_LABELS,
    MetricName,
    literal,
    pod_labels,
)
from gpuwise.sources.prometheus.pods import POD_OWNER, Gathered, PodRows, older
from gpuwise.sources.prometheus.presence import label_sets
from gpuwise.sources.prometheus.selections import by_pod
from gpuwise.sources.prometheus.series import SeriesReader

_TARGET = ("namespace", "pod", "instance")
_POD = tuple(name for way in POD_LABELS for name in (way.namespace, way.pod))
_IDENTIFYING = tuple(dict.fromkeys((*_TARGET, *NODE_LABELS, *_POD)))
_SCRAPED = TARGET_LABELS[1:]
"""With these, collectors name the scraped pod, which for a device is usually the exporter: they show no deleted pod."""


def pods_without_workload(
    client: PrometheusClient,
    reader: SeriesReader,
    metrics: Sequence[MetricName],
    names: Sequence[str],
    inventory: Inventory,
    window: Window,
    *,
    named: bool,
) -> dict[str, Gathered]:
    """Return the pods that no workload owns, by namespace, with their series.

    Args:
        client: lists the pods.
        reader: reads the series.
        metrics: available GPU metrics.
        names: of these, the metrics that name pods.
        inventory: the workloads and nodes.
        window: the grid.
        named: whether kube-state-metrics exports the owners of pods.

    Raises:
        SourceError: a response is not complete.
    """
    owners = PodOwners.of(inventory)
    running = KnownPods.of(inventory).pods
    # A pod that is older than the workload of its name belonged to a deleted one.
    young = {one.ref: one.created_s for one in inventory.workloads if one.created_s > window.start_s}

    def may_be_deleted(pod: PodKey) -> bool:
        owner = owners.owner(*pod)
        return owner is None or (owner in young and pod not in running)

    pods = set(filter(may_be_deleted, _pods(client, names, inventory, window)))
    if not pods:
        return {}
    patterns = [(space, literal(pod)) for space, pod in sorted(pods)]
    by_name = {metric.name: metric for metric in metrics}
    wanted = {*by_name, *([POD_OWNER] if named else [])}
    gathered: Gathered = {}
    for series in reader.series(by_pod(wanted, patterns), window):
        pod = pod_key(series.labels)
        if pod is None or pod not in pods:
            continue
        rows = gathered.setdefault(pod, PodRows())
        if series.labels["__name__"] == POD_OWNER:
            rows.controller = series_owner(series.labels)
        else:
            add_row(rows.devices, by_name[series.labels["__name__"]], series, series.values)
    found: defaultdict[str, Gathered] = defaultdict(dict)
    for pod, rows in gathered.items():
        rows.devices = measured(rows.devices)
        owner = owners.owner(*pod, rows.controller)
        if rows.devices and (owner is None or (owner in young and older(rows, young[owner], window))):
            found[pod[0]][pod] = rows
    return dict(found)


def _pods(client: PrometheusClient, names: Sequence[str], inventory: Inventory, window: Window) -> Iterator[PodKey]:
    """Yield the pods that rows of devices name. An exporter's own pod is no such pod."""
    if not names:
        return
    known = KnownPods.of(inventory)
    targets = {_target(labels) for labels in label_sets(client, ["up"], 'pod!=""', _TARGET, window)}
    for labels in label_sets(client, names, "", _IDENTIFYING, window):
        pod, way = pod_key(labels), pod_labels(labels)
        # Prometheus adds the scrape target's pod to a row without a pod.
        if pod is None or way in _SCRAPED or (_target(labels) in targets and pod == _target(labels)[:2]):
            continue
        if client.settings.matchers or any(labels.get(name) in known.nodes for name in NODE_LABELS):
            yield pod


def _target(labels: Mapping[str, str]) -> tuple[str, str, str]:
    namespace, pod, instance = (labels.get(name, "") for name in _TARGET)
    return namespace, pod, instance
