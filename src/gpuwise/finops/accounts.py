"""GPU-seconds by day and pool: the one table that every sum of the report is taken from.

A pool is what one price buys: a GPU type and a capacity type. GPU-seconds lie in the pool of the node that they were
spent on, whatever has moved since; those of a node that the inventory lacks lie in a pool of no known capacity type,
which is priced as on-demand. Capacity is the inventory's nodes over the measured part of each day; where pods held more
than that (a node since gone), the capacity is what they held. What pods claim is theirs: use outside Kubernetes is
counted in what they leave of a node, and of its pool. So no class is ever below 0, and the four sum to the capacity.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Inventory, Node, WorkloadRef, node_ref
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import DayUse, UsageProfile
from gpuwise.model.usage import DAY_S


@dataclass(frozen=True, slots=True)
class Pool:
    """What one price buys; None where the node says neither type nor how it is paid for."""

    gpu_type: str | None
    capacity_type: CapacityType | None


@dataclass(frozen=True, slots=True)
class Period:
    """What money is counted from.

    Attributes:
        inventory: the fleet.
        profiles: usage by workload, and by `node_ref` of what no pod held; one without held nothing that is known.
        prices: what a GPU hour costs.
        start_s: first second; of a week Monday 00:00 UTC.
        end_s: first second after it.
        now_s: when the report is made; what lies after it has not happened.
        selection: which workloads the inventory was cut to, None for the whole fleet. What no pod held belongs to
            nodes, so to none of a selection, whose capacity is what it held.
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
        """The part of the period that profiles speak of; empty (start twice) where they speak of none of it."""
        windows = [profile.window for profile in self.profiles.values()]
        start_s = max(self.start_s, min((window.start_s for window in windows), default=self.start_s))
        end_s = min(self.end_s, self.now_s, max((window.end_s for window in windows), default=self.end_s))
        return start_s, max(start_s, end_s)

    def price(self, pool: Pool) -> float | None:
        """Dollars per GPU and hour in that pool, or None."""
        return self.prices.price(pool.gpu_type, pool.capacity_type)


@dataclass(frozen=True, slots=True)
class Held:
    """GPU-seconds, of one day in one pool or of any sum over them.

    Attributes:
        used: allocated and not idle.
        idle: allocated and idle.
        outside: held by no pod, and at work.
        unallocated: held by no pod, and not known to work.
    """

    used: float
    idle: float
    outside: float
    unallocated: float

    @property
    def capacity(self) -> float:
        """The four together."""
        return self.used + self.idle + self.outside + self.unallocated


Accounts = Mapping[tuple[int, Pool], Held]


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
        key: _held(allocated[key], idle[key], outside.get(key, 0.0), max(0.0, capacity.get(key, 0.0) - allocated[key]))
        for key in sorted(capacity.keys() | allocated.keys(), key=str)
    }


def _held(allocated: float, idle: float, outside: float, free: float) -> Held:
    return Held(allocated - idle, idle, min(outside, free), max(0.0, free - outside))


def _outside(period: Period) -> dict[tuple[int, Pool], float]:
    """GPU-seconds at work that no pod held, of each day and pool: on each node at most what pods left of it."""
    claimed: defaultdict[tuple[int, str], float] = defaultdict(float)
    for workload in period.inventory.workloads:
        for day in days_of(period, workload.ref):
            if day.node is not None:
                claimed[day.start_s, day.node] += day.allocated_gpu_s
    if period.selection is not None:
        return {}
    seconds = dict(_days(period))
    found: defaultdict[tuple[int, Pool], float] = defaultdict(float)
    for node in period.inventory.nodes.values():
        at_work: defaultdict[int, float] = defaultdict(float)
        for day in days_of(period, node_ref(node)):
            at_work[day.start_s] += day.active_gpu_s
        for day_s, active in at_work.items():
            left = max(0.0, node.gpu_count * seconds.get(day_s, 0) - claimed[day_s, node.name])
            found[day_s, pool_of_node(node)] += min(active, left)
    return dict(found)


def pool_of(inventory: Inventory, day: DayUse) -> Pool:
    """The pool that a day's GPU-seconds were spent in."""
    node = inventory.nodes.get(day.node) if day.node is not None else None
    return Pool(day.gpu_type, node.capacity_type if node is not None else None)


def pool_of_node(node: Node) -> Pool:
    """The pool that a node's GPUs are in."""
    return Pool(node.gpu_type.name if node.gpu_type is not None else None, node.capacity_type)


def days_of(period: Period, workload: WorkloadRef) -> Iterator[DayUse]:
    """What a workload, or a node without pods, held on each measured day."""
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


def _sizes(period: Period) -> Counter[Pool]:
    sizes: Counter[Pool] = Counter()
    for node in period.inventory.nodes.values() if period.selection is None else ():
        sizes[pool_of_node(node)] += node.gpu_count
    return sizes
