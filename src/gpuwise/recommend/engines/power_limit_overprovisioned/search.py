"""Chooses the power limit to measure next, and the one to keep: the lowest energy within the allowed slowdown.

The search is in watts: where the limits come in finer steps it needs no more tries.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuwise.recommend.engines.power_limit_overprovisioned.slowdown import wanted_limit

MAX_SLOWDOWN = 0.05
"""Share of its speed that work may lose under a lower limit."""

# The search aims at this share of the allowed slowdown: a limit that is a little too low saves nothing.
_AIM = 0.9


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
    """Choose the limit to measure next: the one at which slightly less than the allowed slowdown is expected.

    Where so few limits are left that halving finds the lowest allowed one within the tries, the choice leaves at most
    as many on each side as the remaining tries can halve. So the search never finds less than bisection does. When the
    boundary is known, the remaining tries measure between the limit with the lowest energy and its neighbours.

    Args:
        limits: the limits that the board supports, watts, in any order.
        tried: the measurements, the highest limit first.
        settings: number of tries, and the allowed slowdown.

    Returns:
        A limit that was not tried; None if nothing is left to measure or no try is left.
    """
    levels = sorted(set(limits))
    left = settings.tries - (len(tried) - 1)
    if left <= 0 or len({trial.limit_w for trial in tried}) >= len(levels):
        return None
    slow_w = _slowest(tried, settings)
    fast_w = min(trial.limit_w for trial in tried if trial.limit_w > slow_w)
    between = [level for level in levels if slow_w < level < fast_w]
    if not between:
        return _beside_best(levels, [trial for trial in tried if trial.limit_w > slow_w])
    highest = tried[0]
    measured = [(trial.limit_w, trial.time_s / highest.time_s) for trial in tried[1:]]
    wanted_w = wanted_limit(highest.energy_j / highest.time_s, measured, _AIM * settings.max_slowdown)
    return between[_halved(min(bisect_left(between, wanted_w), len(between) - 1), len(between), left)]


def best_cap(tried: Sequence[CapTrial], settings: PowerCapSettings) -> float:
    """The limit with the lowest energy among those measured that are fast enough.

    Args:
        tried: the measurements, the highest limit first.
        settings: the allowed slowdown.
    """
    return min((t for t in tried if allowed(t, tried, settings)), key=lambda trial: trial.energy_j).limit_w


def allowed(trial: CapTrial, tried: Sequence[CapTrial], settings: PowerCapSettings) -> bool:
    """Whether work was fast enough under a limit.

    Args:
        trial: the measurement.
        tried: the measurements, the highest limit first.
        settings: the allowed slowdown.
    """
    return trial.time_s <= (1 + settings.max_slowdown) * tried[0].time_s


def _slowest(tried: Sequence[CapTrial], settings: PowerCapSettings) -> float:
    """The highest limit that was too slow; lower ones are not measured."""
    return max((trial.limit_w for trial in tried if not allowed(trial, tried, settings)), default=0.0)


def _halved(at: int, count: int, left: int) -> int:
    """The index nearest to `at` that leaves at most as many limits on each side as the later tries can halve.

    With n tries, 2^n - 1 limits can be told apart. If there is one more, the highest of them is left out: it saves the
    least.
    """
    later = 2 ** (left - 1) - 1
    return at if count > 2**left else min(max(at, count - 1 - later), later)


def _beside_best(levels: Sequence[float], fast: Sequence[CapTrial]) -> float | None:
    """The middle of the widest span without a measurement next to the lowest energy; of any span if there is none."""
    known = sorted(levels.index(trial.limit_w) for trial in fast)
    best = levels.index(min(fast, key=lambda trial: trial.energy_j).limit_w)
    spans = [(low, high) for low, high in pairwise(known) if high - low > 1]
    beside = [span for span in spans if best in span]
    low, high = max(beside or spans, key=lambda span: (span[1] - span[0], -span[0]), default=(0, 0))
    return levels[low + (high - low) // 2] if high else None
