"""Which power limit to try next, and which to keep: the least energy at a slowdown that is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.recommend.engines.power_limit_overprovisioned.expected import MAX_SLOWDOWN, expected_cap


@dataclass(frozen=True, slots=True)
class PowerCapSettings:
    """What a lower limit may cost."""

    tries: int = 3
    """Limits measured besides the present one: each costs a while at a limit that may be wrong."""

    max_slowdown: float = MAX_SLOWDOWN
    """Share of speed that may be lost; a limit that was slower is never kept."""


@dataclass(frozen=True, slots=True)
class CapTrial:
    """One unit of work, measured under one power limit.

    Attributes:
        limit_w: power limit, watts.
        energy_j: energy it took, joules.
        time_s: time it took, seconds.
    """

    limit_w: float
    energy_j: float
    time_s: float


def next_cap(limits: Sequence[float], tried: Sequence[CapTrial], settings: PowerCapSettings) -> float | None:
    """Choose the limit to measure next.

    The first is where the draw under the highest limit says that the slowdown becomes too large. From there the search
    goes down by two while a further try could still close the gap, then by one; and up by one after a limit that was
    too slow. With the boundary found, tries that are left go to the limits just above it.

    Args:
        limits: what the board can be set to, watts, in any order.
        tried: what was measured, the highest limit first.
        settings: how many tries, and what may be lost.

    Returns:
        A limit that was not tried; None where nothing is left to learn or no try is left.
    """
    levels = sorted(set(limits))
    left = settings.tries - (len(tried) - 1)
    known = {trial.limit_w for trial in tried}
    if left <= 0 or len(known) >= len(levels):
        return None
    slow = max((levels.index(t.limit_w) for t in tried if not _allowed(t, tried, settings)), default=-1)
    free = [index for index in range(slow + 1, len(levels)) if levels[index] not in known]
    if not free:
        return None
    if len(tried) == 1:
        return levels[_first(levels, tried[0], settings)]
    fine = min(levels.index(t.limit_w) for t in tried if _allowed(t, tried, settings))
    below = [index for index in free if index < fine]
    if not below:
        return levels[free[0]]
    last_was_slow = not _allowed(tried[-1], tried, settings)
    return levels[below[0] if last_was_slow else max(fine - (2 if left >= 2 else 1), below[0])]


def best_cap(tried: Sequence[CapTrial], settings: PowerCapSettings) -> float:
    """The limit of least energy among those measured that are fast enough.

    Args:
        tried: what was measured, the highest limit first.
        settings: what may be lost.
    """
    return min((t for t in tried if _allowed(t, tried, settings)), key=lambda trial: trial.energy_j).limit_w


def _allowed(trial: CapTrial, tried: Sequence[CapTrial], settings: PowerCapSettings) -> bool:
    return trial.time_s <= (1 + settings.max_slowdown) * tried[0].time_s


def _first(levels: Sequence[float], highest: CapTrial, settings: PowerCapSettings) -> int:
    """Where to begin; at most one level under the highest, which is known."""
    return levels.index(
        expected_cap(levels[:-1], highest.energy_j / highest.time_s, max_slowdown=settings.max_slowdown)
    )
