"""Commitments: from which day a one- or three-year commitment would have paid, by what GPUs were at work day by day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.cost import CostRow
from gpuwise.model.inventory import CapacityType
from gpuwise.model.usage import DAY_S

DAY_H = 24
TERM_DAYS = {1: 365, 3: 1_096}
"""Days of a commitment by its years: three years have a leap day."""

Pool = tuple[str, str | None]
"""Canonical GPU type and region."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a commitment costs.

    Attributes:
        years: 1 or 3.
        on_demand: dollars per GPU and hour without the commitment.
        committed: the same with it, which is paid for every hour of the term.
    """

    years: int
    on_demand: float
    committed: float


@dataclass(frozen=True, slots=True)
class Commitment:
    """A commitment for the GPUs that a pool had on demand on each day.

    Attributes:
        gpu_type, region: the pool.
        years: of the term.
        days: whole days of the history that were counted.
        gpus: GPUs that ran at least as long as it takes for the commitment to be worth it; 0 commits nothing.
        hours_a_day: mean hours a day in which one of these GPUs was allocated, of 24.
        on_demand, committed: dollars per GPU and hour.
        utilisation: share of the committed hours that would have been allocated.
        coverage: share of the pool's allocated GPU-hours on demand that the commitment would have covered.
        usd_year: what it would save in a year if use stays as it was; None if it commits nothing.
        break_even_day: on which day of the term the use on demand would have cost as much as the whole term; None if it
            does not within the term.
        reserved_utilisation: allocated share of the hours of nodes that are reserved already; None without such nodes.
        reserved_coverage: share of the pool's allocated GPU-hours that were on reserved nodes; None without such hours.
    """

    gpu_type: str
    region: str | None
    years: int
    days: int
    gpus: int
    hours_a_day: float
    on_demand: float
    committed: float
    utilisation: float | None
    coverage: float | None
    usd_year: float | None
    break_even_day: int | None
    reserved_utilisation: float | None
    reserved_coverage: float | None


@dataclass(slots=True)
class _Day:
    """GPU-hours of a pool on one day."""

    allocated: float = 0.0
    capacity: float = 0.0
    reserved: float = 0.0
    reserved_capacity: float = 0.0


def commitments(
    costs: Iterable[CostRow], offers: Mapping[Pool, Sequence[Offer]], days: Iterable[int]
) -> list[Commitment]:
    """What a commitment of each pool and term would be worth: the pools with the largest savings first.

    Allocated time (used, idle, not measured) of nodes on demand or without a label counts; spot has no commitments, and
    reserved nodes have theirs. A day has as many GPUs as its capacity in GPU-hours over 24, and each has the same part
    of the allocated hours. One GPU more pays as long as its mean hours a day exceed 24 x committed / on-demand, so days
    with more GPUs than usual commit nothing. Sums of a day cannot tell 16 GPUs of nodes that existed for 21 h from 14
    GPUs of nodes that existed for 24 h.

    Args:
        costs: rows of a cost history.
        offers: commitments by pool.
        days: midnights of the whole days in the history, epoch seconds; a day without rows has no use.
    """
    counted = sorted(set(days))
    pools: defaultdict[Pool, defaultdict[int, _Day]] = defaultdict(lambda: defaultdict(_Day))
    for row in costs:
        if row.price.gpu_type is not None and row.day_s in counted:
            _add(pools[row.price.gpu_type, row.price.region][row.day_s], row)
    found = [
        _commitment(pool, [of_day.get(day_s, _Day()) for day_s in counted], offer)
        for pool, of_day in pools.items()
        for offer in offers.get(pool, ())
    ]
    return sorted(found, key=lambda one: (-(one.usd_year or 0.0), one.gpu_type, one.region or "", one.years))


def whole_days(spans: Iterable[tuple[int, int, int]]) -> list[int]:
    """The midnights of days that were counted from end to end: part of a day says nothing about its hours.

    Args:
        spans: midnight, and first and last second counted, epoch seconds.
    """
    return [day_s for day_s, from_s, until_s in spans if from_s <= day_s and until_s >= day_s + DAY_S]


def _add(day: _Day, row: CostRow) -> None:
    hours = (row.time.used + row.time.idle + (row.time.unknown if row.owner.namespace else 0.0)) / 3_600
    if row.price.capacity_type is CapacityType.RESERVED:
        day.reserved += hours
        day.reserved_capacity += row.time.capacity / 3_600
    elif row.price.capacity_type is not CapacityType.SPOT:
        day.allocated += hours
        day.capacity += row.time.capacity / 3_600


def _commitment(pool: Pool, days: Sequence[_Day], offer: Offer) -> Commitment:
    # GPUs of each day, and the hours of each of them.
    parts = [(day.capacity / DAY_H, DAY_H * day.allocated / day.capacity) for day in days if day.allocated > 0.0]
    gpus = _gpus(parts, len(days), offer)
    within = sum(min(gpus, count) * hours for count, hours in parts)
    allocated, reserved = sum(day.allocated for day in days), sum(day.reserved for day in days)
    capacity = sum(day.reserved_capacity for day in days)
    whole = len(days) * DAY_H * gpus
    a_day = within / len(days) if days else 0.0
    return Commitment(
        gpu_type=pool[0],
        region=pool[1],
        years=offer.years,
        days=len(days),
        gpus=gpus,
        hours_a_day=a_day / gpus if gpus else 0.0,
        on_demand=offer.on_demand,
        committed=offer.committed,
        utilisation=within / whole if whole else None,
        coverage=within / allocated if allocated else None,
        usd_year=(a_day * offer.on_demand - DAY_H * gpus * offer.committed) * TERM_DAYS[1] if gpus else None,
        break_even_day=_break_even(a_day * offer.on_demand, gpus, offer),
        reserved_utilisation=reserved / capacity if capacity else None,
        reserved_coverage=reserved / (reserved + allocated) if reserved + allocated else None,
    )


def _gpus(parts: Sequence[tuple[float, float]], days: int, offer: Offer) -> int:
    """How many GPUs are worth a commitment: one more pays while its own hours exceed the break-even share."""
    if not parts or offer.on_demand <= 0.0:
        return 0
    least = days * DAY_H * offer.committed / offer.on_demand
    low, high = 0, int(max(count for count, _ in parts)) + 1
    while low < high:  # each further GPU has at most the hours of the one before it
        middle = (low + high) // 2
        if sum(min(max(0.0, count - middle), 1.0) * hours for count, hours in parts) > least:
            low = middle + 1
        else:
            high = middle
    return low


def _break_even(usd_a_day: float, gpus: int, offer: Offer) -> int | None:
    """The first day whose end has cost on demand at least what the commitment costs for its whole term."""
    if not gpus or usd_a_day <= 0.0:
        return None
    whole = offer.committed * DAY_H * gpus * TERM_DAYS[offer.years]
    day = -int(-whole // usd_a_day)
    return day if day <= TERM_DAYS[offer.years] else None
