"""The clock of this machine."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Epoch seconds."""


def now() -> int:
    """Epoch seconds, by this machine's clock."""
    return int(time.time())
