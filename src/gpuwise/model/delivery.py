"""The delivery of a report: what the ledger keeps of it, so that nobody gets the report of a week twice."""

from dataclasses import dataclass
from enum import StrEnum


class DeliveryStatus(StrEnum):
    """How far a delivery came; a later status of the same delivery replaces an earlier one."""

    BEGUN = "begun"
    """It is about to be sent. If nothing follows, the process ended meanwhile: it may have been sent."""
    SENT = "sent"
    """The server accepted it."""
    NOT_SENT = "not-sent"
    """The server did not accept it, or was not reached: nobody got it."""
    UNKNOWN = "unknown"
    """The connection was lost before the server confirmed it: it may have been sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event of sending the report of one week to one recipient.

    Attributes:
        week: ISO week of the report.
        scope: what the report covers, "namespace sandbox"; "" for the whole fleet.
        channel: "email" or "slack".
        recipient: the address, or a digest of a webhook's address, which is a secret.
        status: how far it came.
        at_s: when, epoch seconds.
        detail: explanation for a person.
        cluster: uid of the cluster; "" if not known.
    """

    week: str
    scope: str
    channel: str
    recipient: str
    status: DeliveryStatus
    at_s: int
    detail: str = ""
    cluster: str = ""

    @property
    def key(self) -> str:
        """What may be sent once."""
        return f"{self.week}/{self.channel}/{self.recipient}/{self.scope}"


def may_begin(latest: Delivery | None, *, again: bool) -> bool:
    """Whether a report may be sent: at most once, unless a person asks for it again.

    A delivery whose end is not known may have reached its recipient, so it is not repeated either.

    Args:
        latest: the latest event of the same delivery, None without one.
        again: whether a person asks for it again.
    """
    return again or latest is None or latest.status is DeliveryStatus.NOT_SENT
