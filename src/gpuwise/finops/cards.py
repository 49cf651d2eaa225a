"""Shares of a device that several pods had at once: per device and second, they never exceed the device.

A pod has a device from its first sample to its last, in whole steps. Pods that follow each other on a card within one
step would be billed twice for it; pods that share a card have less of it while more of them run. So where the stays on
a device overlap, its time is divided in proportion to their shares.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import Node, WorkloadRef
from gpuwise.model.profile import DayUse, Stay
from gpuwise.model.usage import DAY_S

_Place = tuple[int, str | None, str | None]
"""Midnight, node and GPU type of a `DayUse`."""

Correction = dict[_Place, NDArray[np.float64]]
"""GPU-seconds allocated and idle that a workload has more; less is negative."""


@dataclass(frozen=True, slots=True)
class _Device:
    owners: Sequence[WorkloadRef]
    stays: Sequence[Stay]
    stated: bool
    whole: float

    @property
    def limit(self) -> float:
        """The device's whole-GPU equivalents: 1 for a card, the share of the card for a MIG instance or a vGPU."""
        largest = max(stay.gpu_fraction for stay in self.stays)
        uuid = self.stays[0].device_uuid
        return largest if uuid.startswith("MIG-") or "/" in uuid or largest > self.whole else self.whole

    @property
    def simple(self) -> bool:
        """Whether no division is needed: one stay that has the whole device, or has a stated share of it."""
        return len(self.stays) == 1 and (self.stated or self.stays[0].gpu_fraction == self.limit)


def corrections(
    stays: Callable[[], Iterable[tuple[WorkloadRef, Sequence[Stay]]]], *, stated: bool, nodes: Mapping[str, Node]
) -> dict[WorkloadRef, Correction]:
    """Return how the use by day changes where the time of shared devices is divided; what does not change is absent.

    Args:
        stays: yields stays by workload; called twice, so that only the stays on shared devices are ever in memory.
        stated: whether the shares are stated by the source, and so are only reduced where they exceed the device; if
            not, they are an estimate and the pods of each second divide the whole device.
        nodes: nodes by the name that the stays give: the GPUs of a vGPU guest are parts of a board.
    """
    found: defaultdict[WorkloadRef, Correction] = defaultdict(dict)
    for device in _devices(stays, stated=stated, nodes=nodes):
        for ref, place, change in _changes(device):
            of_place = found[ref].get(place)
            found[ref][place] = np.zeros(2) + change if of_place is None else of_place + change
    return dict(found)


def corrected(days: tuple[DayUse, ...], correction: Correction | None) -> tuple[DayUse, ...]:
    """Return the use by day of a workload, with the time of shared devices divided.

    Args:
        days: each stay counted in full.
        correction: of the workload, from `corrections`; None if nothing changes.
    """
    return days if correction is None else tuple(_changed(use, correction) for use in days)


def _devices(
    stays: Callable[[], Iterable[tuple[WorkloadRef, Sequence[Stay]]]], *, stated: bool, nodes: Mapping[str, Node]
) -> Iterable[_Device]:
    """Yield the devices whose time is divided, in the order of their first stays."""

    def whole(name: str | None) -> float:
        node = nodes.get(name or "")
        return 1.0 if node is None else node.gpu_fraction

    seen: set[tuple[str | None, str]] = set()
    shared: set[tuple[str | None, str]] = set()
    for ref, of_workload in stays():
        for stay in of_workload:
            key = stay.node, stay.device_uuid
            if key in seen or not _Device([ref], [stay], stated, whole(stay.node)).simple:
                shared.add(key)
            seen.add(key)
    found: defaultdict[tuple[str | None, str], list[tuple[WorkloadRef, Stay]]] = defaultdict(list)
    for ref, of_workload in stays() if shared else ():
        for stay in of_workload:
            if (stay.node, stay.device_uuid) in shared:
                found[stay.node, stay.device_uuid].append((ref, stay))
    for (name, _), pairs in found.items():
        yield _Device([ref for ref, _ in pairs], [stay for _, stay in pairs], stated, whole(name))


