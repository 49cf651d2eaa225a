"""The probability that a pod's peak in the next hour exceeds a limit: logistic in piecewise linear log ratios."""

from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.logistic import expit
from gpuwise.research.memory_limit.history import LEAST_MIB, WINDOWS_S, Floats, Known

# Candidates are the maxima of all look-backs and hours plus 1 %, and 24 multiples of the last hour's maximum.
_SHARES = np.geomspace(0.7, 2.8, 24)
_ABOVE = 1.01

# Knots of the log ratio of a limit to a level: 18 % below it, at it, 10 % and 35 % above. Ratios are clipped far
# outside the observed range.
_BENDS = (-0.2, 0.0, 0.1, 0.3)
_NEAREST, _FARTHEST = -1.0, 1.2


_LARGE_MIB = 30_000.0


@dataclass(frozen=True, slots=True)
class Prior:
    """Constants of the model, fitted on other pods.

    Attributes:
        centre: mean of each feature, shape (features,).
        scale: standard deviation of each feature, same shape.
        weight: coefficient of each standardised feature, same shape.
        level: intercept.
        overrun_cost: cost of an overrun in units of a limit that is unused for the whole time: 2 means that an overrun
            costs as much as 200 % of slack.
    """

    centre: Floats
    scale: Floats
    weight: Floats
    level: float
    overrun_cost: float


def candidates(pod: Known) -> Floats:
    """The candidate limits, MiB, ascending; the smallest is never below the pod's present use."""
    maxima = np.maximum(pod.levels_mib[: len(WINDOWS_S)], LEAST_MIB)
    limits = np.concatenate(
        [_SHARES * maxima[0], _ABOVE * maxima, _ABOVE * np.unique(np.maximum(pod.peaks_mib, LEAST_MIB))]
    )
    return np.sort(np.maximum(limits, pod.present_mib))


def features(pod: Known, limits_mib: Floats) -> Floats:
    """Features of limits, relative to a pod's memory use.

    Args:
        pod: result of `known`.
        limits_mib: the limits, shape (n,).

    Returns:
        Shape (n, features).
    """
    ratios = np.log(limits_mib)[:, None] - np.log(np.maximum(pod.levels_mib, LEAST_MIB))
    clipped = np.clip(ratios, _NEAREST, _FARTHEST)
    bends = [np.maximum(clipped - bend, 0.0) for bend in _BENDS]
    size = np.log(limits_mib / _LARGE_MIB)[:, None]
    state = np.broadcast_to(pod.state, (len(limits_mib), len(pod.state)))
    return np.column_stack([clipped, *bends, size, np.maximum(size, 0), np.maximum(size - 0.3, 0), state])


def overrun_chance(pod: Known, limits_mib: Floats, prior: Prior) -> Floats:
    """Probability that the peak of the next hour exceeds each limit; it never rises with the limit.

    Args:
        pod: result of `known`.
        limits_mib: the limits, ascending, shape (n,).
        prior: constants of the model.
    """
    x = (features(pod, limits_mib) - prior.centre) / prior.scale
    return np.asarray(np.minimum.accumulate(expit(x @ prior.weight + prior.level)))
