"""Read the fleet from the Kubernetes API, or from a recording of it.

If any list request fails, there is no inventory: a failed list is not an empty list (autoscaler#7419, argo-cd#18480).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpuwise.model.inventory import Inventory, Namespace, Node, Unread
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.sources.kubernetes.listings import COLLECTIONS, OPTIONAL_COLLECTIONS
from gpuwise.sources.kubernetes.nodes import node_of
from gpuwise.sources.kubernetes.recorded import RecordedObjects
from gpuwise.sources.kubernetes.scheduling import openness_of
from gpuwise.sources.kubernetes.unread import reading
from gpuwise.sources.kubernetes.workloads import workloads_of

__all__ = ["KubernetesInventory", "RecordedObjects", "inventory_of"]


class KubernetesInventory:
    """Reads the inventory of a fleet.

    Args:
        reader: a cluster, or a recording of one.
    """

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader

    def snapshot(self, now_s: int) -> Inventory:
        """List all kinds; if one list fails, the whole snapshot fails.

        Args:
            now_s: time of the inventory, epoch seconds.

        Raises:
            ClusterError: one of the list requests failed.
        """
        objects = {kind: self._reader.list(path) for kind, path in COLLECTIONS.items()}
        objects |= {kind: list(self._reader.list_optional(path)) for kind, path in OPTIONAL_COLLECTIONS.items()}
        return inventory_of(objects, taken_s=now_s)


def inventory_of(objects: Mapping[str, list[Object]], *, taken_s: int) -> Inventory:
    """Build the inventory from listed objects.

    Args:
        objects: objects by kind; an absent kind counts as not installed.
        taken_s: when the lists were read, epoch seconds.
    """
    unreadable: list[Unread] = []
    nodes: dict[str, Node] = {}
    on_node = _pods_by_node(objects.get("Pod", []))
    for item in objects.get("Node", []):
        with reading("Node", item, unreadable):
            if (node := node_of(item)) is not None:
                nodes[node.name] = replace(node, openness=openness_of(item, on_node.get(node.name, ())))
    return Inventory(
        taken_s=taken_s,
        nodes=nodes,
        workloads=workloads_of(objects, unreadable),
        namespaces={item["metadata"]["name"]: _namespace(item["metadata"]) for item in objects.get("Namespace", [])},
        unread=tuple(unreadable),
        cluster=_cluster(objects.get("Namespace", [])),
    )


def _cluster(namespaces: list[Object]) -> str:
    """Return the uid of the namespace kube-system, which every cluster has once; "" if it is not listed."""
    uids = (item["metadata"].get("uid") for item in namespaces if item["metadata"]["name"] == "kube-system")
    return str(next(uids, None) or "")


def _pods_by_node(pods: list[Object]) -> dict[str, list[Object]]:
    """Return the pods that have not ended, by the node that they run on."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        name, phase = (pod.get("spec") or {}).get("nodeName"), (pod.get("status") or {}).get("phase")
        if isinstance(name, str) and phase not in ("Succeeded", "Failed"):
            found.setdefault(name, []).append(pod)
    return found


def _namespace(metadata: Mapping[str, Any]) -> Namespace:
    return Namespace(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {})
