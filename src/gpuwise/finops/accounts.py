"""GPU-seconds by day and pool: the single table behind every sum of the report.

A pool has one price: a GPU type and a capacity type. GPU-seconds belong to the pool of the node on which they were
spent, even if the pod has moved since. Those of a node that is no longer in the inventory belong to a pool without a
capacity type, which is priced as on-demand. The capacity of a day is the inventory's nodes times the measured part of
the day; if pods were allocated more than that (on a node that has been removed), the capacity is their allocation.
Allocations of pods come first: use outside Kubernetes counts only in the rest of its node and pool. So no class is ever
below 0, and the four classes sum to the capacity.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Inventory, Node, WorkloadRef, node_ref
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import DayUse, UsageProfile
from gpuwise.model.usage import DAY_S


@dataclass(frozen=True, slots=True)
class Pool:
    """A GPU type and a capacity type, which have one price; None if the node's type or capacity type is not known."""

    gpu_type: str | None
    capacity_type: CapacityType | None


@dataclass(frozen=True, slots=True)
class Period:
    """The input of the cost calculation.

    Attributes:
        inventory: the fleet.
        profiles: usage profiles by workload, and by `node_ref` for unallocated devices; a workload without a profile
            counts as not allocated.
        prices: prices of GPU-hours.
        start_s: first second; for a week, Monday 00:00 UTC.
        end_s: first second after the period.
        now_s: when the report is made; later time is not counted.
        selection: the selection of workloads in the inventory, None for the whole fleet. Unallocated time belongs to
            nodes, so a selection has none: its capacity is what its workloads were allocated.
    """

    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]
    prices: PriceBook
    start_s: int
    end_s: int
    now_s: int
    selection: str | None = None

    @property
    def measured(self) -> tuple[int, int]:
        """The part of the period that the profiles cover; if they cover none of it, start and end are equal."""
        windows = [profile.window for profile in self.profiles.values()]
        start_s = max(self.start_s, min((window.start_s for window in windows), default=self.start_s))
        end_s = min(self.end_s, self.now_s, max((window.end_s for window in windows), default=self.end_s))
        return start_s, max(start_s, end_s)

    def price(self, pool: Pool) -> float | None:
        """Dollars per GPU-hour in a pool, or None if no price is known."""
        return self.prices.price(pool.gpu_type, pool.capacity_type)


@dataclass(frozen=True, slots=True)
class GpuSeconds:
    """GPU-seconds in four classes, of one day in one pool or of a sum of these.

    Attributes:
        used: allocated and not idle.
        idle: allocated and idle.
        outside: not allocated to a pod, but at work.
        unallocated: not allocated to a pod, and not known to be at work.
    """

    used: float
    idle: float
    outside: float
    unallocated: float

    @property
    def capacity(self) -> float:
        """The sum of the four classes."""
        return self.used + self.idle + self.outside + self.unallocated


Accounts = Mapping[tuple[int, Pool], GpuSeconds]


def accounts(period: Period) -> Accounts:
    """GPU-seconds of each measured day and pool."""
    allocated: defaultdict[tuple[int, Pool], float] = defaultdict(float)
    idle: defaultdict[tuple[int, Pool], float] = defaultdict(float)
    for workload in period.inventory.workloads:
        for day in days_of(period, workload.ref):
            key = day.start_s, pool_of(period.inventory, day)
            allocated[key] += day.allocated_gpu_s
            idle[key] += day.idle_gpu_s
    capacity = {
        (day_s, pool): gpus * seconds for day_s, seconds in _days(period) for pool, gpus in _sizes(period).items()
    }
    outside = _outside(period)
    return {
        key: _classes(
            allocated[key], idle[key], outside.get(key, 0.0), max(0.0, capacity.get(key, 0.0) - allocated[key])
        )
        for key in sorted(capacity.keys() | allocated.keys(), key=str)
    }


def _classes(allocated: float, idle: float, outside: float, free: float) -> GpuSeconds:
    return GpuSeconds(allocated - idle, idle, min(outside, free), max(0.0, free - outside))


def _outside(period: Period) -> dict[tuple[int, Pool], float]:
    """GPU-seconds at work outside Kubernetes, by day and pool; on each node at most its unallocated time."""
    allocated: defaultdict[tuple[int, str], float] = defaultdict(float)
    for workload in period.inventory.workloads:
        for day in days_of(period, workload.ref):
            if day.node is not None:
                allocated[day.start_s, day.node] += day.allocated_gpu_s
    if period.selection is not None:
        return {}
    seconds = dict(_days(period))
    outside: defaultdict[tuple[int, Pool], float] = defaultdict(float)
    for node in period.inventory.nodes.values():
        at_work: defaultdict[int, float] = defaultdict(float)
        for day in days_of(period, node_ref(node)):
            at_work[day.start_s] += day.active_gpu_s
        for day_s, active in at_work.items():
            left = max(0.0, node.capacity * seconds.get(day_s, 0) - allocated[day_s, node.name])
            outside[day_s, pool_of_node(node)] += min(active, left)
    return dict(outside)


def pool_of(inventory: Inventory, day: DayUse) -> Pool:
    """The pool in which a day's GPU-seconds were spent."""
    node = inventory.nodes.get(day.node) if day.node is not None else None
    return Pool(day.gpu_type, node.capacity_type if node is not None else None)


def pool_of_node(node: Node) -> Pool:
    """The pool of a node's GPUs."""
    return Pool(node.gpu_type.name if node.gpu_type is not None else None, node.capacity_type)


def days_of(period: Period, workload: WorkloadRef) -> Iterator[DayUse]:
    """The use by a workload, or of a node's unallocated devices, on each measured day."""
    profile = period.profiles.get(workload)
    start_s, end_s = period.measured
    for day in profile.days if profile is not None else ():
        if day.start_s + DAY_S > start_s and day.start_s < end_s:
            yield day


def _days(period: Period) -> Iterator[tuple[int, int]]:
    """Midnight and measured seconds of each day."""
    start_s, end_s = period.measured
    for day_s in range(start_s - start_s % DAY_S, end_s, DAY_S):
        yield day_s, min(day_s + DAY_S, end_s) - max(day_s, start_s)


def _sizes(period: Period) -> dict[Pool, float]:
    sizes: defaultdict[Pool, float] = defaultdict(float)
    for node in period.inventory.nodes.values() if period.selection is None else ():
        sizes[pool_of_node(node)] += node.capacity
    return sizes
