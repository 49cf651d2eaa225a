"""Shares of a device that several pods had at once: per device and second, they never exceed the device.

A pod has a device from its first sample to its last, in whole steps. Pods that follow each other on a card within one
step would be billed twice for it; pods that share a card have less of it while more of them run. So where the stays on
a device overlap, its time is divided in proportion to their shares.

Pods of which it is measured what each used of the device divide their part of it by that use: the larger of its SM
activity and its memory, the dominant share of Ghodsi et al., Dominant Resource Fairness, NSDI 2011, as a MIG instance
has the larger of its slices. A pod that is not measured keeps what it requested. Both are kept: the difference is the
error of the division.
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
"""Amounts of `DayUse` that a workload has more, from `allocated_gpu_s` on; less is negative. The last one is what it
has more of stays whose measures are not known by day, which change with the rest of the day."""

_WIDE = len(DayUse._fields) - 3


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
            found[ref][place] = np.zeros(_WIDE + 1) + change if of_place is None else of_place + change
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
    present = np.array([_within(starts, (stay.start_s, stay.end_s)) for stay in device.stays])
    shares = np.array([[stay.gpu_fraction] for stay in device.stays]) * present
    total = shares.sum(axis=0)
    over = total > device.limit if device.stated else total > 0.0
    requested = shares * np.where(over, device.limit / np.where(over, total, 1.0), 1.0)
    day = starts // DAY_S - first_day
    together = present.sum(axis=0) > 1
    use, by_use = _own_uses(device, starts, present)
    parts = np.where(by_use, _divided(requested, use, by_use), requested)
    for row, (ref, stay) in enumerate(zip(device.owners, device.stays, strict=True)):
        more, shift = ((one[row] * seconds) for one in (parts - shares, requested - parts))
        held = parts[row] * seconds * (together & present[row])
        if not (more.any() or held.any()):
            continue
        idle = more * _within(starts, stay.idle_s)
        of_day = {"allocated": more, "idle": idle, "shared": held, "by_use": held * by_use[row], "shift": shift}
        sums = {name: np.bincount(day, amounts) for name, amounts in of_day.items()}
        before = np.bincount(day, shares[row] * seconds)
        for number in np.flatnonzero(np.bincount(day, (more != 0.0) | (held != 0.0))).tolist():
            at = {name: float(amounts[number]) for name, amounts in sums.items()}
            measured = _measured(stay, first_day + number, at["allocated"] / before[number] if before[number] else 0.0)
            plain = 0.0 if measured else at["allocated"]
            change = np.array(
                [at["allocated"], at["idle"], 0.0, 0.0, *(measured or (0.0,) * 4),
                 at["shared"], at["by_use"], at["shift"], plain]
            )  # fmt: skip
            yield ref, ((first_day + number) * DAY_S, stay.node, stay.gpu_type), change


def _own_uses(
    device: _Device, starts: NDArray[np.int64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What each stay used of the device in each segment, and where it divides its time: shape (stays, segments).

    At least two pods of a segment are measured, and at least one of them used the device.
    """
    use = np.zeros(present.shape)
    known = np.zeros(present.shape, dtype=bool)
    for row, stay in enumerate(device.stays):
        if any(one.own_use is not None for one in stay.days):
            by_day = np.array([np.nan if one.own_use is None else one.own_use for one in stay.days])
            at = starts // DAY_S - stay.start_s // DAY_S
            values = np.where((at >= 0) & (at < by_day.size), by_day[np.clip(at, 0, by_day.size - 1)], np.nan)
            known[row] = present[row] & ~np.isnan(values)
            use[row] = np.where(known[row], values, 0.0)
    return use, known & (known.sum(axis=0) > 1) & (use.sum(axis=0) > 0.0)


def _divided(
    requested: NDArray[np.float64], use: NDArray[np.float64], by_use: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """What the measured pods of each segment requested together, divided by what each used."""
    whole = np.where(by_use, requested, 0.0).sum(axis=0)
    total = np.where(by_use, use, 0.0).sum(axis=0)
    per_use: NDArray[np.float64] = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0.0)
    return use * per_use


def _measured(stay: Stay, day: int, factor: float) -> tuple[float, ...] | None:
    """How much the measures of a stay change with its time on a day; None if they are not known by day."""
    at = day - stay.start_s // DAY_S
    return tuple(amount * factor for amount in stay.days[at][:4]) if 0 <= at < len(stay.days) else None


def _within(starts: NDArray[np.int64], spans: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each segment begins in one of the spans, which are given as first seconds and ends in turn."""
    inside: NDArray[np.bool_] = np.searchsorted(np.array(spans, dtype=np.int64), starts, side="right") % 2 == 1
    return inside


def _changed(use: DayUse, changes: Mapping[_Place, NDArray[np.float64]]) -> DayUse:
    change = changes.get((use.start_s, use.node, use.gpu_type))
    if change is None:
        return use
    *amounts, plain = change.tolist()
    factor = plain / use.allocated_gpu_s if use.allocated_gpu_s > 0.0 else 0.0
    shift = use.shift_gpu_s + amounts[-1]
    changed = [
        max(0.0, before + more + (before * factor if at in _FOLLOW else 0.0))
        for at, (before, more) in enumerate(zip(use[3:], amounts, strict=True))
    ]
    allocated, idle, *rest = changed
    return DayUse._make((*use[:3], allocated, min(allocated, idle), *rest[:-1], shift))


_FOLLOW = frozenset(range(4, 8))
"""Amounts of `DayUse`, from `allocated_gpu_s` on, that change with the time: power and SM activity."""


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
        total[place] = day if before is None else day.plus(before)
    return tuple(total.values())
