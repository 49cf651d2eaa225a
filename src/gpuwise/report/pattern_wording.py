"""Sentences about when allocated GPUs were idle, and how active they were."""

from collections.abc import Sequence

from gpuwise.model.use import TENTHS, Activity, HoursOfWeek
from gpuwise.report.wording import gpu_hours, percent, share

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_H, _WORKDAYS = 24, 5
_WORKING_H = range(8, 20)


def idle_share(hours: HoursOfWeek, of_week: int) -> float | None:
    """Idle share of the allocated time in one hour of the week; None if nothing was allocated in it."""
    idle = hours.idle_gpu_h[of_week]
    return share(idle, idle + hours.used_gpu_h[of_week])


def idle_hours(hours: HoursOfWeek) -> str:
    """When allocated GPUs are idle, in a sentence."""
    parts: dict[str, list[int]] = {"on working days from 8 to 20": [], "on those from 20 to 8": [], "at weekends": []}
    working, night, weekend = parts.values()
    for at in range(len(hours.idle_gpu_h)):
        by_day = working if at % _DAY_H in _WORKING_H else night
        (by_day if at // _DAY_H < _WORKDAYS else weekend).append(at)
    shares = []
    for name, members in parts.items():
        idle, used = (sum(amounts[at] for at in members) for amounts in (hours.idle_gpu_h, hours.used_gpu_h))
        if idle + used > 0:
            shares.append(f"{percent(idle / (idle + used))} {name}")
    return f"Idle share of the allocated time: {', '.join(shares)}."


def idle_bounds(hours: HoursOfWeek) -> tuple[float, float] | None:
    """The smallest and the largest idle share of an hour of the week; None if nothing was allocated."""
    known = [one for at in range(len(hours.idle_gpu_h)) if (one := idle_share(hours, at)) is not None]
    return (min(known), max(known)) if known else None


def idle_range(hours: HoursOfWeek) -> str:
    """What the colours of the heat map mean."""
    bounds = idle_bounds(hours)
    return "" if bounds is None else f"Lightest: {percent(bounds[0])} idle; darkest: {percent(bounds[1])}."


def hour(of_week: int) -> str:
    """Format an hour of the week: "Mon 08:00"."""
    return f"{DAYS[of_week // _DAY_H]} {of_week % _DAY_H:02d}:00"


def tenth(number: int) -> str:
    """Format the bounds of a tenth of activity."""
    return f"{number * 10} to {number * 10 + 10} %"


def activity(found: Activity) -> str:
    """How active allocated GPUs were, in a sentence."""
    measured = sum(found.gpu_h)
    if not measured:
        return f"No activity was measured in {gpu_hours(found.unknown_gpu_h)}."
    low, high = found.gpu_h[0], sum(found.gpu_h[TENTHS // 2 :])
    text = f"{percent(low / measured)} below 10 % activity, {percent(high / measured)} at 50 % or more"
    more = f"; {gpu_hours(found.unknown_gpu_h)} were not measured" if round(found.unknown_gpu_h, 1) else ""
    return f"{gpu_hours(measured)} were measured: {text}{more}."


def by_hour(hours: HoursOfWeek) -> Sequence[tuple[str, Sequence[float | None]]]:
    """The idle shares as a table: hours of the day, each with its seven days."""
    return [
        (f"{at:02d}:00", [idle_share(hours, day * _DAY_H + at) for day in range(len(DAYS))]) for at in range(_DAY_H)
    ]
