"""What is known of a pod's memory at a moment: levels it reached, and how often it moves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_S = 3600.0

# A level below this is a process without a model; its ratio to anything means nothing.
LEAST_MIB = 500.0

# A move of less than this share is noise of the allocator.
_MOVE = 0.02

WINDOWS_S = (900.0, HOUR_S, 2 * HOUR_S, 6 * HOUR_S, np.inf)
"""Look-backs of the maxima, from the shortest to all there is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """GPU memory of one pod, without what is missing.

    Attributes:
        t_s: times of the samples, ascending, shape (n,).
        mib: memory held, same shape.
    """

    t_s: Floats
    mib: Floats


@dataclass(frozen=True, slots=True)
class Known:
    """A pod at a moment, from samples before it alone.

    Attributes:
        levels_mib: maxima over `WINDOWS_S`, then the 99th and 90th percentile of all, then the mean of the last hour.
        present_mib: the last sample.
        state: how often and how recently its memory moved, the fleet's moves, its age and size; see `known`.
        sampled: whether the last hour has at least half of its samples.
    """

    levels_mib: Floats
    present_mib: float
    state: Floats
    sampled: bool


def moves_s(usage: Usage) -> Floats:
    """When the memory of a pod went up or down by more than 2 %."""
    larger = np.maximum(np.maximum(usage.mib[1:], usage.mib[:-1]), LEAST_MIB)
    return usage.t_s[1:][np.abs(np.diff(usage.mib)) > _MOVE * larger]


def known(usage: Usage, moved_s: Floats, fleet_moved_s: Sequence[Floats], now_s: float) -> Known:
    """Describe a pod at a moment.

    Args:
        usage: of the pod, at least one sample before `now_s`; later ones are not looked at.
        moved_s: from `moves_s`, of the pod.
        fleet_moved_s: the same of every pod of the fleet.
        now_s: the moment.
    """
    past = np.searchsorted(usage.t_s, now_s)
    t_s, mib = usage.t_s[:past], usage.mib[:past]
    first = [int(np.searchsorted(t_s, now_s - window_s)) for window_s in WINDOWS_S]
    # A look-back without a sample takes the next longer one's: what is missing may have been as high.
    first = [at if at < past else min(first) for at in first]
    maxima = [float(mib[at:].max()) for at in first]
    hour = mib[first[1] :]
    levels = np.array([*maxima, *np.quantile(mib, [0.99, 0.9]), hour.mean()])
    since_s = now_s - moved_s[max(np.searchsorted(moved_s, now_s) - 1, 0)] if _moved(moved_s, now_s, np.inf) else np.inf
    state = np.array(
        [
            *(np.log1p(_moved(moved_s, now_s, window_s)) for window_s in (900.0, HOUR_S, 6 * HOUR_S)),
            np.log(min(since_s, 24 * HOUR_S) + 60),
            *(np.mean([_moved(one, now_s, window_s) > 0 for one in fleet_moved_s]) for window_s in (1800.0, HOUR_S)),
            np.log((now_s - t_s[0]) / HOUR_S + 1),
            np.log(max(maxima[1], LEAST_MIB)),
        ]
    )
    step_s = float(np.median(np.diff(t_s))) if past > 1 else HOUR_S
    sampled = past - np.searchsorted(t_s, now_s - HOUR_S) >= 0.5 * HOUR_S / step_s
    return Known(levels, float(mib[-1]), state, bool(sampled))


def _moved(moved_s: Floats, now_s: float, window_s: float) -> int:
    return int(np.searchsorted(moved_s, now_s) - np.searchsorted(moved_s, now_s - window_s))
