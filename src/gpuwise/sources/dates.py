"""Dates in tables: a day, or a month or a year for its first day."""

import re
from datetime import UTC, datetime

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


def date_s(text: str) -> int | None:
    """Return the first second of a date in UTC, epoch seconds; None if the text is none.

    Args:
        text: 2026-07-20, 2026-07 or 2026.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        at = datetime(int(found[1]), int(found[2] or 1), int(found[3] or 1), tzinfo=UTC)
    except ValueError:  # a month 13 or a 30 February
        return None
    return int(at.timestamp())
