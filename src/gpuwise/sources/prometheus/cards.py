"""Rows of cards that name no pod, and the pods that they can be attributed to.

nvidia_gpu_exporter reports cards and HAMi reports pods. A card's row applies to every pod on the card: it can show that
a pod is not idle, and it is never counted twice. Where it is busier than the rows of a pod that has the card alone, the
card's row is right. It counts as a pod's own measurement only if no other pod can use the
card: the pod is the only GPU pod of its node and requests all its cards.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.inventory import Inventory, Node, Pod, Workload
from gpuwise.model.labels import GPU_CLASS, GPU_RESOURCE
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.devices import (
    Device,
    DeviceKey,
    Devices,
    Mask,
    PodKey,
    add_heartbeat,
    add_row,
    device_key,
    measured,
    pod_key,
    span_of,
)
from gpuwise.sources.prometheus.names import INSTANCE_LABELS, NAMES_PODS, NODE_LABELS, Family, MetricName, first
from gpuwise.sources.prometheus.selections import by_node, by_uuid
from gpuwise.sources.prometheus.series import SeriesReader

_SHARED = "-SHARED"
"""Suffix that GPU feature discovery appends to the product of a node whose cards are time-sliced."""


@dataclass(frozen=True, slots=True)
class SolePod:
    """The only GPU pod of a node, which has all its cards.

    Attributes:
        pod: the pod.
        started_s: start time of the pod, epoch seconds.
    """

    pod: PodKey
    started_s: int


def add_card_facts(
    reader: SeriesReader,
    metrics: Sequence[MetricName],
    pods: Mapping[PodKey, Devices],
    window: Window,
    *,
    heartbeats: Collection[str] = (),
) -> None:
    """Add the rows of cards to pods' devices, for the time in which a pod had the device.

    They are added to devices without an activity metric, and to devices that only HAMi measures and only one pod uses:
    HAMi's utilisation of a container can stay at 0 while its card works, and a busy card contradicts that.

    Under MIG, dcgm-exporter's default metrics contain no activity, and some HAMi installations export only the last
    kernel. The memory of a card is not added: it is not what one of several pods needs.

    Args:
        reader: reads the series.
        metrics: available metrics.
        pods: devices by pod; rows are added to them.
        window: the grid.
        heartbeats: names of the available ones.

    Raises:
        SourceError: a response is not complete.
    """
    facts = {
        metric.name: metric
        for metric in metrics
        if metric.signal is not Signal.MEMORY_USED and metric.family is not Family.HAMI
    }
    families = {metric.name: metric.family for metric in metrics}
    by_hami = {
        pod: {key: one for key, one in devices.items() if {families[name] for name in one.raw} == {Family.HAMI}}
        for pod, devices in pods.items()
    }
    alone = _alone(reader, [name for name, family in families.items() if family is Family.HAMI], by_hami, window)
    unmeasured = [
        (key, device)
        for pod, devices in pods.items()
        for key, device in devices.items()
        if not device.reports_activity(metrics) or (pod, key.uuid) in alone
    ]
    selections = by_uuid({*facts, *heartbeats}, sorted({key.uuid for key, _ in unmeasured}))
    cards: Devices = {}
    for series in reader.series(selections, window):
        if series.labels["__name__"] in heartbeats:
            add_heartbeat(cards, series, series.values)
        else:
            add_row(cards, facts[series.labels["__name__"]], series, series.values)
    for key, device in unmeasured:
        if key in cards:
            _join(device, cards[key], facts, span_of(device.sampled()))


def _alone(
    reader: SeriesReader, names: Sequence[str], pods: Mapping[PodKey, Devices], window: Window
) -> set[tuple[PodKey, str]]:
    """Find the pods that are the only ones with HAMi rows on a card, with the card's UUID."""
    users: dict[str, set[PodKey]] = {key.uuid: {pod} for pod, devices in pods.items() for key in devices}
    for series in reader.series(by_uuid(names, sorted(users)) if names else [], window):
        key, pod = device_key(series.labels), pod_key(series.labels)
        if key is not None and pod is not None and key.uuid in users:
            users[key.uuid].add(pod)
    return {(pod, uuid) for uuid, found in users.items() if len(found) == 1 for pod in found}


def _join(device: Device, card: Device, facts: Mapping[str, MetricName], alive: Mask) -> None:
    for name in card.raw.keys() - device.raw.keys():
        device.add(facts[name], card.rows[name], np.where(alive, card.raw[name], np.nan))
    device.heartbeats = card.heartbeats | device.heartbeats


def pods_alone(workloads: Iterable[Workload], inventory: Inventory) -> set[PodKey]:
    """Find the running pods that share their cards with no other pod, by what they request and by their nodes."""
    return {
        (workload.ref.namespace, pod.name)
        for workload in workloads
        for pod in workload.pods
        if pod.uses_node and not workload.shares_card and all(one.pods == 1 for one in pod.claimed)
        if not _is_shared(inventory.nodes.get(pod.node or ""))
    }


def _is_shared(node: Node | None) -> bool:
    return node is None or _SHARED in node.gpu_product or node.pods_per_gpu > 1


