"""When allocated GPU time was used, by hour of the week: the pods' stays, scaled to the bill of each day.

The bill divides shared cards and knows pods without samples; stays know neither, but have the time of day. So the hours
of a UTC day are scaled to its used and its idle time, and all hours together sum to the bill.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gpuwise.finops.bill import HOUR_S, fleet_days
from gpuwise.finops.period import Period
from gpuwise.finops.uses import uses_of
from gpuwise.model.profile import Stay
from gpuwise.model.usage import DAY_S
from gpuwise.model.use import WEEK_H, HoursOfWeek

_H = 3_600
_BATCH = 100_000
"""Spans that are counted at once: 3 MB; a fleet of 100,000 GPUs may have millions."""
_DIGITS = 6
"""Decimals of GPU-hours that are kept: 4 ms. What is beyond them is rounding of sums."""
_Span = tuple[int, int, float]
_Floats = NDArray[np.float64]


def hours_of_week(period: Period, of_week: Callable[[int], int]) -> HoursOfWeek | None:
    """Used and idle time of the period by hour of the week; None if no pod was allocated anything.

    Args:
        period: the input.
        of_week: returns the hour of the week, 0 to 167, of an instant in epoch seconds.
    """
    start_s, end_s = period.measured
    slots = -(-(end_s - start_s) // _H)
    if not slots:
        return None
    stays = [stay for ref in uses_of(period).owners for stay in period.billed[ref].stays]
    held = _by_slot(((one.start_s, one.end_s, one.gpu_fraction) for one in stays), start_s, end_s, slots)
    idle = _by_slot((span for one in stays for span in _idle(one)), start_s, end_s, slots)
    days = [(start_s + at * _H) // DAY_S * DAY_S for at in range(slots)]
    bill = {day.start_s: (day.used_gpu_h, day.idle_gpu_h) for day in fleet_days(period)}
    if not any(used or unused for used, unused in bill.values()):
        return None
    hours = [of_week(start_s + at * _H) for at in range(slots)]
    scaled = [
        _scaled(amount, days, {day_s: amounts[which] for day_s, amounts in bill.items()})
        for which, amount in enumerate((np.maximum(held - idle, 0.0), idle))
    ]
    used, unused = (np.bincount(hours, weights=one, minlength=WEEK_H).round(_DIGITS).tolist() for one in scaled)
    return HoursOfWeek(tuple(used), tuple(unused))


def _idle(stay: Stay) -> Iterator[_Span]:
    for start_s, end_s in zip(stay.idle_s[::2], stay.idle_s[1::2], strict=True):
        yield start_s, end_s, stay.gpu_fraction


def _by_slot(spans: Iterable[_Span], start_s: int, end_s: int, slots: int) -> _Floats:
    """GPU-hours of the spans in each hour from the start on, shape (slots,)."""
    total, batch = np.zeros(slots), list[_Span]()
    for span in spans:
        batch.append(span)
        if len(batch) == _BATCH:
            total += _of_batch(batch, start_s, end_s, slots)
            batch.clear()
    return total + _of_batch(batch, start_s, end_s, slots)


def _of_batch(spans: Sequence[_Span], start_s: int, end_s: int, slots: int) -> _Floats:
    """Each span counts in full in each hour from its first to its last, less what these two have outside of it."""
    if not spans:
        return np.zeros(slots)
    first, last, share = (np.array(column) for column in zip(*spans, strict=True))
    first, last = (np.clip(bound, start_s, end_s) - start_s for bound in (first, last))
    within = last > first
    first, last, share = first[within], last[within], share[within].astype(np.float64)
    begins, ends = first // _H, -(-last // _H)
    whole = np.bincount(begins, weights=share, minlength=slots + 1)
    whole -= np.bincount(ends, weights=share, minlength=slots + 1)
    before = np.bincount(begins, weights=share * (first - begins * _H), minlength=slots)
    after = np.bincount(ends - 1, weights=share * (ends * _H - last), minlength=slots)
    found: _Floats = np.cumsum(whole)[:slots] - (before + after)[:slots] / HOUR_S
    return found


def _scaled(hours: _Floats, days: Sequence[int], bill: dict[int, float]) -> _Floats:
    """The hours of each day, scaled to its bill; evenly divided where no stay shows the time of day."""
    found = np.zeros_like(hours)
    at = np.array(days)
    for day_s, amount in bill.items():
        of_day = at == day_s
        known = float(hours[of_day].sum())
        if known > 10.0**-_DIGITS:
            found[of_day] = hours[of_day] * (amount / known)
        elif of_day.any():
            found[of_day] = amount / int(of_day.sum())
    return found
