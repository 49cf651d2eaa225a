"""Chooses the memory limit of a pod by expected cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.errors import InputError
from gpuwise.research.memory_limit.chance import Prior, candidates, overrun_chance
from gpuwise.research.memory_limit.history import WINDOWS_S, Known, Usage, known
from gpuwise.research.memory_limit.prior import PRIOR

_ALL = WINDOWS_S.index(np.inf)
_MEAN = -1


@dataclass(frozen=True, slots=True)
class MemoryLimitSettings:
    """The cost of an overrun, and how long a limit applies."""

    overrun_cost: float | None = None
    """Cost of an overrun in units of a limit that is unused for the whole time; None for the one of the fit."""

    horizon_h: float = 1.0
    """Hours for which a limit applies."""


def memory_limits(
    usage: Usage, at_s: Sequence[float], settings: MemoryLimitSettings, prior: Prior = PRIOR
) -> list[float]:
    """Choose limits for a pod at given times, each from earlier samples only.

    Args:
        usage: memory of the pod.
        at_s: the times, each after the first sample.
        settings: the cost of an overrun.
        prior: constants of the model.

    Returns:
        MiB, one limit for each time.

    Raises:
        InputError: a time has no sample before it.
    """
    if any(now_s <= usage.t_s[0] for now_s in at_s):
        raise InputError("there is no sample before the time of a memory limit", hint="wait for a sample")
    return [_limit_mib(known(usage, now_s), settings, prior) for now_s in at_s]


def _limit_mib(pod: Known, settings: MemoryLimitSettings, prior: Prior) -> float:
    limits = candidates(pod)
    chance = overrun_chance(pod, limits, prior)
    over_horizon = 1 - (1 - chance) ** settings.horizon_h  # all hours as the next one
    slack = np.maximum(1 - pod.levels_mib[_MEAN] / limits, 0.0)
    cost = prior.overrun_cost if settings.overrun_cost is None else settings.overrun_cost
    best = float(limits[np.argmin(slack + cost * over_horizon)])
    return best if pod.sampled else max(best, float(pod.levels_mib[_ALL]))
