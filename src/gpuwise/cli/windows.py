"""Windows of whole UTC days that a command is asked for: a month, an ISO week, the last days, or two dates."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gpuwise.finops.allocation import gaps
from gpuwise.finops.series import GONE_D, Calendar
from gpuwise.model.errors import InputError
from gpuwise.model.ports import CostHistory
from gpuwise.model.usage import DAY_S

HELP = "month, last-month, week, last-week, 30d, 2026-05, 2026-W20, or 2026-05-01..2026-05-15, both days included."
_HINT = f"write {HELP}"


@dataclass(frozen=True, slots=True)
class Days:
    """Whole UTC days.

    Attributes:
        name: for people: "2026-05", "2026-W20", or two dates.
        start_s: midnight at which they begin, epoch seconds.
        end_s: midnight at which they end.
    """

    name: str
    start_s: int
    end_s: int

    @property
    def length(self) -> int:
        """How many days there are."""
        return (self.end_s - self.start_s) // DAY_S


def days_of(text: str, now_s: int) -> Days:
    """Return the days that a text names.

    Args:
        text: as `HELP` describes.
        now_s: the present, epoch seconds.

    Raises:
        InputError: it names no days.
    """
    today = datetime.fromtimestamp(now_s, UTC).date()
    try:
        return _days(text, today)
    except (ValueError, OverflowError) as error:
        raise InputError(f"--window is {text!r}: {error}", hint=_HINT) from error


def known_days(history: CostHistory, asked: Days, now_s: int) -> str:
    """Say which of these days are not in a history, or only in part; "" if it has all.

    Args:
        history: of one cluster or of all.
        asked: the days.
        now_s: the present, epoch seconds.

    Raises:
        InputError: it has none of them.
    """
    days = history.days(asked.start_s - GONE_D * DAY_S, asked.end_s)  # of each cluster
    calendar = Calendar.of(days)  # a day that one of them lacks is not complete
    known = {day.day_s: calendar.at(day.day_s) is not None for day in days if day.day_s >= asked.start_s}
    if not known:
        raise InputError(
            f"the cost history has no day of {asked.name}",
            hint="run `gpuwise scan` with this ledger first: it adds the days of its look-back",
        )
    return gaps(known, asked.start_s, min(asked.end_s, now_s))


def _days(text: str, today: date) -> Days:
    monday = today - timedelta(days=today.weekday())
    if text == "month":
        return _month(today.year, today.month)
    if text == "last-month":
        before = today.replace(day=1) - timedelta(days=1)
        return _month(before.year, before.month)
    if text in ("week", "last-week"):
        return _week(monday if text == "week" else monday - timedelta(days=7))
    if (found := re.fullmatch(r"(\d{1,4})d", text)) is not None and int(found[1]):
        return _span(today - timedelta(days=int(found[1]) - 1), today)
    if (found := re.fullmatch(r"(\d{4})-(\d{2})", text)) is not None:
        return _month(int(found[1]), int(found[2]))
    if (found := re.fullmatch(r"(\d{4})-W(\d{2})", text)) is not None:
        return _week(date.fromisocalendar(int(found[1]), int(found[2]), 1))
    first, dots, last = text.partition("..")
    if dots:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        if end < start:
            raise ValueError("the last day is before the first")
        return _span(start, end)
    raise ValueError("it names no days")


def _month(year: int, month: int) -> Days:
    start = date(year, month, 1)
    return Days(f"{start:%Y-%m}", _s(start), _s((start + timedelta(days=31)).replace(day=1)))


def _week(monday: date) -> Days:
    year, week, _ = monday.isocalendar()
    return Days(f"{year}-W{week:02d}", _s(monday), _s(monday) + 7 * DAY_S)


def _span(first: date, last: date) -> Days:
    return Days(f"{first}..{last}", _s(first), _s(last) + DAY_S)


def _s(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
