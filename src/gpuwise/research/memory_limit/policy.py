"""Chooses the memory limit of a pod by expected cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np

from gpuwise.model.errors import InputError
from gpuwise.research.memory_limit.budget import Budget, cost_factor
from gpuwise.research.memory_limit.chance import Prior, candidates, overrun_chance
from gpuwise.research.memory_limit.history import HOUR_S, WINDOWS_S, Known, Usage, known
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

    budget: Budget = field(default_factory=Budget)
    """The share of a fleet's windows that may be overrun."""


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


def fleet_limits(
    fleet: Mapping[str, Usage],
    due_s: Mapping[str, Sequence[float]],
    settings: MemoryLimitSettings,
    prior_of: Callable[[str, float], Prior] = lambda _name, _at_s: PRIOR,
) -> dict[str, list[float]]:
    """Choose limits for the pods of a fleet; the cost of an overrun follows the overruns of the windows that are over.

    Args:
        fleet: memory of the pods.
        due_s: by pod, the times at which its windows begin, each after its first sample, ascending.
        settings: the cost of an overrun, the horizon, and the budget.
        prior_of: constants of the model for a pod and a time.

    Returns:
        MiB by pod, one limit for each time.
    """
    made: dict[str, list[float]] = {name: [] for name in due_s}
    running: list[tuple[float, bool]] = []
    over = ended = 0
    for now_s, name in sorted((now_s, name) for name, times_s in due_s.items() for now_s in times_s):
        while running and running[0][0] <= now_s:
            over += heappop(running)[1]
            ended += 1
        prior = prior_of(name, now_s)
        cost = prior.overrun_cost if settings.overrun_cost is None else settings.overrun_cost
        followed = replace(settings, overrun_cost=cost * cost_factor(over, ended, settings.budget))
        [limit_mib] = memory_limits(fleet[name], [now_s], followed, prior)
        made[name].append(limit_mib)
        end_s = now_s + settings.horizon_h * HOUR_S
        heappush(running, (end_s, _exceeds(fleet[name], now_s, end_s, limit_mib)))
    return made


def _exceeds(usage: Usage, start_s: float, end_s: float, limit_mib: float) -> bool:
    first, last = np.searchsorted(usage.t_s, [start_s, end_s])
    return bool((usage.mib[first:last] > limit_mib).any())


def _limit_mib(pod: Known, settings: MemoryLimitSettings, prior: Prior) -> float:
    limits = candidates(pod)
    chance = overrun_chance(pod, limits, prior)
    over_horizon = 1 - (1 - chance) ** settings.horizon_h  # all hours as the next one
    slack = np.maximum(1 - pod.levels_mib[_MEAN] / limits, 0.0)
    cost = prior.overrun_cost if settings.overrun_cost is None else settings.overrun_cost
    best = float(limits[np.argmin(slack + cost * over_horizon)])
    return best if pod.sampled else max(best, float(pod.levels_mib[_ALL]))
