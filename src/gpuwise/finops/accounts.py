"""GPU-seconds by day and pool: the single table behind every sum of the report.

A pool has one price: a GPU type and a capacity type. GPU-seconds belong to the pool of the node on which they were
spent, even if the pod has moved since. The pool is the node's: what a series calls the card does not matter.

Time is counted per day and node. The capacity of a node is its cards times the measured part of the day in which the
node existed. Allocations of pods come first, then the stranded rest of cards that MIG divides, then use outside
Kubernetes. What is left is unallocated only as far as it is known to be free; the rest is unknown. A node that no
longer exists, and is not remembered, has no more than what its pods were allocated, and never reduces the time of
another node. So no class is ever below 0, and the classes sum to the capacity.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuwise.finops.cards import divided, node_of_device, with_nodes
from gpuwise.finops.lives import Lives
from gpuwise.finops.period import Period
from gpuwise.finops.pools import Pool, existed_s, pool_at
from gpuwise.model.gpu import mig_share
from gpuwise.model.inventory import Node, WorkloadRef
from gpuwise.model.profile import DayUse, UsageProfile
from gpuwise.model.usage import DAY_S

_ROUNDING = 1e-9
"""Relative error of a sum of shares: seven sevenths are not always 1."""


@dataclass(frozen=True, slots=True)
class GpuSeconds:
    """GPU-seconds in six classes, of one day in one pool or of a sum of these.

    Attributes:
        used: allocated and not idle.
        idle: allocated and idle.
        outside: not allocated to a pod, but at work.
        unallocated: not allocated to a pod, and known to be free.
        unknown: nobody measured it: allocated to pods without any sample, or not known to be free.
        stranded: the rest of cards that MIG divides, of which no instance was made.
    """

    used: float = 0.0
    idle: float = 0.0
    outside: float = 0.0
    unallocated: float = 0.0
    unknown: float = 0.0
    stranded: float = 0.0

    @property
    def capacity(self) -> float:
        """The sum of the classes."""
        return self.used + self.idle + self.outside + self.unallocated + self.unknown + self.stranded

    def __add__(self, other: "GpuSeconds") -> "GpuSeconds":
        """Add class by class."""
        return GpuSeconds(
            self.used + other.used,
            self.idle + other.idle,
            self.outside + other.outside,
            self.unallocated + other.unallocated,
            self.unknown + other.unknown,
            self.stranded + other.stranded,
        )


Accounts = Mapping[tuple[int, Pool], GpuSeconds]


def accounts(period: Period) -> Accounts:
    """GPU-seconds of each measured day and pool."""
    return period.once(_accounts)


def _accounts(period: Period) -> Accounts:
    pods = _of_pods(period)
    places: set[tuple[int, str | None, str | None]] = set(pods)
    if period.selection is None:
        places |= {(day_s, key, None) for day_s, _, _ in _days(period) for key in period.lives.nodes}
    total: defaultdict[tuple[int, Pool], GpuSeconds] = defaultdict(GpuSeconds)
    free, pools = _Free(period), period.once(_Pools)
    for day_s, key, gpu_type in sorted(places, key=str):
        held = pods.get((day_s, key, gpu_type), GpuSeconds())
        total[day_s, pools[key, gpu_type]] += held if period.selection is not None else free.around(held, day_s, key)
    return {key: seconds for key, seconds in sorted(total.items(), key=lambda item: str(item[0])) if seconds.capacity}


def _of_pods(period: Period) -> dict[tuple[int, str | None, str | None], GpuSeconds]:
    """What pods were allocated, by day, node, and the GPU type of series without a known node."""
    found: defaultdict[tuple[int, str | None, str | None], GpuSeconds] = defaultdict(GpuSeconds)
    for uses in uses_of(period).values():
        for day in uses:
            used = day.allocated_gpu_s - day.idle_gpu_s - day.unknown_gpu_s
            place = day.start_s, day.node, None if day.node in period.lives.nodes else day.gpu_type
            found[place] += GpuSeconds(used=max(0.0, used), idle=day.idle_gpu_s, unknown=day.unknown_gpu_s)
    return dict(found)


class _Pools(dict[tuple[str | None, str | None], Pool]):
    """The pool of each node and GPU type, computed the first time: a report asks for it once for each day of each pod.

    Args:
        period: the input.
    """

    def __init__(self, period: Period) -> None:
        super().__init__()
        self._nodes = period.lives.nodes

    def __missing__(self, place: tuple[str | None, str | None]) -> Pool:
        self[place] = pool_at(self._nodes, *place)
        return self[place]


class _Free:
    """Divides what pods leave of each node and day.

    Args:
        period: the input.
    """

    def __init__(self, period: Period) -> None:
        self._nodes = period.lives.nodes
        self._days = {day_s: (start_s, end_s) for day_s, start_s, end_s in _days(period)}
        self._first_s = period.first_sample_s
        self._listed = period.listed
        self._sampled = period.sampled_days
        self._at_work: defaultdict[tuple[int, str | None], float] = defaultdict(float)
        self._seen: defaultdict[tuple[int, str | None], float] = defaultdict(float)
        for ref, profile in period.profiles.items():
            if ref.kind == "Node":
                self._add(profile, period.lives)

    def _add(self, profile: UsageProfile, lives: Lives) -> None:
        """Add what the unallocated devices of a name show, by node."""
        whole: defaultdict[int, float] = defaultdict(float)
        for day in profile.days:
            whole[day.start_s] += day.allocated_gpu_s
        for day in lives.divided(profile.days, profile.stays)[0]:
            part = day.allocated_gpu_s / whole[day.start_s]
            self._at_work[day.start_s, day.node] += day.active_gpu_s
            self._seen[day.start_s, day.node] += profile.sampled_gpu_s.get(day.start_s, 0.0) * part

    def _is_silent(self, day_s: int) -> bool:
        """Whether nothing was sampled on a day, and something was later."""
        return day_s not in self._sampled and day_s < max(self._sampled, default=day_s)

    def around(self, held: GpuSeconds, day_s: int, key: str | None) -> GpuSeconds:
        """Return what pods were allocated on a node, with the classes of what they leave of it."""
        node = self._nodes.get(key or "")
        if node is None or day_s not in self._days:
            return held
        start_s, end_s = self._days[day_s]
        first_s = end_s if self._first_s is None else max(start_s, min(self._first_s, end_s))
        capacity = node.capacity * existed_s(node, start_s, end_s)
        listed = node.capacity * existed_s(node, first_s, end_s)
        if not self._listed or self._is_silent(day_s):
            listed = 0.0
        left = capacity - held.capacity
        left = left if left > capacity * _ROUNDING else 0.0
        stranded = min(left, stranded_gpus(node) * existed_s(node, start_s, end_s))
        left -= stranded
        outside = min(left, self._at_work[day_s, key])
        left -= outside
        known = max(listed - held.capacity - stranded - outside, self._seen[day_s, key] - outside, 0.0)
        unallocated = min(left, known)
        return held + GpuSeconds(
            outside=outside, unallocated=unallocated, unknown=left - unallocated, stranded=stranded
        )


def stranded_gpus(node: Node) -> float:
    """Whole-GPU equivalents of the cards that MIG divides of which no instance was made; 0 if that is not known."""
    if not node.mig or node.gpu_type is None:
        return 0.0
    shares = [(mig_share(name, node.gpu_type), count) for name, count in node.mig.items()]
    instances = sum((share or 0.0) * count for share, count in shares)
    if node.whole_gpus is None or any(share is None for share, _ in shares):
        return 0.0
    return max(0.0, node.capacity - min(node.whole_gpus, node.capacity) - instances)


def pool_of(period: Period, day: DayUse) -> Pool:
    """The pool in which a day's GPU-seconds were spent."""
    return period.once(_Pools)[day.node, day.gpu_type]


