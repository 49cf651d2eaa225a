"""How long work may take, and how often it is tried."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and retries of work on Ray.

    Attributes:
        item_s: longest time for one item on one node, seconds; then it is cancelled and tried elsewhere.
        total_s: longest time for all items, seconds.
        probe_s: longest time in which a node must show what it has installed, seconds.
        tries: how often an item is tried.
    """

    item_s: float = 600.0
    total_s: float = 7_200.0
    probe_s: float = 60.0
    tries: int = 3
