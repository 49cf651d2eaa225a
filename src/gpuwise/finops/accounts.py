"""GPU-seconds by day and pool: the one table that every sum of the report is taken from.

A pool is what one price buys: a GPU type and a capacity type. A workload's GPU-seconds are laid on the pools of its GPU
type in the shares of its live pods' nodes; a workload with none alive (a finished Job) on all pools of that type in
proportion to their size, since nothing says where it ran. Capacity is the inventory's nodes over the measured part of
each day; where pods held more than that (a node since gone), the capacity is what they held, so unallocated is never
below 0 and the three classes sum to the capacity.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Inventory, Node, Workload, WorkloadRef
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.usage import DAY_S

UNKNOWN_TYPE = "unknown"
"""The score room's key for cards of no known type in `UsageProfile.allocated_gpu_s_by_type`."""


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
        for pool, share in pool_shares(period, workload).items():
            for day_s, held_s, idle_s in days_of(period, workload.ref):
                allocated[day_s, pool] += held_s * share
                idle[day_s, pool] += idle_s * share
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


def pool_shares(period: Period, workload: Workload) -> dict[Pool, float]:
    """How a workload's GPU-seconds lie on pools; the shares sum to 1, or there are none where it held nothing."""
    profile = period.profiles.get(workload.ref)
    if profile is None or profile.allocated_gpu_s <= 0.0:
        return {}
    shares: defaultdict[Pool, float] = defaultdict(float)
    total = sum(profile.allocated_gpu_s_by_type.values())
    for name, seconds in profile.allocated_gpu_s_by_type.items():
        gpu_type = None if name == UNKNOWN_TYPE else name
        for capacity_type, share in _capacity_shares(period.inventory, workload, gpu_type).items():
            shares[Pool(gpu_type, capacity_type)] += share * seconds / total
    return dict(shares)


def _capacity_shares(
    inventory: Inventory, workload: Workload, gpu_type: str | None
) -> dict[CapacityType | None, float]:
    nodes = [inventory.nodes.get(pod.node) for pod in workload.pods if pod.node is not None]
    counts = Counter(node.capacity_type for node in nodes if node is not None and _type_of(node) == gpu_type)
    if not counts:
        for node in inventory.nodes.values():
            if _type_of(node) == gpu_type:
                counts[node.capacity_type] += node.gpu_count
    if not counts:
        return {None: 1.0}
    return {capacity_type: count / counts.total() for capacity_type, count in counts.items()}


def _type_of(node: Node) -> str | None:
    return node.gpu_type.name if node.gpu_type is not None else None


def days_of(period: Period, workload: WorkloadRef) -> Iterator[tuple[int, float, float]]:
    """Midnight, GPU-seconds held and of these idle, for each measured day of one workload."""
    profile = period.profiles.get(workload)
    start_s, end_s = period.measured
    for day in profile.days if profile is not None else ():
        if day.start_s + DAY_S > start_s and day.start_s < end_s:
            yield day.start_s, day.allocated_gpu_s, day.idle_gpu_s


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
