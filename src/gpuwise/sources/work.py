"""Declared work: the increase of counters in each step, and its sum over counters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import HOUR_S
from gpuwise.model.signal import SIGNALS, Signal

Grid = NDArray[np.float64]

# The increase over a gap is divided evenly among its steps. Over more than an hour the speed and the power limit may
# have changed: such steps are unknown.
_LONGEST_GAP_S = HOUR_S


def increase(counter: Grid, step_s: int) -> Grid:
    """The increase of a counter in each step but the first, NaN if unknown, shape (steps - 1,).

    What a counter counted before its first sample is unknown. So is what it counted up to a lower value than before: it
    was reset, to 0 or, if it is the step of a training run, to that of its last checkpoint.

    Args:
        counter: the value in each step, NaN without a sample, shape (steps,).
        step_s: length of a step, seconds.
    """
    found = np.full(counter.size - 1, np.nan)
    known = np.flatnonzero(counter >= 0.0)
    if known.size < 2:
        return found
    values, steps = counter[known], np.diff(known)
    risen = values[1:] - values[:-1]
    each = np.where((risen >= 0.0) & (steps * step_s <= max(_LONGEST_GAP_S, step_s)), risen / steps, np.nan)
    found[known[0] : known[-1]] = np.repeat(each, steps)
    return found


def summed(parts: Sequence[Grid], alive: Sequence[NDArray[np.bool_]] = ()) -> Grid | None:
    """The sum of rates; None if none of them has a value.

    Each counts from its first value to its last: outside it is 0, and a gap within makes the sum unknown, because a sum
    that lacks a part would show slower work. Where none counts, the sum is unknown.

    Args:
        parts: rates of counters, NaN if unknown, of one shape.
        alive: the steps in which the pod of each part lives, if the parts are those of pods. A pod whose counter is
            sampled in other steps only makes the sum unknown, too.
    """
    believable = [_believable(part) for part in parts]
    lives = list(alive) or [np.zeros(0, dtype=bool)] * len(believable)
    spans = [
        (part, np.concatenate((known, np.flatnonzero(lives_at))))
        for part, lives_at in zip(believable, lives, strict=True)
        if (known := np.flatnonzero(~np.isnan(part))).size
    ]
    if not spans:
        return None
    total = np.zeros(spans[0][0].shape)
    counted = np.zeros(total.shape, dtype=bool)
    for part, known in spans:
        span = slice(known.min(), known.max() + 1)
        total[span] += part[span]
        counted[span] = True
    total[~counted] = np.nan
    return total


def _believable(rates: Grid) -> Grid:
    return np.where((rates >= 0.0) & (rates <= SIGNALS[Signal.WORK].highest), rates, np.nan)
