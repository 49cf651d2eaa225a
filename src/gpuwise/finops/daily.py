"""The rows of the cost history: the bill of each measured day, divided by owner and price."""

from collections import defaultdict
from collections.abc import Iterator

from gpuwise.finops.accounts import accounts, pools_of
from gpuwise.finops.day_measures import measured_free, measures_of, units_of
from gpuwise.finops.period import Period
from gpuwise.finops.pools import Pool
from gpuwise.finops.uses import measured_days, uses_of
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Measures, Owner, Price
from gpuwise.model.declared import value_per_unit
from gpuwise.model.tagging import owner_of
from gpuwise.model.usage import DAY_S

SETTLED_S = 2 * 3_600
"""How long after its end a day is final: late scrapes and remote writes have arrived by then."""


def daily_costs(period: Period) -> list[CostRow]:
    """The rows of each of `days_of`, oldest first. Those of a day sum to its part of the bill, class by class.

    Args:
        period: the input, of a whole fleet.
    """
    known = {day.day_s for day in days_of(period)}
    found = (row for row in _rows(period) if row.day_s in known)
    return sorted(found, key=lambda row: (row.day_s, str(row.owner), str(row.price)))


def _rows(period: Period) -> Iterator[CostRow]:
    pools, workloads = pools_of(period), period.inventory.by_ref()
    allocated: defaultdict[tuple[int, Pool], float] = defaultdict(float)
    owned: defaultdict[tuple[int, Owner, Pool], GpuSeconds] = defaultdict(GpuSeconds)
    measured: defaultdict[tuple[int, Owner, Pool], Measures] = defaultdict(Measures)
    declares: dict[Owner, tuple[str | None, float | None]] = {}
    for ref, days in uses_of(period):
        owner = owner_of(ref, workloads.get(ref), period.inventory.namespaces.get(ref.namespace), period.tags)
        workload = workloads.get(ref)
        declares[owner] = period.billed[ref].work_unit, None if workload is None else value_per_unit(workload)
        for day, done in zip(days, units_of(period.billed[ref], days), strict=True):
            pool = pools[day.node, day.gpu_type]
            used = max(0.0, day.allocated_gpu_s - day.idle_gpu_s - day.unknown_gpu_s)
            owned[day.start_s, owner, pool] += GpuSeconds(used=used, idle=day.idle_gpu_s, unknown=day.unknown_gpu_s)
            measured[day.start_s, owner, pool] += measures_of(day)._replace(requests=done.requests, work=done.work)
            allocated[day.start_s, pool] += day.unknown_gpu_s
    for (day_s, owner, pool), time in owned.items():
        found = measured[day_s, owner, pool]
        yield CostRow(day_s, owner, _price(period, pool), time, found, *declares[owner])
    free = measured_free(period)
    for (day_s, pool), time in accounts(period).items():
        # What pods had is above: the sums of both are of the same numbers, but in another order.
        unknown = max(0.0, time.unknown - allocated[day_s, pool])
        rest = GpuSeconds(outside=time.outside, unallocated=time.unallocated, unknown=unknown, stranded=time.stranded)
        if rest.capacity > 0.0:
            yield CostRow(day_s, NOBODY, _price(period, pool), rest, free.get((day_s, pool), Measures()))


def _price(period: Period, pool: Pool) -> Price:
    return Price(pool.gpu_type, pool.capacity_type, pool.region, pool.zone, period.price(pool))


def days_of(period: Period) -> tuple[CostDay, ...]:
    """The measured days until that of the last sample; a whole one is closed some time after its end.

    After the last sample nothing is known: the source has ended, or does not answer.
    """
    last_sampled_s = max(period.sampled_days, default=-1)
    last_s = period.now_s - SETTLED_S
    return tuple(
        CostDay(day_s, start_s, end_s, closed=start_s == day_s and end_s == day_s + DAY_S <= last_s)
        for day_s, start_s, end_s in measured_days(period)
        if day_s <= last_sampled_s
    )
