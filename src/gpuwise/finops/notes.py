"""Remarks of the report on its own numbers: what was not measured, what has no price, what is old."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from gpuwise.finops.accounts import accounts, pools_of
from gpuwise.finops.bill import HOUR_S, bill
from gpuwise.finops.period import Period
from gpuwise.finops.uses import uses_of
from gpuwise.model.inventory import CapacityType
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.usage import DAY_S

# With a lower coverage the report notes that the idle figures are incomplete.
_THIN_COVERAGE = 0.9

# An older inventory may lack pods that have run since.
_OLD_INVENTORY_S = 3_600

_SHOWN = 5
"""Names in one note; more of them make it unreadable."""


def notes_of(period: Period, *, coverage: float | None, dropped: int) -> Iterator[str]:
    """Yield the remarks, one sentence each.

    Args:
        period: the input of the cost calculation.
        coverage: share of the allocated time with an activity sample, None if nothing is allocated.
        dropped: impossible values that were dropped, of the workloads in the inventory.
    """
    for name, nodes in period.inventory.not_measured.items():
        yield f"{name} on {len(nodes)} nodes is not measured: gpuwise measures GPUs of NVIDIA only."
    start_s, end_s = period.measured
    if end_s - start_s < period.end_s - period.start_s:
        measured, whole = (end_s - start_s) / DAY_S, (period.end_s - period.start_s) / DAY_S
        yield f"Only {measured:.1f} of {whole:.0f} days were measured; all sums are for the measured time."
    yield from _unmeasured(period)
    if coverage is not None and coverage < _THIN_COVERAGE:
        yield f"Activity was sampled {coverage:.0%} of the time; the rest counts as used, never as idle."
    if dropped > 0:
        yield f"{dropped:,} impossible values, which exporters send for unknown, were dropped; they count as missing."
    if (age_s := period.now_s - period.inventory.taken_s) > _OLD_INVENTORY_S:
        yield f"The list of nodes and workloads is {age_s / 3600:.1f} h older than this report."
    yield from _prices(period)
    yield from _old_prices(period)


def failures_of(blocked: Iterable[Blocked]) -> Iterator[str]:
    """Yield a sentence if a method could not decide because of an error in gpuwise.

    Args:
        blocked: the blocked changes.
    """
    failed = [one for one in blocked if one.reason is Reason.METHOD_FAILED]
    if failed:
        methods = _several(sorted({one.stage for one in failed}))
        names = _several(sorted({str(one.workload) for one in failed}))
        yield f"An error in gpuwise: {methods} could not decide about {names}. Please report it: {failed[0].detail}."


def _unmeasured(period: Period) -> Iterator[str]:
    start_s, end_s = period.measured
    if period.first_sample_s is None and end_s > start_s:
        yield "Nothing was sampled in this period: all GPU time is unknown, neither idle nor free."
        return
    days = range(start_s - start_s % DAY_S, end_s, DAY_S) if period.sampled_days else ()
    empty = [day_s for day_s in days if day_s not in period.sampled_days]
    if empty:
        yield f"There is no sample of {_several([_day(day_s) for day_s in empty])}."
    unknown = bill(period).unknown_gpu_s
    if unknown > 0.0:
        yield f"{unknown / HOUR_S:,.0f} GPU-h are unknown: nothing measured them, so they are neither idle nor free."


def _prices(period: Period) -> Iterator[str]:
    if any(node.capacity_type is None for node in period.inventory.nodes.values()):
        yield "Nodes without a label for their capacity type are priced as on-demand."
    gone: defaultdict[tuple[str, str | None, float | None], float] = defaultdict(float)
    is_gone = any(pool.gone for _, pool in accounts(period))
    for _, uses in uses_of(period) if is_gone else ():
        for day in uses:
            pool = pools_of(period)[day.node, day.gpu_type]
            if pool.gone and day.allocated_gpu_s > 0.0:
                gone[day.node or "an unknown node", pool.gpu_type, period.price(pool)] += day.allocated_gpu_s / HOUR_S
    for priced in (True, False):
        found = {key: hours for key, hours in gone.items() if (key[2] is not None) is priced}
        if found:
            yield _gone(period, found, priced=priced)


def _old_prices(period: Period) -> Iterator[str]:
    """Name the prices that were read long ago; a price without a date is not judged."""
    book, found = period.prices, {}
    for node in period.inventory.nodes.values():
        name = None if node.gpu_type is None else node.gpu_type.name
        place = book.place(name, node.capacity_type, region=node.region, zone=node.zone)
        as_of_s = None if place is None or node.gone_s is not None else book.as_of_s.get(place)
        if place is not None and as_of_s is not None and period.now_s - as_of_s > book.stale_after_days * DAY_S:
            found[" ".join(filter(None, place))] = as_of_s
    if found:
        oldest = _day(min(found.values()))
        yield f"Prices older than {book.stale_after_days} days: {_several(sorted(found))}; the oldest is of {oldest}."


def _gone(period: Period, found: dict[tuple[str, str | None, float | None], float], *, priced: bool) -> str:
    names = _several(sorted({name for name, _, _ in found}))
    text = (
        f"{sum(found.values()):,.0f} GPU-h were spent on nodes that no longer exist, of unknown capacity type: {names}"
    )
    if priced:
        return f"{text}. They are priced like the other nodes of their GPU type, which all have one price."
    prices = [
        (hours, [price for kind in CapacityType if (price := period.prices.price(gpu_type, kind)) is not None])
        for (_, gpu_type, _), hours in found.items()
    ]
    if not all(known for _, known in prices):
        return f"{text}. They have no price."
    low, high = (sum(hours * pick(known) for hours, known in prices) for pick in (min, max))
    return f"{text}. They have no price: between ${low:,.0f} and ${high:,.0f}."


def _several(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _day(seconds: int) -> str:
    return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
