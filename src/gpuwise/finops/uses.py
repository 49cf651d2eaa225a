"""The use of each workload on each day: what is allocated twice counts once, and a node has no more than its time."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpuwise.finops.cards import Correction, corrected, corrections, node_of_device, with_nodes
from gpuwise.finops.lives import Lives
from gpuwise.finops.period import Period
from gpuwise.finops.pools import existed_s
from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Stay
from gpuwise.model.usage import DAY_S

Place = tuple[int, str | None]
"""Midnight and node."""

ROUNDING = 1e-9
"""Relative error of a sum of shares: seven sevenths are not always 1."""


@dataclass(frozen=True, slots=True)
class Uses:
    """The use of each workload on each measured day; each iteration reads it from `billed` again, one at a time.

    Shared devices are divided, and a node has no more than its time. MIG instances count by the larger of compute and
    memory, which can be more than their card: 4g.40gb and 3g.40gb are 4/7 and 1/2. Time in which a pod had its GPUs
    before the first sample counts as far as the node has it left.

    Attributes:
        billed: the use of all workloads, each stay counted in full.
        owners: the workloads that are counted: others share cards and nodes with them.
        measured: first second, and first second after the measured part of the period.
        lives: the nodes.
        places: node of each device that some stay names without one.
        corrections: changes by the division of shared devices.
        seen: share that counts of the time since the first sample, by place; absent where all counts.
        unseen: the same of the time before it.
    """

    billed: Mapping[WorkloadRef, BilledUse]
    owners: tuple[WorkloadRef, ...]
    measured: tuple[int, int]
    lives: Lives
    places: Mapping[str, str]
    corrections: Mapping[WorkloadRef, Correction] = field(default_factory=dict)
    seen: Mapping[Place, float] = field(default_factory=dict)
    unseen: Mapping[Place, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[WorkloadRef, tuple[DayUse, ...]]]:
        for ref in self.owners:
            use = self.billed[ref]
            yield ref, (*self.since_first_sample(use), *self.before_first_sample(use))

    def located(self, use: BilledUse) -> tuple[tuple[DayUse, ...], Sequence[Stay]]:
        """Return the use by day and the stays of a workload, on the nodes of the period."""
        days = tuple(_within(self.measured, use.days))
        return self.lives.divided(*with_nodes(days, use.stays, self.places))

    def since_first_sample(self, use: BilledUse) -> Iterator[DayUse]:
        """Yield the use by day, divided and reduced."""
        days, _ = self.located(use)
        return _reduced(corrected(days, self.corrections.get(use.workload)), self.seen)

    def before_first_sample(self, use: BilledUse) -> Iterator[DayUse]:
        """Yield the use by day before the first sample, reduced."""
        return _reduced(_within(self.measured, use.unseen_days), self.unseen)


def uses_of(period: Period) -> Uses:
    """The use of each workload on each measured day."""
    return period.once(counted)


def counted(period: Period) -> Uses:
    """Compute what `uses_of` returns and keeps."""
    places = node_of_device((stay for use in period.billed.values() for stay in use.stays), period.overview.unplaced)
    pods = [ref for ref in period.billed if ref.kind != "Node"]
    owners = tuple(ref for ref in period.owners if ref in period.billed and ref.kind != "Node")
    uses = Uses(period.billed, owners, period.measured, period.lives, places)
    found = corrections(
        lambda: ((ref, uses.located(period.billed[ref])[1]) for ref in pods),
        stated=period.listed,
        nodes=period.lives.nodes,
    )
    uses = replace(uses, corrections=found)
    taken = _taken(uses.since_first_sample(period.billed[ref]) for ref in pods)
    uses = replace(uses, seen=_share(taken, _capacity(period, whole_days=True)))
    if not period.overview.unseen:
        return uses
    left = _capacity(period, whole_days=False)
    for ref in pods:
        for day in uses.since_first_sample(period.billed[ref]):
            left[day.start_s, day.node] -= day.allocated_gpu_s
    taken = _taken(uses.before_first_sample(period.billed[ref]) for ref in pods)
    return replace(uses, unseen=_share(taken, {place: max(0.0, gpu_s) for place, gpu_s in left.items()}))


def _capacity(period: Period, *, whole_days: bool) -> defaultdict[Place, float]:
    """GPU-seconds of each node and day; of whole days, also the time in which the node did not exist."""
    found: defaultdict[Place, float] = defaultdict(float)
    for day_s, start_s, end_s in measured_days(period):
        for key, node in period.lives.nodes.items():
            seconds = end_s - start_s if whole_days else existed_s(node, start_s, end_s)
            found[day_s, key] += node.capacity * seconds
    return found


def _taken(uses: Iterable[Iterable[DayUse]]) -> dict[Place, float]:
    """GPU-seconds that pods were allocated, by node and day."""
    taken: defaultdict[Place, float] = defaultdict(float)
    for days in uses:
        for day in days:
            taken[day.start_s, day.node] += day.allocated_gpu_s
    return taken


def _share(taken: Mapping[Place, float], capacity: Mapping[Place, float]) -> dict[Place, float]:
    """The share of the time that a node has, where pods were allocated more: all of them count in proportion."""
    return {
        place: capacity[place] / gpu_s
        for place, gpu_s in taken.items()
        if gpu_s > capacity.get(place, math.inf) * (1.0 + ROUNDING)
    }


def _reduced(days: Iterable[DayUse], shares: Mapping[Place, float]) -> Iterator[DayUse]:
    if not shares:
        yield from days
        return
    for day in days:
        share = shares.get((day.start_s, day.node), 1.0)
        yield day if share == 1.0 else day.times(share)


def _within(measured: tuple[int, int], days: Sequence[DayUse]) -> Iterator[DayUse]:
    """Yield the use on the measured days."""
    start_s, end_s = measured
    for day in days:
        if day.start_s + DAY_S > start_s and day.start_s < end_s:
            yield day


def measured_days(period: Period) -> Iterator[tuple[int, int, int]]:
    """Midnight of each day, and the start and end of its measured part."""
    start_s, end_s = period.measured
    for day_s in range(start_s - start_s % DAY_S, end_s, DAY_S):
        yield day_s, max(day_s, start_s), min(day_s + DAY_S, end_s)
