"""Maintenance windows and freezes: when automation may change anything."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


_CLOCK_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


def _clock_time(value: Any) -> Any:
    """Accept "HH:MM" and "HH:MM:SS" only: YAML 1.1 reads 22:00 without quotes as the number 1320, which is 00:22."""
    if isinstance(value, time) or (isinstance(value, str) and re.match(_CLOCK_TIME, value)):
        return value
    raise ValueError(f'write the time in quotes, as "22:00": {value!r} is not in this form')


ClockTime = Annotated[time, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": _CLOCK_TIME})]


def instant(now_s: int) -> datetime:
    """The date and time of an instant, in UTC.

    Args:
        now_s: epoch seconds.
    """
    return datetime.fromtimestamp(now_s, UTC)


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Hours of the week in which automation may make changes."""

    start: ClockTime
    """Local time at which it opens: "22:00"."""

    end: ClockTime
    """Local time at which it closes; not after `start` means on the next day."""

    zone: ZoneInfo
    """Time zone of both, as in the IANA database: Europe/Berlin."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = _DAYS
    """Days on which it opens."""

    def is_open(self, now_s: int) -> bool:
        """Whether it is open.

        Args:
            now_s: epoch seconds.
        """
        now = datetime.fromtimestamp(now_s, self.zone)
        return any(self._covers(now, now.date() - timedelta(days=before)) for before in (0, 1))

    def _covers(self, now: datetime, day: date) -> bool:
        if _DAYS[day.weekday()] not in self.days:
            return False
        last = day if self.start < self.end else day + timedelta(days=1)
        opens, closes = (datetime.combine(one, at, self.zone) for one, at in ((day, self.start), (last, self.end)))
        # Aware times of one zone compare by their wall clock, which repeats an hour in autumn: compare them in UTC.
        return opens.astimezone(UTC) <= now.astimezone(UTC) < closes.astimezone(UTC)

    def __str__(self) -> str:
        """Format it for a message: "mon, tue 22:00 to 06:00 Europe/Berlin"."""
        days = "daily" if self.days == _DAYS else ", ".join(self.days)
        return f"{days} {self.start:%H:%M} to {self.end:%H:%M} {self.zone.key}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is changed, by automation or by `gpuwise apply`."""

    first: date
    """First day, such as 2026-12-20."""

    last: date
    """Last day, inclusive."""

    zone: ZoneInfo
    """Time zone in which the days begin and end: Europe/Berlin."""

    reason: str
    """Why, for the people whom it stops."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that it covers; empty for all, and for nodes."""

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"its last day, {self.last}, is before its first day, {self.first}")

    def covers(self, namespace: str, now_s: int) -> bool:
        """Whether it forbids changes in a namespace now.

        Args:
            namespace: of the target, "" for a node.
            now_s: epoch seconds.
        """
        today = datetime.fromtimestamp(now_s, self.zone).date()
        return self.first <= today <= self.last and (not self.namespaces or namespace in self.namespaces)
