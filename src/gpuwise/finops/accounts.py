"""GPU-seconds by day and pool: the single table behind every sum of the report.

A pool has one price: a GPU type and a capacity type. GPU-seconds belong to the pool of the node on which they were
spent, even if the pod has moved since. The pool is the node's: what a series calls the card does not matter.

Time is counted per day and node. The capacity of a node is its cards times the measured part of the day in which the
node existed. Allocations of pods come first, then the stranded rest of cards that MIG divides, then use outside
Kubernetes. What is left is unallocated only as far as it is known to be free; the rest is unknown. A node that no
longer exists, and is not remembered, has no more than what its pods were allocated, and never reduces the time of
another node. So no class is ever below 0, and the classes sum to the capacity.
"""

from collections import defaultdict
from collections.abc import Mapping

from gpuwise.finops.lives import Lives
from gpuwise.finops.period import Period
from gpuwise.finops.pools import Pool, existed_s, pool_at
from gpuwise.finops.uses import ROUNDING, Place, measured_days, uses_of
from gpuwise.model.billed import BilledUse
from gpuwise.model.cost import GpuSeconds
from gpuwise.model.gpu import mig_share
from gpuwise.model.inventory import Node

Accounts = Mapping[tuple[int, Pool], GpuSeconds]


def accounts(period: Period) -> Accounts:
    """GPU-seconds of each measured day and pool."""
    return period.once(_accounts)


def _accounts(period: Period) -> Accounts:
    pods = _of_pods(period)
    places: set[tuple[int, str | None, str | None]] = set(pods)
    if period.selection is None:
        places |= {(day_s, key, None) for day_s, _, _ in measured_days(period) for key in period.lives.nodes}
    total: defaultdict[tuple[int, Pool], GpuSeconds] = defaultdict(GpuSeconds)
    free, pools = _Free(period), period.once(_Pools)
    for day_s, key, gpu_type in sorted(places, key=str):
        held = pods.get((day_s, key, gpu_type), GpuSeconds())
        total[day_s, pools[key, gpu_type]] += held if period.selection is not None else free.around(held, day_s, key)
    return {key: seconds for key, seconds in sorted(total.items(), key=lambda item: str(item[0])) if seconds.capacity}


def _of_pods(period: Period) -> dict[tuple[int, str | None, str | None], GpuSeconds]:
    """What pods were allocated, by day, node, and the GPU type of series without a known node."""
    found: defaultdict[tuple[int, str | None, str | None], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    nodes = period.lives.nodes
    for _, uses in uses_of(period):
        for day in uses:
            of_place = found[day.start_s, day.node, None if day.node in nodes else day.gpu_type]
            of_place[0] += max(0.0, day.allocated_gpu_s - day.idle_gpu_s - day.unknown_gpu_s)
            of_place[1] += day.idle_gpu_s
            of_place[2] += day.unknown_gpu_s
    return {place: GpuSeconds(used=used, idle=idle, unknown=unknown) for place, (used, idle, unknown) in found.items()}


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
        self._days = {day_s: (start_s, end_s) for day_s, start_s, end_s in measured_days(period)}
        self._first_s = period.first_sample_s
        self._listed = period.listed
        self._sampled = period.sampled_days
        self._at_work: defaultdict[Place, float] = defaultdict(float)
        self._seen: defaultdict[Place, float] = defaultdict(float)
        for ref in period.billed:
            if ref.kind == "Node":
                self._add(period.billed[ref], period.lives)

    def _add(self, use: BilledUse, lives: Lives) -> None:
        """Add what the unallocated devices of a name show, by node."""
        whole: defaultdict[int, float] = defaultdict(float)
        for day in use.days:
            whole[day.start_s] += day.allocated_gpu_s
        for day in lives.divided(use.days, use.stays)[0]:
            part = day.allocated_gpu_s / whole[day.start_s]
            self._at_work[day.start_s, day.node] += day.active_gpu_s
            self._seen[day.start_s, day.node] += use.sampled_gpu_s.get(day.start_s, 0.0) * part

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
        left = left if left > capacity * ROUNDING else 0.0
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


def pools_of(period: Period) -> Mapping[tuple[str | None, str | None], Pool]:
    """The pool in which GPU-seconds were spent, by the node and GPU type of a `DayUse`; entries appear when read."""
    return period.once(_Pools)
