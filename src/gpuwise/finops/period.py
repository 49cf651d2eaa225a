"""The input of the cost calculation: fleet, use, prices, and the time that they are about.

The use of a large fleet is on disk: each pass over it reads it once more, one shard at a time. So what is small and
needed more than once is gathered in one pass.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from gpuwise.finops.energy import Factors
from gpuwise.finops.lives import Lives
from gpuwise.finops.pools import Pool, pool_of_node
from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import DELETED, Inventory, Node, WorkloadRef
from gpuwise.model.price import PriceBook
from gpuwise.model.tagging import Tags
from gpuwise.model.usage import Window

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Overview:
    """What is known of the use of a fleet as a whole.

    Attributes:
        windows: the windows of the data, most often one.
        first_sample_s: when the first sample was taken, None if there is none.
        sampled_days: midnights of the days on which anything was sampled.
        unplaced: devices that some stay names without a node.
        unseen: whether a pod had a GPU before its first sample.
    """

    windows: frozenset[Window]
    first_sample_s: int | None
    sampled_days: frozenset[int]
    unplaced: frozenset[str]
    unseen: bool

    @classmethod
    def of(cls, uses: Iterable[BilledUse]) -> "Overview":
        """Gather it in one pass."""
        windows: set[Window] = set()
        firsts: set[int] = set()
        sampled: set[int] = set()
        unplaced: set[str] = set()
        unseen = False
        for use in uses:
            windows.add(use.window)
            sampled.update(use.sampled_gpu_s)
            if use.stays or use.days:
                firsts.add(min(stay.start_s for stay in use.stays) if use.stays else use.days[0].start_s)
            unplaced.update(stay.device_uuid for stay in use.stays if stay.node is None)
            unseen = unseen or bool(use.unseen_days)
        return cls(frozenset(windows), min(firsts, default=None), frozenset(sampled), frozenset(unplaced), unseen)


@dataclass(frozen=True)  # no slots: results are kept
class Period:
    """The input of the cost calculation.

    Attributes:
        inventory: the fleet.
        billed: use by workload, by `node_ref` for unallocated devices, and of deleted workloads; a workload without an
            entry counts as not allocated.
        prices: prices of GPU-hours.
        start_s: first second; for a week, Monday 00:00 UTC.
        end_s: first second after the period.
        now_s: when the report is made; later time is not counted.
        selection: the selection of workloads in the inventory, None for the whole fleet. Unallocated time belongs to
            nodes, so a selection has none: its capacity is what its workloads were allocated.
        past: nodes that no longer exist, as they were last seen.
        listed: the source lists all allocations with their shares, as a recording does. Without a sample, a card is
            then known to be free from the first sample of the fleet on, but not on days without any sample that come
            before others with samples: nothing measured the fleet then. With another source, only samples of the
            unallocated card show that it is free.
        tags: which labels name what cost is allocated to.
        deleted_in: namespaces whose deleted workloads are counted, None for all.
        factors: PUE and intensity of the grids.
    """

    inventory: Inventory
    billed: Mapping[WorkloadRef, BilledUse]
    prices: PriceBook
    start_s: int
    end_s: int
    now_s: int
    selection: str | None = None
    past: Sequence[Node] = ()
    listed: bool = True
    deleted_in: Collection[str] | None = None
    tags: Tags = field(default_factory=Tags)
    factors: Factors = field(default_factory=Factors)

    def once(self, function: "Callable[[Period], T]") -> T:
        """The result of a function of the period, which is computed the first time.

        Args:
            function: what to compute; the report needs several results more than once.
        """
        if function not in self._results:
            self._results[function] = function(self)
        found: T = self._results[function]
        return found

    @cached_property
    def _results(self) -> dict[Callable[["Period"], Any], Any]:
        return {}

    @cached_property
    def measured(self) -> tuple[int, int]:
        """The part of the period that the use covers; if it covers none of it, start and end are equal."""
        windows = self.overview.windows
        start_s = max(self.start_s, min((window.start_s for window in windows), default=self.start_s))
        end_s = min(self.end_s, self.now_s, max((window.end_s for window in windows), default=self.end_s))
        return start_s, max(start_s, end_s)

    @cached_property
    def overview(self) -> Overview:
        """What one pass over the use gathers."""
        return Overview.of(self.billed.values())

    @property
    def first_sample_s(self) -> int | None:
        """When the first sample of the fleet was taken, None if there is none in the window."""
        return self.overview.first_sample_s

    @property
    def sampled_days(self) -> frozenset[int]:
        """Midnights of the days on which anything of the fleet was sampled."""
        return self.overview.sampled_days

    @property
    def owners(self) -> tuple[WorkloadRef, ...]:
        """The workloads whose time is counted: those of the inventory, and the deleted ones."""
        return (*(workload.ref for workload in self.inventory.workloads), *self.deleted)

    @property
    def deleted(self) -> tuple[WorkloadRef, ...]:
        """The deleted workloads that are counted, one for each namespace."""
        every = sorted(ref for ref in self.billed if ref.kind == DELETED)
        return tuple(ref for ref in every if self.deleted_in is None or ref.namespace in self.deleted_in)

    @cached_property
    def lives(self) -> Lives:
        """The nodes, also those that no longer exist: a name can be given again."""
        stays = (stay for use in self.billed.values() for stay in use.stays)
        return Lives.of(self.past, self.inventory.nodes.values(), stays, start_s=self.start_s)

    def price(self, pool: Pool) -> float | None:
        """Dollars per GPU-hour in a pool, or None if no price is known.

        A node that no longer exists keeps the price that it had when it was last seen. Without that price and without
        a known capacity type it has a price only if all nodes of its GPU type have the same one.
        """
        if pool.usd_per_gpu_h is not None:
            return pool.usd_per_gpu_h
        if not pool.gone:
            return self.prices.price(pool.gpu_type, pool.capacity_type, region=pool.region, zone=pool.zone)
        prices = self.prices_of_type.get(pool.gpu_type, set())
        return next(iter(prices)) if len(prices) == 1 else None

    @cached_property
    def prices_of_type(self) -> Mapping[str | None, set[float | None]]:
        """The prices of the known nodes of each GPU type."""
        found: defaultdict[str | None, set[float | None]] = defaultdict(set)
        for pool in {pool_of_node(node) for node in (*self.inventory.nodes.values(), *self.past)}:
            if not pool.gone:
                found[pool.gpu_type].add(self.price(pool))
        return found