def uses_of(period: Period) -> dict[WorkloadRef, tuple[DayUse, ...]]:
    """The use of each workload on each measured day: shared devices are divided, and a node has no more than its time.

    MIG instances count by the larger of compute and memory, which can be more than their card: 4g.40gb and 3g.40gb
    are 4/7 and 1/2. Time in which a pod had its GPUs before the first sample counts as far as the node has it left.
    """
    return period.once(_uses)


def _uses(period: Period) -> dict[WorkloadRef, tuple[DayUse, ...]]:
    # Workloads that are not selected share cards with those that are.
    profiles = {ref: profile for ref, profile in period.profiles.items() if ref.kind != "Node"}
    places = node_of_device(period.profiles.values())
    located = {
        ref: period.lives.divided(*with_nodes(tuple(days_of(period, ref)), one.stays, places))
        for ref, one in profiles.items()
    }
    seen = divided(
        {ref: days for ref, (days, _) in located.items()},
        {ref: stays for ref, (_, stays) in located.items()},
        stated=period.listed,
        nodes=period.lives.nodes,
    )
    seen = _at_most(seen, _capacity(period, whole_days=True))
    unseen = {ref: tuple(_within(period, profile.unseen_days)) for ref, profile in profiles.items()}
    left = _capacity(period, whole_days=False)
    for uses in seen.values():
        for day in uses:
            left[day.start_s, day.node] -= day.allocated_gpu_s
    unseen = _at_most(unseen, {place: max(0.0, gpu_s) for place, gpu_s in left.items()})
    return {ref: (*seen[ref], *unseen[ref]) for ref in period.owners if ref in profiles}


