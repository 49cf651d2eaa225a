"""Instants as people write them in annotations, for packages that use no clock and no calendar."""

import re

import numpy as np

# RFC 3339, section 5.6; a blank instead of the T is allowed there.
_RFC_3339 = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<time>\d{2}:\d{2}:\d{2})(?:\.\d+)?(?P<zone>[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def epoch_s(text: str) -> int | None:
    """Epoch seconds of an RFC 3339 instant with a time zone, such as 2026-11-30T18:00:00+01:00; None if it is none.

    Args:
        text: the instant; fractions of a second are dropped.
    """
    found = _RFC_3339.fullmatch(text.strip())
    if found is None:
        return None
    try:
        local = np.datetime64(f"{found['day']}T{found['time']}", "s").astype(np.int64)
    except ValueError:  # a month 13 or a 30 February
        return None
    return int(local) - _offset_s(found["zone"])


def _offset_s(zone: str) -> int:
    if zone in ("Z", "z"):
        return 0
    hours, minutes = zone[1:].split(":")
    return (-1 if zone[0] == "-" else 1) * (int(hours) * 3_600 + int(minutes) * 60)


def month_of(at_s: int) -> tuple[str, int, int]:
    """The calendar month (UTC) of an instant: its name, such as "2026-11", its first second, and the first after it.

    Args:
        at_s: epoch seconds.
    """
    month = np.datetime64(at_s, "s").astype("datetime64[M]")
    first, after = (one.astype("datetime64[s]").astype(np.int64) for one in (month, month + 1))
    return str(month), int(first), int(after)


def week_name(monday_s: int) -> str:
    """The name of an ISO week, such as "2026-W20": its year is that of its Thursday (ISO 8601, 3.1.1.23).

    Args:
        monday_s: Monday 00:00 UTC, epoch seconds.
    """
    thursday = np.datetime64(monday_s, "s").astype("datetime64[D]") + 3
    year = thursday.astype("datetime64[Y]")
    week = (thursday - year.astype("datetime64[D]")).astype(np.int64) // 7 + 1
    return f"{year}-W{int(week):02d}"
