"""The bill: capacity in four classes, in GPU time and in dollars, over the period and by day."""

from collections import defaultdict
from dataclasses import dataclass

from gpuwise.finops.accounts import Held, Period, accounts
from gpuwise.model.report import Bill, FleetDay

HOUR_S = 3600.0


def bill(period: Period) -> Bill:
    """GPU time and money of the period; the four classes sum to the capacity exactly, in time and in dollars."""
    time = _Sum()
    money = _Sum()
    unpriced = 0.0
    for (_, pool), held in accounts(period).items():
        time.add(held, 1.0)
        price = period.price(pool)
        if price is None:
            unpriced += held.capacity
        else:
            money.add(held, price / HOUR_S)
    return Bill(
        capacity_gpu_s=time.whole,
        used_gpu_s=time.used,
        idle_gpu_s=time.idle,
        outside_gpu_s=time.outside,
        unallocated_gpu_s=time.unallocated,
        capacity_usd=money.whole,
        used_usd=money.used,
        idle_usd=money.idle,
        outside_usd=money.outside,
        unallocated_usd=money.unallocated,
        unpriced_gpu_s=unpriced,
    )


@dataclass(slots=True)
class _Sum:
    used: float = 0.0
    idle: float = 0.0
    outside: float = 0.0
    unallocated: float = 0.0

    def add(self, held: Held, factor: float) -> None:
        self.used += held.used * factor
        self.idle += held.idle * factor
        self.outside += held.outside * factor
        self.unallocated += held.unallocated * factor

    @property
    def whole(self) -> float:
        """In this order, so that a reader who adds the classes up gets it bit for bit."""
        return self.used + self.idle + self.outside + self.unallocated


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
        outside_gpu_h=sum(part.outside for part in held) / HOUR_S,
        unallocated_gpu_h=sum(part.unallocated for part in held) / HOUR_S,
    )
