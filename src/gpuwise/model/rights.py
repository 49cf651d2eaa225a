"""The Kubernetes rights that gpuwise uses: the single table behind the chart's RBAC rules and `gpuwise doctor`.

A test compares it with the requests that the commands send: every request is granted, and every right is used.
"""

from dataclasses import dataclass

from gpuwise.model.kinds import KINDS, QUEUED

HEAD_CONFIG_MAP = "gpuwise-ledger-head"
"""Name of the ConfigMap in gpuwise's namespace that anchors the head of the ledger."""
STOP_CONFIG_MAP = "gpuwise-stop"
"""Name of the ConfigMap in gpuwise's namespace whose existence stops all effects."""


@dataclass(frozen=True, slots=True)
class Right:
    """One row of RBAC.

    Attributes:
        group: API group, "" for the core.
        resource: plural name.
        verbs: RBAC verbs.
        names: names of single objects, empty for all.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


_LIST = ("list",)

READ = (
    Right("", "namespaces", _LIST),
    Right("", "nodes", _LIST),
    # Without these two a pod with a volume claim is tied to its node; nothing else depends on them.
    Right("", "persistentvolumeclaims", _LIST),
    Right("", "persistentvolumes", _LIST),
    Right("", "pods", _LIST),
    Right("autoscaling", "horizontalpodautoscalers", _LIST),
    Right("keda.sh", "scaledobjects", _LIST),
    Right("policy", "poddisruptionbudgets", _LIST),
    Right("resource.k8s.io", "deviceclasses", _LIST),
    Right("resource.k8s.io", "resourceclaims", _LIST),
    Right("resource.k8s.io", "resourceclaimtemplates", _LIST),
    Right("resource.k8s.io", "resourceslices", _LIST),
    *(Right(kind.group, kind.resource, _LIST) for kind in KINDS.values() if kind.listed),
)
"""Cluster-wide rights for every command: the inventory consists of these lists."""

WRITE = (
    # The namespace is read again just before an effect, for its mode and protections.
    Right("", "namespaces", ("get",)),
    # Whether new pods would be admitted is checked before a template is changed.
    Right("", "resourcequotas", _LIST),
    *(Right(kind.group, kind.resource, ("get", "patch")) for kind in KINDS.values() if kind.stop),
    # Kueue stops and starts the jobs of its queues by their Workloads.
    Right(QUEUED.group, QUEUED.resource, ("list", "patch")),
)
"""Rights in each namespace where gpuwise may act, in addition to READ."""

NODES = (Right("", "nodes", ("get", "patch")),)
"""Cluster-wide rights to cordon nodes and to change their MIG layout: only with `enact.nodes`."""

EVICT = (Right("", "pods/eviction", ("create",)),)
"""Rights in each namespace where gpuwise may act, to drain nodes: only with `enact.nodes`."""

HEAD = (
    # RBAC cannot restrict "create" to a name.
    Right("", "configmaps", ("create",)),
    Right("", "configmaps", ("get", "patch"), (HEAD_CONFIG_MAP,)),
    Right("", "configmaps", ("get",), (STOP_CONFIG_MAP,)),
)
"""Rights in gpuwise's own namespace, for the process that writes the ledger."""

LEAD = (
    Right("coordination.k8s.io", "leases", ("create",)),
    # The name is the setting lead.name; the chart has no other.
    Right("coordination.k8s.io", "leases", ("get", "patch"), ("gpuwise",)),
)
"""Rights in gpuwise's own namespace, for the process that takes part in the election of the leader."""
