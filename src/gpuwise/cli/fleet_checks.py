"""The checks of `gpuwise doctor`: the calls that `scan` and `run` make, one by one."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from gpuwise.decide.mode import mode_of
from gpuwise.decide.settings import DecideSettings
from gpuwise.enact.examine import missing_right
from gpuwise.model.command import Mode
from gpuwise.model.errors import Forbidden, Gone
from gpuwise.model.inventory import CapacityType, Inventory, WorkloadRef
from gpuwise.model.kinds import STOPPABLE
from gpuwise.model.labels import MODE
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.price import PriceBook
from gpuwise.model.protection import SYSTEM_NAMESPACES
from gpuwise.sources.kubernetes.inventory import InventorySettings, inventory_of
from gpuwise.sources.kubernetes.listings import (
    ALL_COLLECTIONS,
    COLLECTIONS,
    EARLIER,
    OLDER_VERSIONS,
    OPTIONAL_COLLECTIONS,
    VOLUME_COLLECTIONS,
)

EVERYWHERE, OPTIONAL, VOLUMES = tuple(COLLECTIONS), tuple(OPTIONAL_COLLECTIONS), tuple(VOLUME_COLLECTIONS)
NO_VOLUMES = "without it, pods that use a PersistentVolumeClaim are not moved; nothing else depends on it"
_ACTING = (Mode.APPROVE, Mode.ENFORCE)
_SOME = 3

Place = str
"""A namespace with its mode, for a person: "prod (mode enforce)"."""


def listed(reader: ClusterReader, kind: str) -> tuple[list[Object], str]:
    """List a kind that every cluster has; return the objects and their number.

    Raises:
        ClusterError: the list failed.
    """
    found = reader.list(ALL_COLLECTIONS[kind])
    return found, str(len(found))


def listed_if_there(reader: ClusterReader, kind: str) -> tuple[list[Object], str]:
    """List a kind that an operator installs; return the objects and their number, or "not installed".

    Raises:
        ClusterError: it is installed, and the list failed.
    """
    for path in (OPTIONAL_COLLECTIONS[kind], *(OLDER_VERSIONS | EARLIER).get(kind, ())):
        try:
            found = reader.list(path)
        except Gone:
            continue
        except Forbidden:
            # A 403 can also mean that the kind is not installed: list_optional asks discovery, and raises if it is.
            reader.list_optional(path)
            continue
        return found, str(len(found))
    return [], "not installed"


def unpriced(fleet: Inventory, prices: PriceBook) -> str | None:
    """Describe the GPUs that have no price, by type and capacity type; None if all have one."""
    missing: Counter[str] = Counter()
    for node in fleet.nodes.values():
        if prices.of_node(node) is None:
            gpu_type = node.gpu_type.name if node.gpu_type is not None else None
            kind = node.capacity_type or CapacityType.ON_DEMAND
            missing[f"{gpu_type or node.gpu_product or 'unknown GPU'} {kind}"] += node.gpu_count
    if not missing:
        return None
    gpus = sum(node.gpu_count for node in fleet.nodes.values())
    named = ", ".join(f"{count} x {name}" for name, count in missing.most_common())
    return f"{missing.total()} of {gpus} GPUs have no price and are in no sum: {named}; add them to the price file"


def assembled(objects: Mapping[str, list[Object]], took_s: float, settings: InventorySettings) -> tuple[Inventory, str]:
    """Assemble the inventory from lists; return it and its size.

    Args:
        objects: by kind.
        took_s: duration of the lists, seconds.
        settings: names that are particular to the cluster.
    """
    fleet = inventory_of(objects, taken_s=int(time.time()), settings=settings)
    gpus = sum(node.gpu_count for node in fleet.nodes.values())
    few = ", ".join(islice((str(workload.ref) for workload in fleet.workloads), _SOME))
    more = " ..." if len(fleet.workloads) > _SOME else ""
    size = f"{len(fleet.nodes)} nodes, {gpus} GPUs, {len(fleet.workloads)} GPU workloads"
    size += f" ({few}{more})" if few else ""
    if fleet.unread:
        first = fleet.unread[0]
        size += f"; {len(fleet.unread)} could not be read and are left alone: {first.ref}: {first.problem}"
    if fleet.not_measured:
        others = ", ".join(f"{name} ({len(nodes)} nodes)" for name, nodes in fleet.not_measured.items())
        size += f"; not measured, because gpuwise measures GPUs of NVIDIA only: {others}"
    return fleet, f"{size}, listed in {took_s:.1f} s"


def unreadable_modes(fleet: Inventory) -> Iterator[str]:
    """Yield a line for each invalid mode; gpuwise leaves such a namespace or workload alone."""
    holders: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = [
        *((f"namespace {one.name}", one.labels, one.annotations) for one in fleet.namespaces.values()),
        *((str(one.ref), one.labels, one.annotations) for one in fleet.workloads),
    ]
    for what, labels, annotations in holders:
        for value in {place[MODE] for place in (labels, annotations) if MODE in place} - set(Mode):
            yield f"{what}: {MODE} is {value!r}, so it is left alone; set it to one of {', '.join(Mode)}"


def wanted_rights(fleet: Inventory, policy: DecideSettings) -> dict[Place, list[WorkloadRef]]:
    """Return one target of each kind that `run` or `apply` may write to, by namespace.

    A namespace with such a mode and no GPU workload is checked with a Deployment.
    """
    found: dict[tuple[str, Mode], dict[str, WorkloadRef]] = {}
    for name, namespace in fleet.namespaces.items():
        values = {place[MODE] for place in (namespace.labels, namespace.annotations) if MODE in place}
        for mode in _ACTING:
            if values == {mode}:
                found[name, mode] = {}
    for workload in fleet.workloads:
        own, of_namespace = (workload.annotations, workload.labels), fleet.namespaces.get(workload.ref.namespace)
        marks = (of_namespace.annotations, of_namespace.labels) if of_namespace is not None else ()
        in_force = mode_of(own, marks, policy.mode)
        if in_force in _ACTING and workload.ref.kind in STOPPABLE:
            found.setdefault((workload.ref.namespace, Mode(in_force)), {}).setdefault(workload.ref.kind, workload.ref)
    return {
        f"{name} (mode {mode.value})": list(kinds.values()) or [WorkloadRef(name, "Deployment", "", "")]
        for (name, mode), kinds in sorted(found.items())
        if name not in SYSTEM_NAMESPACES and name not in policy.protected_namespaces
    }


def granted(reader: ClusterReader, targets: Sequence[WorkloadRef]) -> tuple[bool, str]:
    """Check that this identity may write to the targets.

    Raises:
        Forbidden: it may not; with a hint.
    """
    for target in targets:
        if (refusal := missing_right(reader, replace(target, name=""))) is not None:
            problem, _, hint = refusal.detail.partition(": ")
            raise Forbidden(problem, hint=hint)
    return True, f"may patch {', '.join(f'{target.kind}s' for target in targets)}"
