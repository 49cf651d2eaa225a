"""Which series belong to this cluster, where one Prometheus stores those of several.

Two clusters can have the same namespaces and pods (opencost#2979), so a series counts only if it certainly belongs to
this cluster (I28): by the configured `prometheus.matchers`, or because no label distinguishes clusters. A series of a
running pod whose node this cluster does not have belongs to another pod of the same name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import Inventory
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.devices import PodKey
from gpuwise.sources.prometheus.names import NODE_LABELS
from gpuwise.sources.prometheus.presence import label_names, label_values, values_in_series
from gpuwise.sources.prometheus.refusals import NotEvaluated

CLUSTER_LABELS = (
    "cluster",
    "cluster_name",
    "cluster_id",
    "k8s_cluster",
    "k8s_cluster_name",
    "kubernetes_cluster",
    "project_id",
)
"""Labels by which people distinguish clusters: Mimir's and Thanos' guides, OpenTelemetry, Google and AWS agents.
Clusters of two projects can have one name in Google's service."""

_SHOWN = 5


def check_one_cluster(client: PrometheusClient, selectors: Sequence[str], window: Window) -> None:
    """Check that no label of the selected series names several clusters.

    Args:
        client: client of the server; a label that its matchers select by is not checked.
        selectors: selectors of the series.
        window: when.

    Raises:
        SourceError: a label does, with its values and the setting that selects one.
    """
    for label, values in cluster_values(client, selectors, window).items():
        if len(values) > 1 and label not in client.settings.matchers:
            shown = ", ".join(sorted(values)[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
            raise SourceError(
                f"Prometheus at {client.shown_url} has GPU metrics of several clusters: label {label} is {shown}",
                hint=f"set prometheus.matchers to this cluster, such as {label}: {min(values)}",
            )


def cluster_values(client: PrometheusClient, selectors: Sequence[str], window: Window) -> dict[str, set[str]]:
    """Return the values of the labels that name clusters.

    Args:
        client: client of the server.
        selectors: selectors of the series.
        window: when.

    Raises:
        SourceError: a response is not complete.
    """
    values: dict[str, set[str]] = {label: set() for label in CLUSTER_LABELS}
    for match in selectors:
        try:
            names = label_names(client, match, window)
            for label in names & values.keys():
                values[label] |= label_values(client, label, match, window)
        except NotEvaluated:
            # Google's service lists values of __name__ alone: "labels other than __name__ are not supported"
            # (istio#43270). A range query has every label.
            for row in values_in_series(client, CLUSTER_LABELS, match, window):
                for label in row.keys() & values.keys():
                    values[label].add(row[label])
    return values


@dataclass(frozen=True, slots=True)
class KnownPods:
    """The running pods of this cluster, and its nodes.

    Attributes:
        nodes: names of all nodes.
        pods: node of each running pod.
    """

    nodes: Collection[str]
    pods: Mapping[PodKey, str]

    @classmethod
    def of(cls, inventory: Inventory) -> "KnownPods":
        """Index an inventory."""
        pods = {
            (workload.ref.namespace, pod.name): pod.node
            for workload in inventory.workloads
            for pod in workload.pods
            if pod.node is not None
        }
        return cls(inventory.nodes.keys(), pods)

    def elsewhere(self, pod: PodKey, labels: Mapping[str, str]) -> bool:
        """Whether a series of a running pod names a node that this cluster does not have.

        An exporter without the node's name reports its own pod's name as the host: that is no node.
        """
        own = self.pods.get(pod)
        named = {labels[name] for name in NODE_LABELS if labels.get(name)}
        named = {name for name in named if not is_exporter(name)}
        return own is not None and bool(named) and own not in named and not named & set(self.nodes)


def is_exporter(name: str) -> bool:
    """Whether a host's name is that of an exporter's pod: an exporter without the node's name reports its own."""
    return "exporter" in name or "dcgm" in name
