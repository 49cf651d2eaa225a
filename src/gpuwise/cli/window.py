"""Windows of whole days in UTC, as people name them: a month, an ISO week, or two dates."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S

_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_HINT = "write month, or a month 2026-11, a week 2026-W48, or two dates 2026-11-01..2026-11-30"


class Days(NamedTuple):
    """Whole days in UTC.

    Attributes:
        name: how the window is called.
        start_s: its first midnight, epoch seconds.
        end_s: the midnight after its last day.
    """

    name: str
    start_s: int
    end_s: int

    @property
    def length(self) -> int:
        """How many days it has."""
        return (self.end_s - self.start_s) // DAY_S


def days_of(text: str, now_s: int) -> Days:
    """Return the days of a window.

    Args:
        text: "month", "2026-11", "2026-W48", or "2026-11-01..2026-11-30", of which both days count.
        now_s: of the month "month", epoch seconds.

    Raises:
        InputError: the text is none of these, there is no such day, or the last day comes before the first.
    """
    asked = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m}" if text == "month" else text
    try:
        first, last = _dates(asked)
        start_s, end_s = _midnight_s(first), _midnight_s(last + timedelta(days=1))
    except (ValueError, OverflowError) as error:
        raise InputError(f"--window is {text!r}: {error}", hint=_HINT) from error
    if end_s <= start_s:
        raise InputError(f"--window is {text!r}: the last day is before the first", hint="write the earlier date first")
    return Days(asked, start_s, end_s)


def _dates(text: str) -> tuple[date, date]:
    if (month := _MONTH.fullmatch(text)) is not None:
        year, number = int(month[1]), int(month[2])
        first = date(year, number, 1)
        return first, first.replace(day=monthrange(year, number)[1])
    if (week := _WEEK.fullmatch(text)) is not None:
        monday = date.fromisocalendar(int(week[1]), int(week[2]), 1)
        return monday, monday + timedelta(days=6)
    first_text, between, last_text = text.partition("..")
    if not between:
        raise ValueError("it is neither a month, nor a week, nor two dates")
    return date.fromisoformat(first_text), date.fromisoformat(last_text)


def _midnight_s(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
