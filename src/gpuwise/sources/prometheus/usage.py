"""Usage from Prometheus: of any supported exporter, on one grid, in base units."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from gpuwise.model.errors import SourceError
from gpuwise.model.gpu import GpuType, gpu_type, mig_share, vgpu
from gpuwise.model.inventory import Inventory, Node, Workload, deleted_ref, node_ref
from gpuwise.model.ports import Cite
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.prometheus.cards import (
    add_card_facts,
    add_contradictions,
    cards_of_claims,
    cards_of_sole_pods,
    claimed_cards,
    pods_alone,
    sole_pods,
)
from gpuwise.sources.prometheus.citations import query
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings, Transport
from gpuwise.sources.prometheus.clusters import KnownPods, check_one_cluster, is_exporter
from gpuwise.sources.prometheus.deleted import pods_without_workload
from gpuwise.sources.prometheus.devices import Device, DeviceKey, Devices, Grid, Mask, PodKey, counted_once
from gpuwise.sources.prometheus.names import (
    HEARTBEATS,
    METRICS,
    MODEL_LABELS,
    NAMES_PODS,
    NODE_LABELS,
    Family,
    MetricName,
)
from gpuwise.sources.prometheus.nodes import unallocated
from gpuwise.sources.prometheus.past_nodes import past_nodes
from gpuwise.sources.prometheus.pods import POD_OWNER, PodRows, gather, of_workloads
from gpuwise.sources.prometheus.presence import count_by_name, present
from gpuwise.sources.prometheus.reader import PrometheusSeries
from gpuwise.sources.prometheus.requests import REQUEST_METRICS, of_workload
from gpuwise.sources.prometheus.series import SeriesReader
from gpuwise.sources.prometheus.sharing import pods_per_device
from gpuwise.sources.prometheus.units import metrics_of

__all__ = ["PrometheusSettings", "PrometheusUsage", "SourceCheck"]

_FAMILIES = {metric.name: metric.family for metric in METRICS}
_OTHER_NAMES = frozenset({*REQUEST_METRICS, *HEARTBEATS, POD_OWNER})
_LISTING = frozenset({Signal.GPU_UTIL, Signal.SM_ACTIVITY, Signal.MEMORY_USED})
"""Signals whose series list the pods: every exporter that names pods has at least one of them."""
_LISTS_CARDS = [one.name for one in METRICS if one.family is not Family.HAMI and one.signal in _LISTING]
"""Metrics of exporters that report all cards of a node."""
_READER: Callable[[PrometheusClient], SeriesReader] = PrometheusSeries


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """The GPU metrics of a Prometheus.

    Attributes:
        series: number of series that each GPU metric has now, by its name.
        families: their exporters.
    """

    series: Mapping[str, int]
    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class _Context:
    """What is needed to interpret the rows of devices.

    Attributes:
        metrics: available metrics in order of preference, with their units.
        heartbeats: names of the available ones.
        inventory: what the rows do not contain.
        window: the grid.
    """

    metrics: Sequence[MetricName]
    heartbeats: frozenset[str]
    inventory: Inventory
    window: Window


@dataclass(frozen=True, slots=True)
class PrometheusUsage:
    """Usage from Prometheus; implements `UsageSource`.

    Attributes:
        settings: server and authentication.
        nodes: names of resources and labels of nodes that are particular to the cluster.
        transport: replaces the network, for tests.
    """

    settings: PrometheusSettings
    nodes: InventorySettings = field(default_factory=InventorySettings, hash=False)
    transport: Transport | None = field(default=None, repr=False, compare=False)

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in the given order.

        All responses are read before the first series is returned.

        Args:
            workloads: the workloads; their current and deleted pods are read.
            inventory: GPU types of nodes whose series have none, and the other workloads that a pod may belong to.
            window: the grid.

        Raises:
            SourceError: the server is unreachable, or a response is an error, partial or invalid.
        """
        if not workloads:
            return iter(())
        with self._client() as client:
            names, others = self._present(client, window)
            context = _Context(metrics_of(client, names), HEARTBEATS & names, inventory, window)
            reader, known = _READER(client), KnownPods.of(inventory, others=others)
            gathered = gather(reader, context.metrics, names, workloads, window, known)
            pods = of_workloads(gathered, workloads, inventory, window)
            for one in pods:
                for rows in one.values():
                    rows.devices = counted_once(rows.devices, context.metrics)
            _add_cards(reader, context, workloads, pods)
            shares = pods_per_device(client, chain.from_iterable(_devices(one) for one in pods), _FAMILIES, window)
        return (_usage(workload, rows, shares, context) for workload, rows in zip(workloads, pods, strict=True))

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per node, in the given order, of its devices at the times when they were unallocated.

        Args:
            nodes: the nodes.
            inventory: the pods on the nodes.
            window: the grid.

        Raises:
            SourceError: as `read`.
        """
        if not nodes:
            return iter(())
        with self._client() as client:
            names, _ = self._present(client, window)
            context = _Context(metrics_of(client, names), HEARTBEATS & names, inventory, window)
            devices = unallocated(
                _READER(client), context.metrics, nodes, inventory, window, heartbeats=context.heartbeats
            )
        return (UsageSeries(node_ref(node), window, _of_node(node, devices[node.name], context)) for node in nodes)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series for each namespace with pods that no workload owns: see the port.

        Raises:
            SourceError: as `read`.
        """
        with self._client() as client:
            present, _ = self._present(client, window)
            context = _Context(metrics_of(client, present), HEARTBEATS & present, inventory, window)
            names = [one.name for one in context.metrics if one.family in NAMES_PODS and one.signal in _LISTING]
            spaces = pods_without_workload(
                client, _READER(client), context.metrics, names, inventory, window, named=POD_OWNER in present
            )
            for pods in spaces.values():
                for rows in pods.values():
                    rows.devices = counted_once(rows.devices, context.metrics)
            shares = pods_per_device(client, chain.from_iterable(map(_devices, spaces.values())), _FAMILIES, window)
        for space, pods in sorted(spaces.items()):
            found = tuple(
                _device_series(pod, key, device, None, shares.get(key, 1), context)
                for (_, pod), rows in sorted(pods.items())
                for key, device in sorted(rows.devices.items())
            )
            if found:
                yield UsageSeries(deleted_ref(space), window, found)

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """Return the nodes that no longer exist, where kube-state-metrics reports them: see the port.

        Raises:
            SourceError: as `read`.
        """
        with self._client() as client:
            return past_nodes(client, _LISTS_CARDS, inventory, window, self.nodes)

    @property
    def lists_allocations(self) -> bool:
        """Prometheus has only what an exporter measured: without samples, a GPU is not known to be free."""
        return False

    def cite(self, window: Window) -> Cite:
        """Return a function that gives the PromQL query for the samples behind a number.

        Raises:
            SourceError: as `read`.
        """
        with self._client() as client:
            names, _ = self._present(client, window)
        return lambda workload, evidence: query(workload, evidence, names, window, self.settings.matchers)

    def check(self) -> SourceCheck:
        """Return the GPU metrics that the server has now.

        Raises:
            SourceError: the server is unreachable, returned an error, or has no GPU metrics.
        """
        with self._client() as client:
            series = {name: count for name, count in count_by_name(client, _FAMILIES).items() if count}
        families = frozenset(family for name, family in _FAMILIES.items() if series.get(name))
        if not families:
            raise self._empty("now")
        return SourceCheck(series, families)

    def describe(self) -> str:
        """Describe in a sentence what can be read from the server now.

        Raises:
            SourceError: the server is unreachable, returned an error, or has no GPU metrics.
        """
        found = self.check()
        return f"{sum(found.series.values())} GPU series from {', '.join(sorted(found.families))}"

    def _empty(self, when: str) -> SourceError:
        return SourceError(
            f"Prometheus at {self.settings.shown_url} has no GPU metrics {when}",
            hint="run the gpuwise exporter or dcgm-exporter on the GPU nodes, and check that Prometheus scrapes it",
        )

    def _client(self) -> PrometheusClient:
        return PrometheusClient(self.settings, transport=self.transport)

    def _present(self, client: PrometheusClient, window: Window) -> tuple[frozenset[str], bool]:
        """Return the names of the metrics, and whether their series may be of several clusters."""
        found = present(client, {*_FAMILIES, *_OTHER_NAMES}, window)
        if not found.names - {POD_OWNER, *HEARTBEATS}:
            raise self._empty(f"in the window of {window.seconds / 3600:.1f} h")
        return found.names, check_one_cluster(client, found.selectors, window)


