"""GPU-seconds by day and pool: the one table that every sum of the report is taken from.

A pool is what one price buys: a GPU type and a capacity type. GPU-seconds lie in the pool of the node that they were
spent on, whatever has moved since; those of a node that the inventory lacks lie in a pool of no known capacity type,
which is priced as on-demand. Capacity is the inventory's nodes over the measured part of each day; where pods held more
than that (a node since gone), the capacity is what they held: unallocated is never below 0 and the three classes sum to
the capacity.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Inventory, Node, WorkloadRef
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
        profiles: usage by workload; a workload without one held nothing that is known.
        prices: what a GPU hour costs.
        start_s: first second; of a week Monday 00:00 UTC.
        end_s: first second after it.
        now_s: when the report is made; what lies after it has not happened.
    """

    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]
    prices: PriceBook
    start_s: int
    end_s: int
    now_s: int

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
        unallocated: held by no pod.
    """

    used: float
    idle: float
    unallocated: float

    @property
    def capacity(self) -> float:
        """The three together."""
        return self.used + self.idle + self.unallocated


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
    return {
        key: Held(
            used=allocated[key] - idle[key],
            idle=idle[key],
            unallocated=max(0.0, capacity.get(key, 0.0) - allocated[key]),
        )
        for key in sorted(capacity.keys() | allocated.keys(), key=str)
    }


def pool_of(inventory: Inventory, day: DayUse) -> Pool:
    """The pool that a day's GPU-seconds were spent in."""
    node = inventory.nodes.get(day.node) if day.node is not None else None
    return Pool(day.gpu_type, node.capacity_type if node is not None else None)


def _type_of(node: Node) -> str | None:
    return node.gpu_type.name if node.gpu_type is not None else None


def days_of(period: Period, workload: WorkloadRef) -> Iterator[DayUse]:
    """What a workload held on each measured day."""
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
    for node in period.inventory.nodes.values():
        sizes[Pool(_type_of(node), node.capacity_type)] += node.gpu_count
    return sizes