def _changes(device: _Device) -> Iterable[tuple[WorkloadRef, _Place, NDArray[np.float64]]]:
    """Yield how much allocated and idle time each stay gets more, by day; less is negative."""
    bounds = {bound for stay in device.stays for bound in (stay.start_s, stay.end_s, *stay.idle_s)}
    first_day, last_s = min(bounds) // DAY_S, max(bounds)
    edges = np.array(sorted(bounds | set(range(first_day * DAY_S + DAY_S, last_s, DAY_S))))
    starts, seconds = edges[:-1], np.diff(edges)
    shares = np.array([stay.gpu_fraction * _within(starts, (stay.start_s, stay.end_s)) for stay in device.stays])
    total = shares.sum(axis=0)
    over = total > device.limit if device.stated else total > 0.0
    factor = np.where(over, device.limit / np.where(over, total, 1.0), 1.0)
    day = starts // DAY_S - first_day
    for ref, stay, share in zip(device.owners, device.stays, shares, strict=True):
        more = share * (factor - 1.0) * seconds
        if not more.any():
            continue
        by_day = np.column_stack([np.bincount(day, more), np.bincount(day, more * _within(starts, stay.idle_s))])
        for number in np.flatnonzero(np.bincount(day, more != 0.0)).tolist():
            yield ref, ((first_day + number) * DAY_S, stay.node, stay.gpu_type), by_day[number]


def _within(starts: NDArray[np.int64], spans: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each segment begins in one of the spans, which are given as first seconds and ends in turn."""
    inside: NDArray[np.bool_] = np.searchsorted(np.array(spans, dtype=np.int64), starts, side="right") % 2 == 1
    return inside


def _changed(use: DayUse, changes: Mapping[_Place, NDArray[np.float64]]) -> DayUse:
    change = changes.get((use.start_s, use.node, use.gpu_type))
    if change is None:
        return use
    allocated = max(0.0, use.allocated_gpu_s + float(change[0]))
    return use._replace(
        allocated_gpu_s=allocated, idle_gpu_s=min(allocated, max(0.0, use.idle_gpu_s + float(change[1])))
    )


def node_of_device(stays: Iterable[Stay], devices: Collection[str]) -> dict[str, str]:
    """The node of each of some devices that stays name on exactly one node.

    Args:
        stays: of all workloads and of unallocated devices.
        devices: those that some stay names without a node; few or none, so the stays of others are not gathered.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for stay in stays if devices else ():
        if stay.node is not None and stay.device_uuid in devices:
            found[stay.device_uuid].add(stay.node)
    return {uuid: next(iter(nodes)) for uuid, nodes in found.items() if len(nodes) == 1}


def with_nodes(
    days: tuple[DayUse, ...], stays: Sequence[Stay], nodes: Mapping[str, str]
) -> tuple[tuple[DayUse, ...], Sequence[Stay]]:
    """Return the use by day and the stays of a workload, with the node of its pods whose rows name none.

    Without this, a card would count as used on an unknown node and as free on its own.

    Args:
        days: of the workload.
        stays: of the workload.
        nodes: node by device, from the rows that name one.
    """
    unplaced = {nodes.get(stay.device_uuid) for stay in stays if stay.node is None}
    node = unplaced.pop() if len(unplaced) == 1 else None
    if node is None:  # every row names its node, or the days cannot be divided between several
        return days, stays
    moved = {stay.gpu_type for stay in stays if stay.node == node}
    days = tuple(day._replace(node=node) if day.node is None else day for day in days)
    stays = tuple(stay._replace(node=node) if stay.node is None else stay for stay in stays)
    return (_merged(days) if moved else days), stays


def _merged(days: Iterable[DayUse]) -> tuple[DayUse, ...]:
    """Days of the same place as one."""
    total: dict[_Place, DayUse] = {}
    for day in days:
        place = day.start_s, day.node, day.gpu_type
        before = total.get(place)
        total[place] = (
            day
            if before is None
            else day._replace(
                allocated_gpu_s=before.allocated_gpu_s + day.allocated_gpu_s,
                idle_gpu_s=before.idle_gpu_s + day.idle_gpu_s,
                active_gpu_s=before.active_gpu_s + day.active_gpu_s,
                unknown_gpu_s=before.unknown_gpu_s + day.unknown_gpu_s,
            )
        )
    return tuple(total.values())