def _devices(pods: Mapping[PodKey, PodRows]) -> Iterator[tuple[DeviceKey, Device]]:
    return chain.from_iterable(rows.devices.items() for rows in pods.values())


def _add_cards(
    reader: SeriesReader, context: _Context, workloads: Sequence[Workload], pods: Sequence[Mapping[PodKey, PodRows]]
) -> None:
    """Add rows without a pod to the pods' devices, and to pods that no row names."""
    every = dict(chain.from_iterable(one.items() for one in pods))
    by_pod = {pod: rows.devices for pod, rows in every.items()}
    add_card_facts(reader, context.metrics, by_pod, context.window, heartbeats=context.heartbeats)
    unnamed = {
        uuid: one
        for uuid, one in claimed_cards(workloads).items()
        if one.pod in by_pod and uuid not in {key.uuid for key in by_pod[one.pod]}
    }
    claimed = cards_of_claims(
        reader, context.metrics, unnamed, context.inventory, context.window, heartbeats=context.heartbeats
    )
    for pod, devices in claimed.items():
        by_pod[pod] |= devices
    alone = by_pod.keys() & pods_alone(workloads, context.inventory)
    add_contradictions(reader, context.metrics, {pod: by_pod[pod] for pod in alone}, context.window)
    if any(metric.family is Family.SMI for metric in context.metrics):
        sole = sole_pods(workloads, context.inventory)
        unmeasured = {node: one for node, one in sole.items() if not by_pod.get(one.pod)}
        for pod, devices in cards_of_sole_pods(reader, context.metrics, unmeasured, context.window).items():
            every[pod].devices = devices


