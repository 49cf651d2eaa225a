"""The memory limit of a pod, by expected cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.memory_limit.chance import Prior, candidates, overrun_chance
from gpuwise.recommend.memory_limit.history import WINDOWS_S, Floats, Known, Usage, known, moves_s
from gpuwise.recommend.memory_limit.prior import PRIOR

_ALL = WINDOWS_S.index(np.inf)
_MEAN = -1


@dataclass(frozen=True, slots=True)
class MemoryLimitSettings:
    """What an overrun costs, and for how long a limit holds."""

    overrun_cost: float = 3.1
    """In shares of the limit left unused for the whole time: an overrun is worth 310 % of slack."""

    horizon_h: float = 1.0
    """How long a limit is held."""


def memory_limits(
    fleet: Mapping[str, Usage],
    at_s: Mapping[str, Sequence[float]],
    settings: MemoryLimitSettings,
    prior: Prior = PRIOR,
) -> dict[str, list[float]]:
    """Choose limits for pods at some moments, each from samples before it alone.

    Args:
        fleet: memory by pod.
        at_s: moments by pod, each after the pod's first sample.
        settings: what an overrun costs.
        prior: constants of the model.

    Returns:
        By pod, MiB, one for each moment.
    """
    moved_s = {name: moves_s(usage) for name, usage in fleet.items()}
    everyone = list(moved_s.values())
    return {
        name: [_limit_mib(known(fleet[name], moved_s[name], everyone, now_s), settings, prior) for now_s in moments]
        for name, moments in at_s.items()
    }


def _limit_mib(pod: Known, settings: MemoryLimitSettings, prior: Prior) -> float:
    limits = candidates(pod)
    chance = overrun_chance(pod, limits, prior)
    over_horizon = 1 - (1 - chance) ** settings.horizon_h  # each hour as the next one
    slack = np.maximum(1 - pod.levels_mib[_MEAN] / limits, 0.0)
    best = float(limits[np.argmin(slack + settings.overrun_cost * over_horizon)])
    return best if pod.sampled else max(best, float(pod.levels_mib[_ALL]))
