"""Chooses the power limit to measure next, and the one to keep: the lowest energy within the allowed slowdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.recommend.engines.power_limit_overprovisioned.expected import MAX_SLOWDOWN, expected_cap


@dataclass(frozen=True, slots=True)
class PowerCapSettings:
    """Limits of the search."""

    tries: int = 3
    """Number of limits to measure in addition to the present one; each takes time at a limit that may be too low."""

    max_slowdown: float = MAX_SLOWDOWN
    """Share of speed that may be lost; a slower limit is never kept."""


@dataclass(frozen=True, slots=True)
class CapTrial:
    """The measurement of one unit of work under one power limit.

    Attributes:
        limit_w: power limit, watts.
        energy_j: energy used, joules.
        time_s: run time, seconds.
    """

    limit_w: float
    energy_j: float
    time_s: float


def next_cap(limits: Sequence[float], tried: Sequence[CapTrial], settings: PowerCapSettings) -> float | None:
    """Choose the limit to measure next.

    The first is the lowest limit at which the power draw under the highest limit predicts an allowed slowdown. From
    there the search goes down by two limits while a later try can still test the one between, else by one; after a
    limit that was too slow it goes up by one. When the boundary is known, the remaining tries measure the limits just
    above it.

    Args:
        limits: the limits that the board supports, watts, in any order.
        tried: the measurements, the highest limit first.
        settings: number of tries, and the allowed slowdown.

    Returns:
        A limit that was not tried; None if nothing is left to measure or no try is left.
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
    """The limit with the lowest energy among those measured that are fast enough.

    Args:
        tried: the measurements, the highest limit first.
        settings: the allowed slowdown.
    """
    return min((t for t in tried if _allowed(t, tried, settings)), key=lambda trial: trial.energy_j).limit_w


def _allowed(trial: CapTrial, tried: Sequence[CapTrial], settings: PowerCapSettings) -> bool:
    return trial.time_s <= (1 + settings.max_slowdown) * tried[0].time_s


def _first(levels: Sequence[float], highest: CapTrial, settings: PowerCapSettings) -> int:
    """The index of the first limit; below the highest one, which is already measured."""
    return levels.index(
        expected_cap(levels[:-1], highest.energy_j / highest.time_s, max_slowdown=settings.max_slowdown)
    )
