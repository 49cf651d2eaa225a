"""The bill: capacity in three classes, in GPU time and in dollars, over the period and by day."""

from collections import defaultdict

from gpuwise.finops.accounts import Held, Period, accounts
from gpuwise.model.report import Bill, FleetDay

HOUR_S = 3600.0


def bill(period: Period) -> Bill:
    """GPU time and money of the period; the three classes sum to the capacity exactly, in time and in dollars."""
    used = idle = unallocated = used_usd = idle_usd = unallocated_usd = unpriced = 0.0
    for (_, pool), held in accounts(period).items():
        used, idle, unallocated = used + held.used, idle + held.idle, unallocated + held.unallocated
        price = period.price(pool)
        if price is None:
            unpriced += held.capacity
            continue
        used_usd += held.used * price / HOUR_S
        idle_usd += held.idle * price / HOUR_S
        unallocated_usd += held.unallocated * price / HOUR_S
    return Bill(
        capacity_gpu_s=used + idle + unallocated,
        used_gpu_s=used,
        idle_gpu_s=idle,
        unallocated_gpu_s=unallocated,
        capacity_usd=used_usd + idle_usd + unallocated_usd,
        used_usd=used_usd,
        idle_usd=idle_usd,
        unallocated_usd=unallocated_usd,
        unpriced_gpu_s=unpriced,
    )


def fleet_days(period: Period) -> tuple[FleetDay, ...]:
    """The same per measured day, in GPU-hours; the days sum to the bill."""
    days: defaultdict[int, list[Held]] = defaultdict(list)
    for (day_s, _), held in accounts(period).items():
        days[day_s].append(held)
    return tuple(_day(day_s, held) for day_s, held in sorted(days.items()))


def _day(day_s: int, held: list[Held]) -> FleetDay:
    return FleetDay(
        start_s=day_s,
        used_gpu_h=sum(part.used for part in held) / HOUR_S,
        idle_gpu_h=sum(part.idle for part in held) / HOUR_S,
        unallocated_gpu_h=sum(part.unallocated for part in held) / HOUR_S,
    )
