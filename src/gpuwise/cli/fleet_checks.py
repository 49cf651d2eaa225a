"""What `gpuwise doctor` asks of a cluster and of a source of usage: the calls of `scan` and `run`, one by one."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from gpuwise.decide.mode import mode_of
from gpuwise.decide.settings import DecideSettings
from gpuwise.enact.examine import missing_right
from gpuwise.model.command import STOPPABLE, Mode
from gpuwise.model.errors import Forbidden, Gone
from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.labels import MODE
from gpuwise.model.ports import ClusterReader, Object, UsageSource
from gpuwise.model.protection import SYSTEM_NAMESPACES
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.inventory import inventory_of
from gpuwise.sources.kubernetes.listings import COLLECTIONS, OPTIONAL_COLLECTIONS

EVERYWHERE, OPTIONAL = tuple(COLLECTIONS), tuple(OPTIONAL_COLLECTIONS)
_ACTING = (Mode.APPROVE, Mode.ENFORCE)
_HOUR_S = 3_600
# Enough to see that queries are answered; `scan` reads them all.
_SOME = 3

Place = str
"""A namespace with its mode, for a person: "prod (mode enforce)"."""


def listed(reader: ClusterReader, kind: str) -> tuple[list[Object], str]:
    """The objects of a kind that every cluster has, and how many they are.

    Raises:
        ClusterError: it could not be listed.
    """
    found = reader.list(COLLECTIONS[kind])
    return found, str(len(found))


def listed_if_there(reader: ClusterReader, kind: str) -> tuple[list[Object], str]:
    """The objects of a kind that an operator brings, and how many they are, or that it is not installed.

    Raises:
        ClusterError: it is installed and could not be listed.
    """
    path = OPTIONAL_COLLECTIONS[kind]
    try:
        found = reader.list(path)
    except Gone:
        return [], "not installed"
    except Forbidden:
        # Where no such kind is installed a refusal means nothing: this asks discovery, and raises if it is.
        reader.list_optional(path)
        return [], "not installed"
    return found, str(len(found))


def understood(objects: Mapping[str, list[Object]], took_s: float) -> tuple[Inventory, str]:
    """The fleet that some lists make, and its size.

    Args:
        objects: by kind.
        took_s: how long it took to list them.
    """
    fleet = inventory_of(objects, taken_s=int(time.time()))
    gpus = sum(node.gpu_count for node in fleet.nodes.values())
    few = ", ".join(islice((str(workload.ref) for workload in fleet.workloads), _SOME))
    more = " ..." if len(fleet.workloads) > _SOME else ""
    said = f"{len(fleet.nodes)} nodes, {gpus} GPUs, {len(fleet.workloads)} GPU workloads"
    said += f" ({few}{more})" if few else ""
    if fleet.unread:
        odd = fleet.unread[0]
        said += f"; {len(fleet.unread)} could not be read, and are left alone: {odd.ref}: {odd.problem}"
    return fleet, f"{said}, listed in {took_s:.1f} s"


def read_usage(source: UsageSource, fleet: Inventory, step_s: int) -> tuple[bool, str]:
    """Read the last hour of some workloads, and of a node, as scoring reads the whole look-back.

    Raises:
        SourceError: a query failed.
    """
    window = Window.ending(int(time.time()), length_s=_HOUR_S, step_s=step_s)
    some = [workload for workload in fleet.workloads if workload.pods][:_SOME]
    seen = sum(bool(series.devices) for series in source.read(some, fleet, window))
    list(source.read_nodes(list(fleet.nodes.values())[:1], fleet, window))
    if some and not seen:
        return True, f"queries are answered, and none of {len(some)} workloads has samples in the last hour"
    return True, f"samples of {seen} of {len(some)} workloads that were tried, in the last hour"


def unreadable_modes(fleet: Inventory) -> Iterator[str]:
    """Modes that are none, with what to do about each; gpuwise leaves such a namespace or workload alone."""
    holders: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = [
        *((f"namespace {one.name}", one.labels, one.annotations) for one in fleet.namespaces.values()),
        *((str(one.ref), one.labels, one.annotations) for one in fleet.workloads),
    ]
    for what, labels, annotations in holders:
        for said in {place[MODE] for place in (labels, annotations) if MODE in place} - set(Mode):
            yield f"{what}: {MODE} is {said!r}, so it is left alone; write one of {', '.join(Mode)}"


def wanted_rights(fleet: Inventory, policy: DecideSettings) -> dict[Place, list[WorkloadRef]]:
    """What `run` would write to, one target of each kind, by namespace where it may act or be told to.

    A namespace in such a mode without a GPU workload is asked for with a Deployment that may come.
    """
    found: dict[tuple[str, Mode], dict[str, WorkloadRef]] = {}
    for name, namespace in fleet.namespaces.items():
        said = {place[MODE] for place in (namespace.labels, namespace.annotations) if MODE in place}
        for mode in _ACTING:
            if said == {mode}:
                found[name, mode] = {}
    for workload in fleet.workloads:
        in_force = mode_of(workload, fleet.namespaces.get(workload.ref.namespace), policy.mode)
        if in_force in _ACTING and workload.ref.kind in STOPPABLE:
            found.setdefault((workload.ref.namespace, Mode(in_force)), {}).setdefault(workload.ref.kind, workload.ref)
    return {
        f"{name} (mode {mode.value})": list(kinds.values()) or [WorkloadRef(name, "Deployment", "", "")]
        for (name, mode), kinds in sorted(found.items())
        if name not in SYSTEM_NAMESPACES and name not in policy.protected_namespaces
    }


def granted(reader: ClusterReader, targets: Sequence[WorkloadRef]) -> tuple[bool, str]:
    """That this identity may write to some targets.

    Raises:
        Forbidden: it may not, with what to do.
    """
    for target in targets:
        if (refusal := missing_right(reader, replace(target, name=""))) is not None:
            problem, _, hint = refusal.detail.partition(": ")
            raise Forbidden(problem, hint=hint)
    return True, f"may patch {', '.join(f'{target.kind}s' for target in targets)}"
