"""Which series belong to this cluster, where one Prometheus stores those of several.

Two clusters can have the same namespaces and pods (opencost#2979), so a series counts only if it certainly belongs to
this cluster (I28): by the configured `prometheus.matchers`, or because no label distinguishes clusters. A series of a
running pod belongs to another pod of the same name if it names a node that this cluster does not have. If it names no
node, it belongs to the pod only by the pod's uid, or if nothing suggests that the server stores several clusters.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import Inventory
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.devices import PodKey
from gpuwise.sources.prometheus.names import NODE_LABELS
from gpuwise.sources.prometheus.presence import has_series, label_names, label_values, narrowed, values_in_series
from gpuwise.sources.prometheus.refusals import NotEvaluated

CLUSTER_LABELS = (
    "cluster",
    "cluster_name",
    "cluster_id",
    "k8s_cluster",
    "k8s_cluster_name",
    "kubernetes_cluster",
)
"""Labels by which people distinguish clusters: Mimir's and Thanos' guides, OpenTelemetry, Google and AWS agents."""

_MAYBE_CLUSTERS = (
    "region",
    "datacenter",
    "dc",
    "site",
    "env",
    "environment",
    "tenant",
    "tenant_id",
    "account",
    "account_id",
    "project_id",
    "prometheus",
)
"""External labels that can distinguish clusters, but may also have several values in one: Prometheus' and Thanos'
guides, and the operator's label of its Prometheus."""

_NODES = (*NODE_LABELS, "k8s_node_name", "kubernetes_node")
"""Also labels of OpenTelemetry's collector and of scrape configurations: they suffice to say that a node is another
cluster's, but a collector may have added its own node."""

POD_UID = "pod_uid"
"""dcgm-exporter's label with a pod's uid (kubernetes-enable-pod-uid)."""

_SHOWN = 5


def check_one_cluster(client: PrometheusClient, selectors: Sequence[str], window: Window) -> bool:
    """Check that no label of the selected series names several clusters.

    Args:
        client: client of the server; a label that its matchers select by is not checked.
        selectors: selectors of the series.
        window: when.

    Returns:
        Whether the series may nevertheless be of several clusters: some have a label that names a cluster and others
        do not, as the local series of a server that others write to, or a label has several values that may name
        clusters.

    Raises:
        SourceError: a label does, with its values and the setting that selects one.
    """
    matchers = client.settings.matchers
    # Matchers say which series are of this cluster: labels that may name one are then of no interest.
    labels = [label for label in (*CLUSTER_LABELS, *(() if matchers else _MAYBE_CLUSTERS)) if label not in matchers]
    named = _named(client, labels, selectors, window)
    for label in CLUSTER_LABELS:
        values = named.get(label, set())
        if len(values) > 1:
            shown = ", ".join(sorted(values)[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
            raise SourceError(
                f"Prometheus at {client.shown_url} has GPU metrics of several clusters: label {label} is {shown}",
                hint=f"set prometheus.matchers to this cluster, such as {label}: {min(values)}",
            )
    if matchers:
        return False
    several = any(len(named[label]) > 1 for label in _MAYBE_CLUSTERS)
    return several or any(_lacked(client, label, selectors, window) for label in CLUSTER_LABELS if named[label])


def _named(
    client: PrometheusClient, labels: Sequence[str], selectors: Sequence[str], window: Window
) -> dict[str, set[str]]:
    """Return the values of these labels."""
    values: dict[str, set[str]] = {label: set() for label in labels}
    for match in selectors:
        try:
            names = label_names(client, match, window)
            for label in names & values.keys():
                values[label] |= label_values(client, label, match, window)
        except NotEvaluated:
            # Google's service lists values of __name__ alone: "labels other than __name__ are not supported"
            # (istio#43270). A range query has every label.
            for row in values_in_series(client, labels, match, window):
                for label in row.keys() & values.keys():
                    values[label].add(row[label])
    return values


def _lacked(client: PrometheusClient, label: str, selectors: Sequence[str], window: Window) -> bool:
    """Whether some of the series do not have a label."""
    return any(has_series(client, narrowed(match, f'{label}=""'), window) for match in selectors)


@dataclass(frozen=True, slots=True)
class KnownPods:
    """The running pods of this cluster, and its nodes.

    Attributes:
        nodes: names of all nodes.
        pods: node of each running pod.
        uids: uid of each running pod.
        starts: when each running pod started, epoch seconds.
        others: whether the series may be of several clusters.
    """

    nodes: Collection[str]
    pods: Mapping[PodKey, str]
    uids: Mapping[PodKey, str] = field(default_factory=dict)
    starts: Mapping[PodKey, int] = field(default_factory=dict)
    others: bool = False

    @classmethod
    def of(cls, inventory: Inventory, *, others: bool = False) -> "KnownPods":
        """Index an inventory."""
        pods = {
            (workload.ref.namespace, pod.name): pod
            for workload in inventory.workloads
            for pod in workload.pods
            if pod.node is not None
        }
        nodes = {key: pod.node for key, pod in pods.items() if pod.node is not None}
        uids = {key: pod.uid for key, pod in pods.items()}
        starts = {key: pod.started_s for key, pod in pods.items() if pod.started_s is not None}
        return cls(inventory.nodes.keys(), nodes, uids, starts, others)

    def elsewhere(self, pod: PodKey, labels: Mapping[str, str]) -> bool:
        """Whether a series of a running pod names a node that this cluster does not have.

        An exporter without the node's name reports its own pod's name as the host: that is no node.
        """
        own, named = self.pods.get(pod), _nodes(labels)
        return own is not None and bool(named) and own not in named and not named & set(self.nodes)

    def ended_s(self, pod: PodKey, labels: Mapping[str, str]) -> int | None:
        """When the pod of a row had ended at the latest: a running pod of the same name and another uid follows it.

        Returns:
            Epoch seconds; None if the row may be of the running pod.
        """
        uid = labels.get(POD_UID)
        return self.starts.get(pod) if uid and pod in self.uids and uid != self.uids[pod] else None

    def untold(self, pod: PodKey, labels: Mapping[str, str]) -> bool:
        """Whether nothing says that a row of a running pod's device is of this cluster.

        A row without a node is the pod's by its uid. Another uid under the same name is an earlier pod of this cluster,
        or a pod of another one.
        """
        if pod not in self.pods or _nodes(labels):
            return False
        uid = labels.get(POD_UID)
        return uid != self.uids.get(pod) if uid else self.others


def _nodes(labels: Mapping[str, str]) -> set[str]:
    """Return the nodes that a series names."""
    return {labels[name] for name in _NODES if labels.get(name) and not is_exporter(labels[name])}


def is_exporter(name: str) -> bool:
    """Whether a host's name is that of an exporter's pod: an exporter without the node's name reports its own."""
    return "exporter" in name or "dcgm" in name
