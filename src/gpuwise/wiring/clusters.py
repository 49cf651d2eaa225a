"""The cluster, or the recording that takes its place."""

from contextlib import ExitStack
from dataclasses import dataclass

from gpuwise import leading
from gpuwise.cluster import KubernetesCluster
from gpuwise.config import Config
from gpuwise.model.errors import Forbidden, Gone, InputError
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import ClusterReader, Ledger
from gpuwise.sources.kubernetes.inventory import InventorySettings, KubernetesInventory, RecordedObjects
from gpuwise.wiring.clock import now

INVENTORY_FILE = "inventory.json"
# A pause must not wait long for a cluster that does not respond.
_ORDER_TIMEOUT_S = 5.0


def cluster(config: Config, stack: ExitStack) -> KubernetesCluster:
    """Connect to the cluster that is read and written."""
    given = config.kubernetes
    return stack.enter_context(KubernetesCluster.connect(kubeconfig=given.kubeconfig, context=given.context))


def recorded(config: Config) -> RecordedObjects:
    """Return the inventory of the recording."""
    assert config.recording is not None, "without a recording there is a cluster"
    return RecordedObjects(config.recording / INVENTORY_FILE)


def changeable(config: Config) -> bool:
    """Return whether the inventory is from a cluster and not from a recording, which cannot be changed."""
    return config.recording is None or config.kubernetes.kubeconfig is not None


def unchangeable() -> InputError:
    """Return the error of a command that would write to a recording."""
    return InputError("a recording cannot be changed", hint="give a cluster with --kubeconfig, or use `gpuwise plan`")


def inventory_settings(config: Config) -> InventorySettings:
    """Return the names that are particular to the cluster."""
    return InventorySettings(config.kubernetes.gpu_resources, config.kubernetes.capacity_labels)


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """The cluster that the configuration names.

    Attributes:
        uid: its uid; "" if none is named, or its uid is not known.
        user: the user that it authenticates; None if it does not tell, or for a recording.
    """

    uid: str = ""
    user: str | None = None


def named_cluster(config: Config, records: Ledger) -> NamedCluster:
    """Return the cluster that a kubeconfig, context or recording in the configuration names.

    Args:
        config: the configuration.
        records: the ledger that gets an order for the cluster: that of its leader, or nobody would follow the order.

    Raises:
        LedgerError: the leader in the cluster has another ledger.
        GpuwiseError: the cluster does not respond, or the recording cannot be read.
    """
    given = config.kubernetes
    if given.kubeconfig is not None or given.context is not None:
        with KubernetesCluster.connect(
            kubeconfig=given.kubeconfig, context=given.context, wait_budget_s=0.0, plugin_timeout_s=_ORDER_TIMEOUT_S
        ) as client:
            found = NamedCluster(cluster_uid(client), client.user())
            leading.compare_ledgers(config, client, records)
            return found
    if config.recording is None:
        return NamedCluster()
    return NamedCluster(KubernetesInventory(recorded(config), inventory_settings(config)).snapshot(now()).cluster)


def known_fleet(config: Config) -> Inventory | None:
    """Return the inventory of the cluster or recording that the configuration names; None if it names none.

    Raises:
        GpuwiseError: it cannot be read.
    """
    given = config.kubernetes
    with ExitStack() as stack:
        if given.kubeconfig is not None or given.context is not None:
            reader: ClusterReader = cluster(config, stack)
        elif config.recording is not None:
            reader = recorded(config)
        else:
            return None
        return KubernetesInventory(reader, inventory_settings(config)).snapshot(now())


def cluster_uid(client: KubernetesCluster) -> str:
    """Return the uid of the cluster, "" if the namespace kube-system cannot be read: rows count for every cluster."""
    try:
        # A list of one: the cluster-wide role grants only lists.
        found = client.list("/api/v1/namespaces", field_selector="metadata.name=kube-system")
    except (Forbidden, Gone):
        return ""
    return str(found[0]["metadata"].get("uid") or "") if found else ""
