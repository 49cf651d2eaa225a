"""Read the fleet from the Kubernetes API, or from a recording of it.

If any list request fails, there is no inventory: a failed list is not an empty list (autoscaler#7419, argo-cd#18480).
The only exception are lists of volumes or their claims that are not allowed or not served, which ties the pods that use
them to their nodes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gpuwise.model.errors import Denied, Forbidden, Gone
from gpuwise.model.inventory import Inventory, Namespace, Node, Unread
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.sources.kubernetes.claims import OTHER_VENDORS, Claims, Device
from gpuwise.sources.kubernetes.listings import (
    COLLECTIONS,
    EARLIER,
    OLDER_VERSIONS,
    OPTIONAL_COLLECTIONS,
    VOLUME_COLLECTIONS,
)
from gpuwise.sources.kubernetes.nodes import node_of, not_measured
from gpuwise.sources.kubernetes.recorded import RecordedObjects
from gpuwise.sources.kubernetes.requested import Requests, shares_card
from gpuwise.sources.kubernetes.scheduling import openness_of
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.kubernetes.unread import READ_ERRORS, identified, reading
from gpuwise.sources.kubernetes.volumes import Volumes
from gpuwise.sources.kubernetes.workloads import TOPS, workloads_of

__all__ = ["InventorySettings", "KubernetesInventory", "RecordedObjects", "cluster_of", "inventory_of"]

_WITH_UID = frozenset({*TOPS, "Pod"})
"""Kinds whose objects own each other, by uid."""


class KubernetesInventory:
    """Reads the inventory of a fleet.

    Args:
        reader: a cluster, or a recording of one.
        settings: names that are particular to the cluster.
    """

    def __init__(self, reader: ClusterReader, settings: InventorySettings | None = None) -> None:
        self._reader = reader
        self._settings = settings or InventorySettings()

    def snapshot(self, now_s: int) -> Inventory:
        """List all kinds; if one list fails, the whole snapshot fails, except if a right to list volumes is missing.

        Args:
            now_s: time of the inventory, epoch seconds.

        Raises:
            ClusterError: one of the list requests failed.
        """
        objects = {kind: self._reader.list(path) for kind, path in COLLECTIONS.items()}
        objects |= {kind: list(self._reader.list_optional(path)) for kind, path in OPTIONAL_COLLECTIONS.items()}
        # A cluster that serves only an older version of resource claims has nothing at the path of the newest one.
        for version in zip(*OLDER_VERSIONS.values(), strict=True):
            if not any(objects[kind] for kind in OLDER_VERSIONS):
                objects |= {
                    kind: list(self._reader.list_optional(path))
                    for kind, path in zip(OLDER_VERSIONS, version, strict=True)
                }
        for kind, paths in EARLIER.items():
            for path in paths:
                objects[kind] = objects[kind] or list(self._reader.list_optional(path))
        for kind, path in VOLUME_COLLECTIONS.items():
            # Installations of earlier versions lack these rights. Without volumes a plan is only less bold.
            # Admission is not asked about lists: `Denied` is the 403 of an authorizer with other messages than RBAC.
            # 404: gateways and static copies of an API that do not serve them.
            with suppress(Forbidden, Denied, Gone):
                objects[kind] = self._reader.list(path)
        return inventory_of(objects, taken_s=now_s, settings=self._settings)


def inventory_of(
    objects: Mapping[str, list[Object]], *, taken_s: int, settings: InventorySettings | None = None
) -> Inventory:
    """Build the inventory from listed objects.

    Args:
        objects: objects by kind; an absent kind counts as not installed, one of VOLUME_COLLECTIONS as one that gpuwise
            cannot list.
        taken_s: when the lists were read, epoch seconds.
        settings: names that are particular to the cluster.
    """
    settings = settings or InventorySettings()
    unreadable: list[Unread] = []
    objects = {
        kind: list(identified(kind, items, unreadable, fields=("name", "uid") if kind in _WITH_UID else ("name",)))
        for kind, items in objects.items()
    }
    claims = Claims(objects, unreadable)
    requests = Requests(claims, frozenset(settings.gpu_resources))
    return Inventory(
        taken_s=taken_s,
        nodes=_nodes(objects, claims, settings, unreadable),
        workloads=workloads_of(objects, requests, volumes=Volumes(objects), unreadable=unreadable),
        namespaces={item["metadata"]["name"]: _namespace(item["metadata"]) for item in objects.get("Namespace", [])},
        unread=tuple(unreadable),
        not_measured=_not_measured(objects),
        cluster=cluster_of(objects.get("Namespace", [])),
    )


def _nodes(
    objects: Mapping[str, list[Object]], claims: Claims, settings: InventorySettings, unreadable: list[Unread]
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    claimable: dict[str, list[Device]] = defaultdict(list)
    for device in claims.devices.values():
        if device.node is not None:
            claimable[device.node].append(device)
    split = set(_split(objects))
    on_node = _pods_by_node(objects.get("Pod", []))
    for item in objects.get("Node", []):
        with reading("Node", item, unreadable):
            name = item["metadata"]["name"]
            node = node_of(item, claimable=claimable.get(name, ()), split=name in split, settings=settings)
            if node is not None:
                nodes[name] = replace(node, openness=openness_of(item, on_node.get(name, ())))
    return nodes


def cluster_of(namespaces: list[Object]) -> str:
    """Return the uid of the namespace kube-system, which every cluster has once; "" if it is not listed."""
    uids = (item["metadata"].get("uid") for item in namespaces if item["metadata"]["name"] == "kube-system")
    return str(next(uids, None) or "")


def _pods_by_node(pods: list[Object]) -> dict[str, list[Object]]:
    """Return the pods that have not ended, by the node that they run on."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        with suppress(*READ_ERRORS):
            name, phase = (pod.get("spec") or {}).get("nodeName"), (pod.get("status") or {}).get("phase")
            if isinstance(name, str) and phase not in ("Succeeded", "Failed"):
                found.setdefault(name, []).append(pod)
    return found


def _split(objects: Mapping[str, list[Object]]) -> Iterator[str]:
    """Yield the nodes with a pod that requests a share of a card: their device plugin offers each card several times.

    A pod that cannot be read is reported with the workloads.
    """
    for item in objects.get("Pod", []):
        with suppress(*READ_ERRORS):
            spec = item.get("spec") or {}
            if spec.get("nodeName") and shares_card(spec):
                yield spec["nodeName"]


def _not_measured(objects: Mapping[str, list[Object]]) -> dict[str, tuple[str, ...]]:
    """Return the nodes with accelerators of other vendors, by resource or driver."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in objects.get("Node", []):
        with suppress(*READ_ERRORS):
            for name in not_measured(item):
                found[name].add(str(item["metadata"]["name"]))
    for item in objects.get("ResourceSlice", []):
        with suppress(*READ_ERRORS):
            if item["spec"]["driver"] in OTHER_VENDORS and item["spec"].get("nodeName"):
                found[item["spec"]["driver"]].add(str(item["spec"]["nodeName"]))
    return {name: tuple(sorted(nodes)) for name, nodes in sorted(found.items())}


def _namespace(metadata: Mapping[str, Any]) -> Namespace:
    return Namespace(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {})
