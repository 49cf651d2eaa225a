"""Devices of a node at the times when no pod held them.

A row without a pod is no proof: with time-slicing the card's own row stays beside those of its pods, dcgm-exporter
drops the pod's labels when a pod ends, and one that cannot reach the kubelet names no pod at all. So a step counts as
unheld only where no pod's row of the same device has it between two samples, and only while every GPU pod that the
inventory has on the node is named by some row of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    Mask,
    PodKey,
    add_row,
    device_key,
    pod_key,
    span_of,
)
from gpuwise.sources.prometheus.names import NAMES_PODS, Family, MetricName, literal
from gpuwise.sources.prometheus.selections import by_node, by_uuid, chunks
from gpuwise.sources.prometheus.series import GridSeries, Match, Matcher, Selection, SeriesReader


@dataclass(slots=True)
class _Seen:
    """The rows of one node, merged as they come.

    Attributes:
        cards: rows without a pod.
        held: steps in which each pod's rows have a sample, by device and pod.
        cut: UUIDs and indices of cards that instances were cut from.
        doubtful: rows whose pod may be the exporter's own, by that pod and the address it was scraped at.
    """

    cards: Devices = field(default_factory=dict)
    held: dict[DeviceKey, dict[PodKey, Mask]] = field(default_factory=lambda: defaultdict(dict))
    cut: set[str] = field(default_factory=set)
    doubtful: dict[tuple[PodKey, str], Devices] = field(default_factory=lambda: defaultdict(dict))

    @property
    def pods(self) -> set[PodKey]:
        """Pods that some row names."""
        return {pod for held in self.held.values() for pod in held}

    def hold(self, key: DeviceKey, pod: PodKey, sampled: Mask) -> None:
        """Note that a pod held a device."""
        before = self.held[key].get(pod)
        self.held[key][pod] = sampled if before is None else before | sampled


def unheld(
    reader: SeriesReader, metrics: Sequence[MetricName], nodes: Sequence[Node], inventory: Inventory, window: Window
) -> dict[str, Devices]:
    """The devices of these nodes, with the samples of the steps in which no pod held them, by node.

    Args:
        reader: where.
        metrics: that there are.
        nodes: which.
        inventory: tells which pods are there.
        window: the grid.

    Raises:
        SourceError: an answer is not whole.
    """
    names = {metric.name: metric for metric in metrics if metric.family in NAMES_PODS}
    seen = {node.name: _Seen() for node in nodes}
    owners = PodOwners(inventory.workloads)
    for series in reader.series(by_node(names, seen), window):
        node = node_of(series.labels, seen)
        if node is not None:
            _sort_in(seen[node], names[series.labels["__name__"]], series, owners)
    _settle(reader, names, seen.values(), window)
    _add_sharers(reader, metrics, seen.values(), window)
    return {node.name: _free(seen[node.name], _unnamed(node, seen[node.name], inventory, window)) for node in nodes}


def _sort_in(seen: _Seen, metric: MetricName, series: GridSeries, owners: PodOwners) -> None:
    key, pod = device_key(series.labels), pod_key(series.labels)
    if key is None:
        return
    if key.gpu_instance_id:
        seen.cut |= {key.uuid, series.labels.get("gpu", key.uuid)}
    if pod is None:
        add_row(seen.cards, metric, series, series.values)
    elif pod != _own_pod(series.labels) or owners.owner(*pod) is not None:
        seen.hold(key, pod, ~np.isnan(series.values))
    else:
        add_row(seen.doubtful[pod, series.labels.get("instance", "")], metric, series, series.values)


def _own_pod(labels: Mapping[str, str]) -> PodKey:
    """The pod of the scraped target, if the row says it: Prometheus lays it on rows that name none."""
    return labels.get("namespace", ""), labels.get("pod", "")


def _settle(reader: SeriesReader, names: Mapping[str, MetricName], seen: Iterable[_Seen], window: Window) -> None:
    """Tell the exporters' own pods, which are scrape targets at the very address of their rows, from holders."""
    nodes = list(seen)
    pods = sorted({pod[1] for one in nodes for pod, _ in one.doubtful})
    asked = [Selection(("up",), (Matcher("pod", Match.REGEX, "|".join(map(literal, some))),)) for some in chunks(pods)]
    targets = {(pod_key(up.labels), up.labels.get("instance", "")) for up in reader.series(asked, window)}
    for one in nodes:
        for (pod, instance), devices in one.doubtful.items():
            for key, device in devices.items():
                if (pod, instance) not in targets:
                    one.hold(key, pod, device.sampled())
                    continue
                for name, values in device.raw.items():
                    one.cards.setdefault(key, Device()).add(names[name], device.rows[name], values)


def _add_sharers(reader: SeriesReader, metrics: Sequence[MetricName], seen: Iterable[_Seen], window: Window) -> None:
    """HAMi alone knows the pods that share by it; its rows name the card and not the node."""
    names = {metric.name for metric in metrics if metric.family is Family.HAMI}
    places = {key.uuid: one for one in seen for key in one.cards}
    for series in reader.series(by_uuid(names, sorted(places)), window):
        key, pod = device_key(series.labels), pod_key(series.labels)
        if key is not None and pod is not None:
            places[key.uuid].hold(key, pod, ~np.isnan(series.values))


def _unnamed(node: Node, seen: _Seen, inventory: Inventory, window: Window) -> Mask:
    """Steps in which a GPU pod runs on the node that no row names: whose the devices are is then not known."""
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    unknown = np.zeros(window.steps, dtype=bool)
    for workload in inventory.workloads:
        for pod in workload.pods:
            if pod.node == node.name and pod.phase == "Running" and (workload.ref.namespace, pod.name) not in seen.pods:
                unknown |= ends_s > (pod.started_s or 0)
    return unknown


def _free(seen: _Seen, unknown: Mask) -> Devices:
    """The cards' rows without the held steps; a whole card beside its own instances is the same card again."""
    found: Devices = {}
    for key, card in seen.cards.items():
        if not key.gpu_instance_id and seen.cut & {key.uuid, card.label(("gpu",))}:
            continue
        taken = unknown.copy()
        for held in _holding(seen, key):
            taken |= span_of(held)
        free = {name: np.where(taken, np.nan, values) for name, values in card.raw.items()}
        if any(not np.isnan(values).all() for values in free.values()):
            found[key] = Device(card.rows, free)
    return found


def _holding(seen: _Seen, key: DeviceKey) -> Iterator[Mask]:
    """What holds a device: pods on it, or on the whole card that it is cut from."""
    for other in {key, DeviceKey(key.uuid, "")}:
        yield from seen.held.get(other, {}).values()