def add_contradictions(
    reader: SeriesReader, metrics: Sequence[MetricName], pods: Mapping[PodKey, Devices], window: Window
) -> None:
    """Add the rows of cards that name no pod to the devices of pods that have these cards alone.

    Args:
        reader: reads the series.
        metrics: available metrics.
        pods: devices by pod; the rows are added to whole cards.
        window: the grid.

    Raises:
        SourceError: a response is not complete.
    """
    facts = {metric.name: metric for metric in metrics if metric.signal is not Signal.MEMORY_USED}
    devices = {key: one for found in pods.values() for key, one in found.items() if _whole(key) and one.raw}
    uuids = sorted({key.uuid for key in devices})
    cards = {name for name, metric in facts.items() if metric.family is Family.SMI}
    listing = {name for name, metric in facts.items() if metric.family in NAMES_PODS}
    alive: dict[DeviceKey, Mask] = {}
    for series in reader.series([*by_uuid(cards, uuids), *by_uuid(listing, uuids, podless=True)], window):
        key = device_key(series.labels)
        if key is None or key not in devices or first(series.labels, INSTANCE_LABELS):
            continue
        device, name = devices[key], series.labels["__name__"]
        alive.setdefault(key, span_of(device.sampled()))
        values = np.where(alive[key], series.values, np.nan)
        device.card[name] = np.fmax(device.card[name], values) if name in device.card else values


def sole_pods(workloads: Iterable[Workload], inventory: Inventory) -> dict[str, SolePod]:
    """Find the nodes whose only GPU pod is a pod of these workloads and has all cards.

    Args:
        workloads: the workloads to read.
        inventory: all pods, by which other pods of a node are found.
    """
    wanted = {workload.ref for workload in workloads}
    on_node: dict[str, list[tuple[Workload, Pod]]] = {}
    for workload in inventory.workloads:
        for pod in workload.pods:
            if pod.node is not None and pod.uses_node:
                on_node.setdefault(pod.node, []).append((workload, pod))
    return {
        name: SolePod((here[0][0].ref.namespace, here[0][1].name), here[0][1].started_s)
        for name, here in on_node.items()
        if len(here) == 1
        and here[0][0].ref in wanted
        and here[0][1].started_s is not None
        and _requests_all(here[0][0], inventory.nodes.get(name))
    }


def _requests_all(workload: Workload, node: Node | None) -> bool:
    request = workload.request
    if node is None or request is None or node.mig or _SHARED in node.gpu_product or node.pods_per_gpu > 1:
        return False
    return request.resource in (GPU_RESOURCE, GPU_CLASS) and request.count == node.gpu_count


def cards_of_sole_pods(
    reader: SeriesReader, metrics: Sequence[MetricName], found: Mapping[str, SolePod], window: Window
) -> dict[PodKey, Devices]:
    """Read nvidia_gpu_exporter's rows of nodes with one sole pod, from the start of that pod on.

    Raises:
        SourceError: a response is not complete.
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


def claimed_cards(workloads: Iterable[Workload]) -> dict[str, SolePod]:
    """Find the cards that a resource claim gives to one pod alone, by UUID: their rows are the pod's (I30)."""
    return {
        device.uuid: SolePod((workload.ref.namespace, pod.name), pod.started_s)
        for workload in workloads
        for pod in workload.pods
        if pod.uses_node and pod.started_s is not None
        for device in pod.claimed
        if device.uuid and not device.profile and device.pods == 1
    }


def cards_of_claims(
    reader: SeriesReader,
    metrics: Sequence[MetricName],
    found: Mapping[str, SolePod],
    inventory: Inventory,
    window: Window,
    *,
    heartbeats: Collection[str] = (),
) -> dict[PodKey, Devices]:
    """Read the rows of claimed cards that name no GPU pod, from the start of the pod on.

    dcgm-exporter names the pods of resource claims only if it is configured to (kubernetes-enable-dra).

    Args:
        reader: reads the series.
        metrics: available metrics.
        found: claimed cards by UUID.
        inventory: the GPU pods.
        window: the grid.
        heartbeats: names of the available ones.

    Raises:
        SourceError: a response is not complete.
    """
    names = {metric.name: metric for metric in metrics if metric.family is not Family.HAMI}
    known = {(workload.ref.namespace, pod.name) for workload in inventory.workloads for pod in workload.pods}
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    pods: dict[PodKey, Devices] = {}
    for series in reader.series(by_uuid({*names, *heartbeats}, sorted(found)), window):
        key = device_key(series.labels)
        # A pod that is not a GPU pod is the exporter's own, which Prometheus adds to rows without a pod.
        if key is None or key.uuid not in found or not _whole(key) or pod_key(series.labels) in known:
            continue
        values = np.where(ends_s > found[key.uuid].started_s, series.values, np.nan)
        devices = pods.setdefault(found[key.uuid].pod, {})
        if series.labels["__name__"] in heartbeats:
            add_heartbeat(devices, series, values)
        elif not np.isnan(values).all():
            add_row(devices, names[series.labels["__name__"]], series, values)
    return {pod: measured(devices) for pod, devices in pods.items()}


def _whole(key: DeviceKey) -> bool:
    return not key.gpu_instance_id


def node_of(labels: Mapping[str, str], nodes: Iterable[str]) -> str | None:
    """Return which of these nodes a row was read on, by a label or by the scraped address; None if on none."""
    known = frozenset(nodes)
    hinted = first({name: labels[name] for name in NODE_LABELS if labels.get(name) in known}, NODE_LABELS)
    host = labels.get("instance", "").partition(":")[0]
    return hinted or (host if host in known else None)
