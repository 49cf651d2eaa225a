"""Devices of a node at the times when they were not allocated to a pod.

A row without a pod is not sufficient evidence. With time-slicing the card has a row besides those of its pods.
dcgm-exporter drops the pod's labels when a pod ends. A dcgm-exporter that cannot reach the kubelet names no pods at
all. So a step counts as unallocated only if it is not between two samples of a pod's row of the same device, and only
while every GPU pod that the inventory has on the node is named by some row.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpuwise.model.inventory import Inventory, Node
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.pod_names import PodOwners
from gpuwise.sources.prometheus.cards import node_of
from gpuwise.sources.prometheus.devices import (
    Device,
    DeviceKey,
    Devices,
    Grid,
    Mask,
    PodKey,
    add_heartbeat,
    add_row,
    device_key,
    pod_key,
    span_of,
)
from gpuwise.sources.prometheus.names import NAMES_PODS, TARGET_LABELS, Family, MetricName, literal, pod_labels
from gpuwise.sources.prometheus.selections import by_node, by_uuid, chunks
from gpuwise.sources.prometheus.series import GridSeries, Match, Matcher, Selection, SeriesReader


@dataclass(slots=True)
class _NodeRows:
    """The rows of one node, merged as they arrive.

    Attributes:
        cards: rows without a pod.
        allocated: steps in which each pod's rows have a sample, by device and pod.
        divided: UUIDs and indices of cards that are divided into MIG instances.
        heartbeats: of all devices of the node.
        doubtful: rows whose pod may be the exporter's own, by that pod and the scraped address.
    """

    cards: Devices = field(default_factory=dict)
    allocated: dict[DeviceKey, dict[PodKey, Mask]] = field(default_factory=lambda: defaultdict(dict))
    divided: set[str] = field(default_factory=set)
    heartbeats: Devices = field(default_factory=dict)
    doubtful: dict[tuple[PodKey, str], Devices] = field(default_factory=lambda: defaultdict(dict))

    @property
    def pods(self) -> set[PodKey]:
        """Pods that at least one row names."""
        return {pod for steps in self.allocated.values() for pod in steps}

    def allocate(self, key: DeviceKey, pod: PodKey, sampled: Mask) -> None:
        """Record that a device was allocated to a pod."""
        before = self.allocated[key].get(pod)
        self.allocated[key][pod] = sampled if before is None else before | sampled


def unallocated(
    reader: SeriesReader,
    metrics: Sequence[MetricName],
    nodes: Sequence[Node],
    inventory: Inventory,
    window: Window,
    *,
    heartbeats: Collection[str] = (),
) -> dict[str, Devices]:
    """Return the devices of nodes, with the samples of the steps in which they were unallocated, by node.

    Args:
        reader: reads the series.
        metrics: available metrics.
        nodes: the nodes.
        inventory: the pods on the nodes.
        window: the grid.
        heartbeats: names of the available ones.

    Raises:
        SourceError: a response is not complete.
    """
    names = {metric.name: metric for metric in metrics if metric.family in NAMES_PODS}
    rows = {node.name: _NodeRows() for node in nodes}
    owners = PodOwners.of(inventory)
    for series in reader.series(by_node({*names, *heartbeats}, rows), window):
        node = node_of(series.labels, rows)
        if node is not None and series.labels["__name__"] in heartbeats:
            add_heartbeat(rows[node].heartbeats, series, series.values)
        elif node is not None:
            _sort_in(rows[node], names[series.labels["__name__"]], series, owners)
    _settle(reader, names, rows.values(), window)
    _add_sharers(reader, metrics, rows.values(), window)
    _add_claimed(rows, inventory, window)
    return {node.name: _free(rows[node.name], _unnamed(node, rows[node.name], inventory, window)) for node in nodes}


def _sort_in(rows: _NodeRows, metric: MetricName, series: GridSeries, owners: PodOwners) -> None:
    key, pod = device_key(series.labels), pod_key(series.labels)
    if key is None:
        return
    if key.gpu_instance_id:
        rows.divided |= {key.uuid, series.labels.get("gpu", key.uuid)}
    if pod is None:
        add_row(rows.cards, metric, series, series.values)
    elif pod_labels(series.labels) not in TARGET_LABELS or owners.owner(*pod) is not None:
        rows.allocate(key, pod, ~np.isnan(series.values))
    else:
        add_row(rows.doubtful[pod, series.labels.get("instance", "")], metric, series, series.values)


def _settle(reader: SeriesReader, names: Mapping[str, MetricName], rows: Iterable[_NodeRows], window: Window) -> None:
    """Distinguish exporters' own pods from workloads' pods: they are scrape targets at the address of their rows.

    Prometheus adds the labels of the scraped pod to rows without a pod.
    """
    nodes = list(rows)
    pods = sorted({pod[1] for one in nodes for pod, _ in one.doubtful})
    selections = [
        Selection(("up",), (Matcher(way.pod, Match.REGEX, "|".join(map(literal, some))),))
        for some in chunks(pods)
        for way in TARGET_LABELS
    ]
    targets = {(pod_key(up.labels), up.labels.get("instance", "")) for up in reader.series(selections, window)}
    for one in nodes:
        for (pod, instance), devices in one.doubtful.items():
            for key, device in devices.items():
                if (pod, instance) not in targets:
                    one.allocate(key, pod, device.sampled())
                    continue
                for name, values in device.raw.items():
                    one.cards.setdefault(key, Device()).add(names[name], device.rows[name], values)


def _add_sharers(
    reader: SeriesReader, metrics: Sequence[MetricName], rows: Iterable[_NodeRows], window: Window
) -> None:
    """Add the pods that share cards through HAMi. Only HAMi exports them; its rows name the card and not the node."""
    names = {metric.name for metric in metrics if metric.family is Family.HAMI}
    places = {key.uuid: one for one in rows for key in one.cards}
    for series in reader.series(by_uuid(names, sorted(places)), window):
        key, pod = device_key(series.labels), pod_key(series.labels)
        if key is not None and pod is not None:
            places[key.uuid].allocate(key, pod, ~np.isnan(series.values))


def _add_claimed(rows: Mapping[str, _NodeRows], inventory: Inventory, window: Window) -> None:
    """Add the cards of resource claims whose UUIDs are all known: no row needs to name their pods."""
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    for workload in inventory.workloads:
        for pod in workload.pods:
            node = rows.get(pod.node or "")
            if node is None or not pod.uses_node or any(not one.uuid or one.profile for one in pod.claimed):
                continue
            for device in pod.claimed:
                ran = ends_s > (pod.started_s or 0)
                node.allocate(DeviceKey(device.uuid, ""), (workload.ref.namespace, pod.name), ran)


def _unnamed(node: Node, rows: _NodeRows, inventory: Inventory, window: Window) -> Mask:
    """Return the steps in which a GPU pod is on the node that no row names: its devices are then unknown."""
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    unknown = np.zeros(window.steps, dtype=bool)
    for workload in inventory.workloads:
        for pod in workload.pods:
            if pod.node == node.name and pod.uses_node and (workload.ref.namespace, pod.name) not in rows.pods:
                unknown |= ends_s > (pod.started_s or 0)
    return unknown


def _free(rows: _NodeRows, unknown: Mask) -> Devices:
    """Return the cards' rows without allocated steps; a whole card beside its own instances is a duplicate."""
    found: Devices = {}
    for key, card in rows.cards.items():
        if not key.gpu_instance_id and rows.divided & {key.uuid, card.label(("gpu",))}:
            continue
        taken = unknown.copy()
        for sampled in _allocations(rows, key):
            taken |= span_of(sampled)
        free = {name: np.where(taken, np.nan, values) for name, values in card.raw.items()}
        if any(not np.isnan(values).all() for values in free.values()):
            found[key] = Device(card.rows, free, _heartbeats(rows, key))
    return found


def _heartbeats(rows: _NodeRows, key: DeviceKey) -> dict[str, Grid]:
    """Return the heartbeats of a device and, for a MIG instance, of its card."""
    found: dict[str, Grid] = {}
    for other in (DeviceKey(key.uuid, ""), key):
        if other in rows.heartbeats:
            found |= rows.heartbeats[other].heartbeats
    return found


def _allocations(rows: _NodeRows, key: DeviceKey) -> Iterator[Mask]:
    """Yield the allocations of a device: to pods on it, or on the card that it is an instance of."""
    for other in {key, DeviceKey(key.uuid, "")}:
        yield from rows.allocated.get(other, {}).values()