def _usage(
    workload: Workload, pods: Mapping[PodKey, PodRows], shares: Mapping[DeviceKey, int], context: _Context
) -> UsageSeries:
    nodes = {pod.name: pod.node for pod in workload.pods}
    devices = tuple(
        _device_series(pod, key, device, nodes.get(pod), shares.get(key, 1), context)
        for (_, pod), rows in pods.items()
        for key, device in sorted(rows.devices.items())
    )
    return UsageSeries(workload.ref, context.window, devices, of_workload(_lifetimes(workload, pods, context.window)))


def _lifetimes(workload: Workload, pods: Mapping[PodKey, PodRows], window: Window) -> list[tuple[Mask, Grid | None]]:
    """Return when each pod ran, and its requests; a pending pod receives none."""
    alive = {(workload.ref.namespace, pod.name): pod for pod in workload.pods}
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    lifetimes = []
    for key, rows in pods.items():
        pod = alive.get(key)
        if pod is None:
            ran = rows.lifetime(window)
        elif pod.node is None:
            continue
        else:
            ran = ends_s > (pod.started_s or 0)
        lifetimes.append((ran, None if rows.requests is None else rows.requests.per_second()))
    return lifetimes


def _of_node(node: Node, devices: Devices, context: _Context) -> tuple[DeviceSeries, ...]:
    return tuple(_device_series("", key, device, node.name, 1, context) for key, device in sorted(devices.items()))


def _device_series(
    pod: str, key: DeviceKey, device: Device, node: str | None, shared_by: int, context: _Context
) -> DeviceSeries:
    named = [name for name in _named_nodes(device) if not is_exporter(name)]
    # A pod on a node that no longer exists: what its rows call the node is what it is remembered by.
    node = node or next((name for name in named if name in context.inventory.nodes), next(iter(named), None))
    card = _card(device, node, context.inventory)
    samples, dropped = device.samples(context.metrics, context.window)
    return DeviceSeries(
        pod=pod,
        device_uuid=key.name,
        gpu_fraction=_fraction(device, card) / shared_by,
        gpu_type=card.name if card else None,
        node=node,
        samples=samples,
        dropped_samples=dropped,
        heartbeats=tuple(device.heartbeats[name] for name in sorted(device.heartbeats)),
    )


def _fraction(device: Device, card: GpuType | None) -> float:
    """Return what part of a card a device is: a MIG instance, or a vGPU."""
    share = mig_share(device.mig_profile, card) if device.mig_profile else None
    part = vgpu(device.label(MODEL_LABELS) or "")
    return share if share is not None else part[1] if part else 1.0


def _named_nodes(device: Device) -> Iterator[str]:
    return (labels[name] for labels in device.rows.values() for name in NODE_LABELS if name in labels)


def _card(device: Device, node: str | None, inventory: Inventory) -> GpuType | None:
    """Return the card's GPU type by its series, else by its node."""
    named = gpu_type(device.label(MODEL_LABELS) or "")
    if named is not None:
        return named
    found = inventory.nodes.get(node or "")
    return found.gpu_type if found else None
