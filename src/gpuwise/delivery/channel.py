"""A channel: where a report can be sent, and the three ways in which that can fail."""

from collections.abc import Sequence
from typing import Protocol


class Failed(Exception):
    """A message was not delivered for certain.

    Args:
        problem: why, for a person; it never has a secret in it.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Transient(Failed):
    """Nobody got the message, and another try may succeed.

    Args:
        problem: why.
        retry_after_s: seconds that the server asks to wait, None if it does not say.
    """

    def __init__(self, problem: str, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class Refused(Failed):
    """Nobody got the message, and another try would end in the same way."""


class Lost(Failed):
    """The answer to the message was lost: it may have been delivered."""


class Channel(Protocol):
    """Where the report of one week can be sent."""

    @property
    def name(self) -> str:
        """Name of the channel, as in the ledger: "email" or "slack"."""
        ...

    @property
    def recipients(self) -> Sequence[str]:
        """Names of the recipients for the ledger; none is a secret."""
        ...

    def send(self, recipient: str) -> None:
        """Send the report to one recipient, once.

        Raises:
            Failed: it was not delivered for certain.
        """
        ...
