"""Cost by any key: lines that sum to the bill, to the cent.

Money is rounded once, by the largest remainder (Hare quota): each line is rounded down to a cent, and the cents that
are left go to the lines with the largest remainders. So the printed lines sum to the printed total.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gpuwise.model.cost import NOT_MEASURED, CostSum, GpuSeconds, Measures

HOUR_S = 3_600.0
OVERHEAD = ("unallocated", "stranded", "unknown")
"""Classes of time that no pod was allocated, and that somebody pays for all the same; work outside is somebody's."""


class Spread(StrEnum):
    """How the cost of time that no pod was allocated is divided among the others."""

    NONE = "none"
    PROPORTIONAL = "proportional"
    EVEN = "even"


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a cost allocation.

    Attributes:
        keys: values of the keys; None where nothing names it.
        kind: "allocated" for time of pods, else the class: "unallocated", "outside", "stranded" or "unknown".
        gpu_h: GPU-hours.
        idle_gpu_h, unknown_gpu_h: of these, idle, and not measured.
        unpriced_gpu_h: of these, without a price; they are not part of the dollars.
        cents: US cents of the hours that have a price; None if there are hours and none has one.
        idle_cents: of these, for idle time.
        shared_cents: of `cents`, the share of what was spread.
        shared_gpu_h: GPU-hours on devices that several pods had at once.
        by_use_gpu_h: of these, divided by what each pod was measured to use; the others are divided by request.
        shift_gpu_h: how many more GPU-hours the line would have if all were divided by request, less is negative: the
            error of the division. Of the total, how many would move from one line to another.
    """

    keys: tuple[str | None, ...]
    kind: str
    gpu_h: float
    idle_gpu_h: float
    unknown_gpu_h: float
    unpriced_gpu_h: float
    cents: int | None
    idle_cents: int | None
    shared_cents: int = 0
    shared_gpu_h: float = 0.0
    by_use_gpu_h: float = 0.0
    shift_gpu_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Allocation:
    """The cost of a period by some keys.

    Attributes:
        by: the keys.
        lines: of pods, most expensive first, then of time that no pod was allocated.
        total: the sum of all lines.
        missing: whether a part of the period is not in the history: then the total is that of the rest.
    """

    by: tuple[str, ...]
    lines: tuple[CostLine, ...]
    total: CostLine
    missing: str = ""


def rounded(amounts: Sequence[float], total: float | None = None, most: Sequence[int] | None = None) -> list[int]:
    """Amounts in whole units that sum to the rounded total.

    Args:
        amounts: not negative.
        total: their sum, None to add them up: exactly, so that it does not depend on how they are grouped.
        most: no result is larger than these, which are results for amounts that are each at least as large.
    """
    limits = [math.inf] * len(amounts) if most is None else most
    whole = [min(int(amount), limit) for amount, limit in zip(amounts, limits, strict=True)]
    left = round(math.fsum(amounts) if total is None else total) - sum(whole)
    order = sorted(range(len(amounts)), key=lambda at: (whole[at] - amounts[at], at))
    while left > 0 and any(whole[at] < limits[at] for at in order):
        for at in order:
            if left > 0 and whole[at] < limits[at]:
                whole[at] += 1
                left -= 1
    return [int(one) for one in whole]


def allocation(
    sums: Iterable[CostSum], by: Sequence[str], spread: Spread = Spread.NONE, missing: str = ""
) -> Allocation:
    """Allocate the cost of a period.

    Args:
        sums: of the history, by these keys.
        by: the keys.
        spread: how the overhead is divided: by the cost of each line, evenly, or not at all. With nothing to divide it
            among, it stays apart.
        missing: what part of the period is not in the history.
    """
    parts = [part for found in sums for part in _parts(found) if part.time.capacity > 0.0]
    cents = rounded([part.usd.capacity * 100.0 for part in parts])
    idle = rounded([part.usd.idle * 100.0 for part in parts], most=cents)
    lines = [_line(part, *money) for part, *money in zip(parts, cents, idle, strict=True)]
    if spread is not Spread.NONE:
        lines = _spread(lines, spread)
    order = ("allocated", "outside", *OVERHEAD)
    lines.sort(key=lambda one: (order.index(one.kind) > 0, -(one.cents or 0), -one.gpu_h, str(one.keys)))
    return Allocation(tuple(by), tuple(lines), _total(lines, len(by)), missing)


@dataclass(frozen=True, slots=True)
class _Part:
    keys: tuple[str | None, ...]
    kind: str
    time: GpuSeconds
    usd: GpuSeconds
    unpriced: GpuSeconds
    measures: Measures = NOT_MEASURED


def _parts(found: CostSum) -> Iterable[_Part]:
    keys = tuple(None if key is None else str(key) for key in found.keys)
    if not found.nobody:
        yield _Part(keys, "allocated", found.time, found.usd, found.unpriced, found.measures)
        return
    for kind in ("outside", *OVERHEAD):
        time, usd, unpriced = (
            GpuSeconds(**{kind: getattr(one, kind)}) for one in (found.time, found.usd, found.unpriced)
        )
        yield _Part(keys, kind, time, usd, unpriced)


def _line(part: _Part, cents: int, idle: int) -> CostLine:
    hours, unpriced = part.time.capacity / HOUR_S, part.unpriced.capacity / HOUR_S
    priced, of = unpriced < hours, part.measures
    return CostLine(
        keys=part.keys,
        kind=part.kind,
        gpu_h=hours,
        idle_gpu_h=part.time.idle / HOUR_S,
        unknown_gpu_h=part.time.unknown / HOUR_S,
        unpriced_gpu_h=unpriced,
        cents=cents if priced else None,
        idle_cents=idle if priced else None,
        shared_gpu_h=(of.shared_s or 0.0) / HOUR_S,
        by_use_gpu_h=(of.by_use_s or 0.0) / HOUR_S,
        shift_gpu_h=(of.shift_s or 0.0) / HOUR_S,
    )


def _spread(lines: Sequence[CostLine], spread: Spread) -> list[CostLine]:
    shared = [one for one in lines if one.kind in OVERHEAD and one.cents is not None]
    others = [one for one in lines if one.kind == "allocated" and one.cents is not None]
    weights = [1.0 if spread is Spread.EVEN else float(one.cents or 0) for one in others]
    amount, whole = sum(one.cents or 0 for one in shared), sum(weights)
    if not whole:
        return list(lines)
    parts = rounded([amount * weight / whole for weight in weights], amount)
    given = {
        id(one): replace(one, cents=(one.cents or 0) + part, shared_cents=part)
        for one, part in zip(others, parts, strict=True)
    }
    spent = {id(one): replace(one, cents=0) for one in shared}
    return [given.get(id(one)) or spent.get(id(one)) or one for one in lines]


def _total(lines: Sequence[CostLine], keys: int) -> CostLine:
    def known(name: str) -> int | None:
        amounts = [getattr(one, name) for one in lines if getattr(one, name) is not None]
        return sum(amounts) if amounts or not lines else None

    return CostLine(
        keys=(None,) * keys,
        kind="total",
        gpu_h=sum(one.gpu_h for one in lines),
        idle_gpu_h=sum(one.idle_gpu_h for one in lines),
        unknown_gpu_h=sum(one.unknown_gpu_h for one in lines),
        unpriced_gpu_h=sum(one.unpriced_gpu_h for one in lines),
        cents=known("cents"),
        idle_cents=known("idle_cents"),
        shared_cents=sum(one.shared_cents for one in lines),
        shared_gpu_h=sum(one.shared_gpu_h for one in lines),
        by_use_gpu_h=sum(one.by_use_gpu_h for one in lines),
        shift_gpu_h=sum(max(0.0, one.shift_gpu_h) for one in lines),
    )


def gaps(days: Mapping[int, bool], first_s: int, end_s: int, day_s: int = 86_400) -> str:
    """Say which days of a period are not in the history, or only in part; "" if it has all.

    Args:
        days: whether each day in the history is closed, by midnight.
        first_s: midnight at which the period begins, epoch seconds.
        end_s: first second after it.
        day_s: seconds of a day.
    """
    asked = range(first_s, end_s, day_s)
    absent = sum(day not in days for day in asked)
    unfinished = sum(not days.get(day, True) for day in asked)
    found = []
    if absent:
        found.append(f"{absent} of {len(asked)} days are not in the cost history")
    if unfinished:
        found.append(f"{unfinished} {'day is' if unfinished == 1 else 'days are'} not complete yet")
    return "; ".join(found)
