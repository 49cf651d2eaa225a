"""Rows of cards that name no pod, and whose they are all the same.

nvidia_gpu_exporter reports cards and HAMi reports pods. A card's row is a fact about every pod on it: it may veto that
the pod is idle, and never counts twice. It becomes a pod's own measurement only where the inventory leaves no other
holder: the one GPU pod of a node, asking for all its cards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.inventory import Inventory, Node, Pod, Workload
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.devices import Device, DeviceKey, Devices, Mask, PodKey, add_row, span_of
from gpuwise.sources.prometheus.names import NODE_LABELS, Family, MetricName, first
from gpuwise.sources.prometheus.selections import by_node, by_uuid
from gpuwise.sources.prometheus.series import SeriesReader

_SHARED = "-SHARED"
"""GPU feature discovery appends it to the product of a node whose cards are time-sliced."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """The only GPU pod of a node, holding all its cards.

    Attributes:
        pod: whose.
        started_s: since when.
    """

    pod: PodKey
    started_s: int


def add_card_facts(
    reader: SeriesReader, metrics: Sequence[MetricName], pods: Mapping[PodKey, Devices], window: Window
) -> None:
    """Give pods' devices of whose work nothing is known what is said of their cards, for the time they held them.

    Under MIG dcgm-exporter's default metrics tell no work, and some HAMi set-ups tell the last kernel only. A card's
    memory is left out: it is not what one pod of several needs.

    Args:
        reader: where.
        metrics: that there are.
        pods: the devices by pod, which are added to.
        window: the grid.

    Raises:
        SourceError: an answer is not whole.
    """
    facts = {
        metric.name: metric
        for metric in metrics
        if metric.signal is not Signal.MEMORY_USED and metric.family is not Family.HAMI
    }
    silent = [
        (key, device)
        for devices in pods.values()
        for key, device in devices.items()
        if not device.tells_activity(metrics)
    ]
    selections = by_uuid(facts, sorted({key.uuid for key, _ in silent}))
    cards: Devices = {}
    for series in reader.series(selections, window):
        add_row(cards, facts[series.labels["__name__"]], series, series.values)
    for key, device in silent:
        if key in cards:
            _join(device, cards[key], facts, span_of(device.sampled()))


def _join(device: Device, card: Device, facts: Mapping[str, MetricName], alive: Mask) -> None:
    for name in card.raw.keys() - device.raw.keys():
        device.add(facts[name], card.rows[name], np.where(alive, card.raw[name], np.nan))


def tenants(workloads: Iterable[Workload], inventory: Inventory) -> dict[str, Tenant]:
    """The nodes that one pod of these workloads has to itself.

    Args:
        workloads: that are asked for.
        inventory: tells who else is on a node.
    """
    asked = {workload.ref for workload in workloads}
    on_node: dict[str, list[tuple[Workload, Pod]]] = {}
    for workload in inventory.workloads:
        for pod in workload.pods:
            if pod.node is not None and pod.phase not in {"Succeeded", "Failed"}:
                on_node.setdefault(pod.node, []).append((workload, pod))
    return {
        name: Tenant((here[0][0].ref.namespace, here[0][1].name), here[0][1].started_s)
        for name, here in on_node.items()
        if len(here) == 1
        and here[0][0].ref in asked
        and here[0][1].started_s is not None
        and _holds_all(here[0][0], inventory.nodes.get(name))
    }


def _holds_all(workload: Workload, node: Node | None) -> bool:
    request = workload.request
    if node is None or request is None or node.mig or _SHARED in node.gpu_product:
        return False
    return request.resource == GPU_RESOURCE and request.count == node.gpu_count


def cards_of_tenants(
    reader: SeriesReader, metrics: Sequence[MetricName], found: Mapping[str, Tenant], window: Window
) -> dict[PodKey, Devices]:
    """What nvidia_gpu_exporter says of the cards of nodes that one pod has to itself, since it has.

    Raises:
        SourceError: an answer is not whole.
    """
    names = {metric.name: metric for metric in metrics if metric.family is Family.SMI}
    pods: dict[PodKey, Devices] = {}
    for series in reader.series(by_node(names, found), window):
        node = node_of(series.labels, found)
        if node is None:
            continue
        ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
        values = np.where(ends_s > found[node].started_s, series.values, np.nan)
        add_row(pods.setdefault(found[node].pod, {}), names[series.labels["__name__"]], series, values)
    return {pod: {key: one for key, one in devices.items() if _whole(key)} for pod, devices in pods.items()}


def _whole(key: DeviceKey) -> bool:
    return not key.gpu_instance_id


def node_of(labels: Mapping[str, str], nodes: Iterable[str]) -> str | None:
    """Which of these nodes a row was read on, by a label or by the address it was scraped at; None if on none."""
    known = frozenset(nodes)
    hinted = first({name: labels[name] for name in NODE_LABELS if labels.get(name) in known}, NODE_LABELS)
    host = labels.get("instance", "").partition(":")[0]
    return hinted or (host if host in known else None)
