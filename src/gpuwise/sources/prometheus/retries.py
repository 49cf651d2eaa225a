"""When a request is tried again: at most so often, and in all no more than a share of the requests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class RetryBudget:
    """A token bucket of retries: an outage is met with little more than the usual load (Google SRE book, chapter 21).

    Args:
        burst: retries to start with.
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
    """Seconds that a server asks to wait, None if it does not say (RFC 9110, section 10.2.3).

    Args:
        headers: of its answer.
        now: for a Retry-After that is a date; None takes the clock.
    """
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except (ValueError, TypeError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())
