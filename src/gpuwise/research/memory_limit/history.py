"""A pod's memory use up to a given time: the levels it reached, and how often it changed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_S = 3600.0

# Below this level a process has no model loaded, and ratios to the level have no meaning.
LEAST_MIB = 500.0

# A smaller relative change is noise of the allocator.
_MOVE = 0.02
_MOVE_WINDOWS_S = (900.0, HOUR_S, 6 * HOUR_S)
_LONG_S = 24 * HOUR_S

WINDOWS_S = (HOUR_S, 2 * HOUR_S, 6 * HOUR_S, np.inf)
"""Look-backs of the maxima, from the shortest to all of the past."""


@dataclass(frozen=True, slots=True)
class Usage:
    """GPU memory of one pod, without missing samples.

    Attributes:
        t_s: times of the samples, ascending, shape (n,).
        mib: memory used, same shape.
    """

    t_s: Floats
    mib: Floats


@dataclass(frozen=True, slots=True)
class Known:
    """A pod at a given time, from earlier samples only.

    Attributes:
        levels_mib: maxima over `WINDOWS_S`, then the 99th and 90th percentile of all, then the mean of the last hour.
        peaks_mib: maxima of the hours before, back from the given time, those with a sample.
        present_mib: the last sample.
        state: changes in the last 15 minutes, hour and 6 hours, time since the last one, age and size, as logarithms.
        sampled: whether the last hour has at least half of its samples.
    """

    levels_mib: Floats
    peaks_mib: Floats
    present_mib: float
    state: Floats
    sampled: bool


def known(usage: Usage, now_s: float) -> Known:
    """Describe a pod at a given time.

    Args:
        usage: the pod's samples, at least one before `now_s`; later samples are ignored.
        now_s: the time.
    """
    past = int(np.searchsorted(usage.t_s, now_s))
    t_s, mib = usage.t_s[:past], usage.mib[:past]
    first = [int(np.searchsorted(t_s, now_s - window_s)) for window_s in WINDOWS_S]
    # A look-back without a sample uses all earlier samples: the missing ones may have been as high.
    first = [index if index < past else min(first) for index in first]
    maxima = [float(mib[index:].max()) for index in first]
    levels = np.array([*maxima, *np.quantile(mib, [0.99, 0.9]), mib[first[0] :].mean()])
    state = np.append(
        _moves(t_s, mib, now_s), [np.log((now_s - t_s[0]) / HOUR_S + 1), np.log(max(maxima[0], LEAST_MIB))]
    )
    return Known(levels, _hourly_peaks(t_s, mib, now_s), float(mib[-1]), state, _sampled(t_s, now_s))


def _hourly_peaks(t_s: Floats, mib: Floats, now_s: float) -> Floats:
    hours = np.ceil((now_s - t_s) / HOUR_S)
    return np.asarray(np.maximum.reduceat(mib, np.append(0, np.flatnonzero(np.diff(hours)) + 1)))


def _moves(t_s: Floats, mib: Floats, now_s: float) -> Floats:
    """How often memory changed by more than 2 % in each window, and the time since the last change, as logarithms."""
    larger = np.maximum(np.maximum(mib[1:], mib[:-1]), LEAST_MIB)
    moved_s = t_s[1:][np.abs(np.diff(mib)) > _MOVE * larger]
    counts = [np.count_nonzero(moved_s >= now_s - window_s) for window_s in _MOVE_WINDOWS_S]
    since_s = min(now_s - moved_s[-1], _LONG_S) if len(moved_s) else _LONG_S
    return np.append(np.log1p(counts), np.log(since_s + 60))


def _sampled(t_s: Floats, now_s: float) -> bool:
    """Whether the last hour has at least half of the samples expected from the pod's usual step."""
    if len(t_s) < 2:
        return False
    expected = HOUR_S / float(np.median(np.diff(t_s)))
    return bool(len(t_s) - np.searchsorted(t_s, now_s - HOUR_S) >= expected / 2)
