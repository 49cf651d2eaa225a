"""Usage from Prometheus: of any supported exporter, on one grid, in base units."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from gpuwise.model.checks import CheckResult
from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import Inventory, Node, Workload, deleted_ref, node_ref
from gpuwise.model.ports import Cite
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.prometheus.absence import nothing_found
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
from gpuwise.sources.prometheus.clusters import KnownPods, check_one_cluster
from gpuwise.sources.prometheus.conversion import Context, device_series, devices_of, usage_of
from gpuwise.sources.prometheus.deleted import pods_without_workload
from gpuwise.sources.prometheus.devices import Device, DeviceKey, PodKey, counted_once
from gpuwise.sources.prometheus.examination import Examination
from gpuwise.sources.prometheus.names import (
    HEARTBEATS,
    LIMITS,
    LISTING,
    METRICS,
    NAMES_PODS,
    OWN_METRICS,
    REQUEST_METRICS,
    Family,
)
from gpuwise.sources.prometheus.nodes import unallocated
from gpuwise.sources.prometheus.parts import own_uses
from gpuwise.sources.prometheus.past_nodes import past_nodes
from gpuwise.sources.prometheus.pods import POD_OWNER, PodRows, gather, of_workloads
from gpuwise.sources.prometheus.presence import count_by_name, present
from gpuwise.sources.prometheus.reader import PrometheusSeries
from gpuwise.sources.prometheus.series import SeriesReader
from gpuwise.sources.prometheus.sharing import pods_per_device
from gpuwise.sources.prometheus.units import metrics_of
from gpuwise.sources.prometheus.work import declared_work, with_work

__all__ = ["PrometheusSettings", "PrometheusUsage", "SourceCheck"]

_FAMILIES = {metric.name: metric.family for metric in METRICS}
_SHOW_NO_USE = frozenset({POD_OWNER, *HEARTBEATS, *(metric.name for metric in (*LIMITS, *OWN_METRICS))})
_OTHER_NAMES = frozenset({*REQUEST_METRICS, *_SHOW_NO_USE})
_LISTS_CARDS = [one.name for one in METRICS if one.family is not Family.HAMI and one.signal in LISTING]
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
            context = Context(metrics_of(client, names, window), HEARTBEATS & names, inventory, window)
            reader, known = _READER(client), KnownPods.of(inventory, others=others)
            gathered = gather(reader, context.metrics, names, workloads, window, known)
            pods = of_workloads(gathered, workloads, inventory, window)
            for one in pods:
                for rows in one.values():
                    rows.devices = counted_once(rows.devices, context.metrics)
            _add_cards(reader, context, workloads, pods)
            shares = pods_per_device(client, chain.from_iterable(_devices(one) for one in pods), _FAMILIES, window)
            own = own_uses(reader, names, _holders(pods), shares, context)
            work = declared_work(reader, names, workloads, pods, window, known)
        return (
            with_work(usage_of(workload, rows, shares, context, own), work)
            for workload, rows in zip(workloads, pods, strict=True)
        )

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
            context = Context(metrics_of(client, names, window), HEARTBEATS & names, inventory, window)
            devices = unallocated(
                _READER(client), context.metrics, nodes, inventory, window, heartbeats=context.heartbeats
            )
        return (UsageSeries(node_ref(node), window, devices_of(node, devices[node.name], context)) for node in nodes)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series for each namespace with pods that no workload owns: see the port.

        Raises:
            SourceError: as `read`.
        """
        with self._client() as client:
            present, _ = self._present(client, window)
            context = Context(metrics_of(client, present, window), HEARTBEATS & present, inventory, window)
            names = [one.name for one in context.metrics if one.family in NAMES_PODS and one.signal in LISTING]
            spaces = pods_without_workload(
                client, _READER(client), context.metrics, names, inventory, window, named=POD_OWNER in present
            )
            for pods in spaces.values():
                for rows in pods.values():
                    rows.devices = counted_once(rows.devices, context.metrics)
            shares = pods_per_device(client, chain.from_iterable(map(_devices, spaces.values())), _FAMILIES, window)
            own = own_uses(_READER(client), present, _holders(spaces.values()), shares, context)
        for space, pods in sorted(spaces.items()):
            found = tuple(
                device_series(pod, key, device, None, shares.get(key, 1), context, own.get(((namespace, pod), key)))
                for (namespace, pod), rows in sorted(pods.items())
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

    def identity(self) -> Mapping[str, str]:
        """Return the server's address and version, and the labels that select the cluster: see the port.

        Raises:
            SourceError: as `read`.
        """
        with self._client() as client:
            try:
                build = client.build()
                version = f" {build.name} {build.version or ''}".rstrip()
            except SourceError:
                client.instant("vector(1)")  # the error of a server that does not respond at all
                version = ""
            matchers = ",".join(f"{name}={value}" for name, value in sorted(self.settings.matchers.items()))
            return {"Prometheus": f"{client.shown_url}{version}", "matchers": matchers}

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
                raise nothing_found(client, sorted(_FAMILIES), "now", _last_hour())
        return SourceCheck(series, families)

    def examine(self, window: Window) -> Iterator[CheckResult]:
        """Yield what the server is, what it has, and what is wrong with it.

        Args:
            window: the last day, with the step of a scan.
        """
        with self._client() as client:
            yield from Examination(client, window).results()

    def describe(self) -> str:
        """Describe in a sentence what can be read from the server now.

        Raises:
            SourceError: the server is unreachable, returned an error, or has no GPU metrics.
        """
        found = self.check()
        return f"{sum(found.series.values())} GPU series from {', '.join(sorted(found.families))}"

    def _client(self) -> PrometheusClient:
        return PrometheusClient(self.settings, transport=self.transport)

    def _present(self, client: PrometheusClient, window: Window) -> tuple[frozenset[str], bool]:
        """Return the names of the metrics, and whether their series may be of several clusters."""
        found = present(client, {*_FAMILIES, *_OTHER_NAMES}, window)
        if not found.names - _SHOW_NO_USE:
            raise nothing_found(client, sorted(_FAMILIES), f"in the window of {window.seconds / 3600:.1f} h", window)
        return found.names, check_one_cluster(client, found.selectors, window)


def _last_hour() -> Window:
    return Window.ending(int(time.time()), length_s=3_600, step_s=300)


def _holders(pods: Iterable[Mapping[PodKey, PodRows]]) -> Iterator[tuple[PodKey, DeviceKey]]:
    return ((pod, key) for one in pods for pod, rows in one.items() for key in rows.devices)


def _devices(pods: Mapping[PodKey, PodRows]) -> Iterator[tuple[DeviceKey, Device]]:
    return chain.from_iterable(rows.devices.items() for rows in pods.values())


def _add_cards(
    reader: SeriesReader, context: Context, workloads: Sequence[Workload], pods: Sequence[Mapping[PodKey, PodRows]]
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
