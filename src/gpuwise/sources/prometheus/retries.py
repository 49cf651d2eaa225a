"""Retries of requests: limited per request, and in total to a share of all requests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class RetryBudget:
    """A token bucket of retries, so that retries add little load during an outage (Google SRE book, chapter 21).

    Args:
        burst: retries available at the start.
        ratio: retries that each request adds.
    """

    def __init__(self, burst: float, ratio: float) -> None:
        self._left = burst
        self._ratio = ratio

    def earn(self) -> None:
        """Count a request."""
        self._left += self._ratio

    def spend(self) -> bool:
        """Take one retry; False if none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of the header Retry-After, None without it (RFC 9110, section 10.2.3).

    Args:
        headers: headers of the response.
        now: current time, for a Retry-After with a date; None reads the clock.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())