def _capacity(period: Period, *, whole_days: bool) -> defaultdict[tuple[int, str | None], float]:
    """GPU-seconds of each node and day; of whole days, also the time in which the node did not exist."""
    found: defaultdict[tuple[int, str | None], float] = defaultdict(float)
    for day_s, start_s, end_s in _days(period):
        for key, node in period.lives.nodes.items():
            seconds = end_s - start_s if whole_days else existed_s(node, start_s, end_s)
            found[day_s, key] += node.capacity * seconds
    return found


def _at_most(
    uses: Mapping[WorkloadRef, Sequence[DayUse]], capacity: Mapping[tuple[int, str | None], float]
) -> dict[WorkloadRef, tuple[DayUse, ...]]:
    """Reduce what pods were allocated on a node and day to what the node has, in proportion."""
    taken: defaultdict[tuple[int, str | None], float] = defaultdict(float)
    for days in uses.values():
        for day in days:
            taken[day.start_s, day.node] += day.allocated_gpu_s
    share = {
        place: capacity[place] / gpu_s
        for place, gpu_s in taken.items()
        if gpu_s > capacity.get(place, math.inf) * (1.0 + _ROUNDING)
    }
    return {
        ref: tuple(_reduced(day, share.get((day.start_s, day.node), 1.0)) for day in days) for ref, days in uses.items()
    }


def _reduced(day: DayUse, share: float) -> DayUse:
    if share == 1.0:
        return day
    amounts = day.allocated_gpu_s, day.idle_gpu_s, day.active_gpu_s, day.unknown_gpu_s
    return DayUse(day.start_s, day.node, day.gpu_type, *(amount * share for amount in amounts))


def days_of(period: Period, workload: WorkloadRef) -> Iterator[DayUse]:
    """The use by a workload, or of a node's unallocated devices, on each measured day."""
    profile = period.profiles.get(workload)
    yield from _within(period, profile.days if profile is not None else ())


def _within(period: Period, days: Sequence[DayUse]) -> Iterator[DayUse]:
    start_s, end_s = period.measured
    for day in days:
        if day.start_s + DAY_S > start_s and day.start_s < end_s:
            yield day


def _days(period: Period) -> Iterator[tuple[int, int, int]]:
    """Midnight of each day, and the start and end of its measured part."""
    start_s, end_s = period.measured
    for day_s in range(start_s - start_s % DAY_S, end_s, DAY_S):
        yield day_s, max(day_s, start_s), min(day_s + DAY_S, end_s)
