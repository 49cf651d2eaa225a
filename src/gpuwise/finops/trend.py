"""The last weeks of the cost history."""

from collections import defaultdict
from collections.abc import Iterable

from gpuwise.model.cost import CostSum
from gpuwise.model.moment import week_name
from gpuwise.model.report import WeekCost
from gpuwise.model.usage import DAY_S

WEEKS = 13
"""A quarter of a year."""
WEEK_S = 7 * DAY_S


def monday_of(at_s: int) -> int:
    """Monday 00:00 UTC of the week of an instant; 1970-01-01 was a Thursday."""
    return at_s - (at_s + 3 * DAY_S) % WEEK_S


def trend(sums: Iterable[CostSum], until_s: int, weeks: int = WEEKS) -> tuple[WeekCost, ...]:
    """The weeks that have any day in the history, oldest first.

    Args:
        sums: of the whole fleet, by "day".
        until_s: first second after the last week.
        weeks: how many.
    """
    first_s = monday_of(until_s - 1) - (weeks - 1) * WEEK_S
    of_week: defaultdict[int, list[CostSum]] = defaultdict(list)
    for one in sums:
        if first_s <= (day_s := int(one.keys[0] or 0)) < until_s:
            of_week[monday_of(day_s)].append(one)
    return tuple(_week(monday_s, found) for monday_s, found in sorted(of_week.items()))


def _week(monday_s: int, sums: list[CostSum]) -> WeekCost:
    return WeekCost(
        week=week_name(monday_s),
        start_s=monday_s,
        days=len({one.keys[0] for one in sums}),
        usd=sum(one.usd.capacity for one in sums),
        idle_usd=sum(one.usd.idle for one in sums),
        unallocated_usd=sum(one.usd.unallocated + one.usd.stranded for one in sums),
        unknown_usd=sum(one.usd.unknown for one in sums),
        gpu_h=sum(one.time.capacity for one in sums) / 3_600,
        unpriced_gpu_h=sum(one.unpriced.capacity for one in sums) / 3_600,
    )
