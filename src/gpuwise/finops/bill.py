"""The bill: capacity in six classes, in GPU time and in dollars, over the period and by day."""

from collections import defaultdict
from dataclasses import dataclass

from gpuwise.finops.accounts import accounts
from gpuwise.finops.period import Period
from gpuwise.model.cost import GpuSeconds
from gpuwise.model.report import Bill, FleetDay

HOUR_S = 3600.0


def bill(period: Period) -> Bill:
    """GPU time and money of the period; the classes sum to the capacity exactly, in time and in dollars."""
    time = _Sum()
    money = _Sum()
    unpriced = unpriced_idle = 0.0
    for (_, pool), seconds in accounts(period).items():
        time.add(seconds, 1.0)
        price = period.price(pool)
        if price is None:
            unpriced += seconds.capacity
            unpriced_idle += seconds.idle
        else:
            money.add(seconds, price / HOUR_S)
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
        unknown_gpu_s=time.unknown,
        stranded_gpu_s=time.stranded,
        unknown_usd=money.unknown,
        stranded_usd=money.stranded,
        unpriced_idle_gpu_h=unpriced_idle / HOUR_S,
    )


@dataclass(slots=True)
class _Sum:
    used: float = 0.0
    idle: float = 0.0
    outside: float = 0.0
    unallocated: float = 0.0
    unknown: float = 0.0
    stranded: float = 0.0

    def add(self, seconds: GpuSeconds, factor: float) -> None:
        self.used += seconds.used * factor
        self.idle += seconds.idle * factor
        self.outside += seconds.outside * factor
        self.unallocated += seconds.unallocated * factor
        self.unknown += seconds.unknown * factor
        self.stranded += seconds.stranded * factor

    @property
    def whole(self) -> float:
        """The sum, in this order, so that a reader who adds the classes up gets the same bits."""
        return self.used + self.idle + self.outside + self.unallocated + self.unknown + self.stranded


def fleet_days(period: Period) -> tuple[FleetDay, ...]:
    """The classes of each measured day, in GPU-hours; the days sum to the bill."""
    days: defaultdict[int, list[GpuSeconds]] = defaultdict(list)
    for (day_s, _), seconds in accounts(period).items():
        days[day_s].append(seconds)
    return tuple(_day(day_s, pools) for day_s, pools in sorted(days.items()))


def _day(day_s: int, pools: list[GpuSeconds]) -> FleetDay:
    return FleetDay(
        start_s=day_s,
        used_gpu_h=sum(pool.used for pool in pools) / HOUR_S,
        idle_gpu_h=sum(pool.idle for pool in pools) / HOUR_S,
        outside_gpu_h=sum(pool.outside for pool in pools) / HOUR_S,
        unallocated_gpu_h=sum(pool.unallocated for pool in pools) / HOUR_S,
        unknown_gpu_h=sum(pool.unknown for pool in pools) / HOUR_S,
        stranded_gpu_h=sum(pool.stranded for pool in pools) / HOUR_S,
    )
