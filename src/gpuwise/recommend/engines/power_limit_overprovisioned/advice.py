"""The next advice on a power limit, from how fast the work was under each limit that was in force.

Without a measured limit it is the first guess. With one, each pass advises the next limit to measure, takes back a
limit that is too slow, or names the limit to keep. Nothing is remembered: the paces show which limits were in force.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gpuwise.model.pace import Pace
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.engines.paces import is_measured
from gpuwise.recommend.engines.power_limit_overprovisioned import search
from gpuwise.recommend.engines.power_limit_overprovisioned.search import CapTrial, PowerCapSettings

# Boards accept limits in whole watts, and none below 40 % of their maximum (V100: 100 of 250 W).
_STEP_W = 5.0
_LEAST_SHARE = 0.4


def limits_of(board_w: float) -> list[float]:
    """The limits that a board accepts.

    Args:
        board_w: its maximum, watts.
    """
    least_w = math.ceil(board_w * _LEAST_SHARE / _STEP_W) * _STEP_W
    return [*np.arange(least_w, board_w, _STEP_W).tolist(), board_w]


class Step(StrEnum):
    """What to do about a power limit."""

    GUESS = "guess"
    """No limit in force is known: measure this one first."""
    WAIT = "wait"
    """The limit in force was not measured for long enough."""
    TRY = "try"
    """Measure this limit next."""
    TAKE_BACK = "take back"
    """The limit in force is too slow: set this one, which is fast enough."""
    AGAIN = "measure again"
    """Measure the highest limit again: work is faster under a lower one, so it changed since."""
    KEEP = "keep"
    """The search has ended: this limit takes the least energy of those that are fast enough."""


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice on a power limit.

    Attributes:
        step: what to do.
        limit_w: the limit to set or to keep, watts; of `Step.WAIT` the limit in force.
        in_force_w: the limit in force, None if it is not known.
        trials: what was measured per unit of work and GPU, the highest limit first.
        newest: the newest pace under the limit in force, None if it is not known.
    """

    step: Step
    limit_w: float
    in_force_w: float | None = None
    trials: tuple[CapTrial, ...] = ()
    newest: Pace | None = None

    @property
    def reference(self) -> CapTrial:
        """What was measured under the highest limit."""
        return self.trials[0]

    def trial(self, limit_w: float | None) -> CapTrial | None:
        """What was measured under a limit; None if it was not."""
        return next((trial for trial in self.trials if trial.limit_w == limit_w), None)


def advised_cap(
    paces: Sequence[Pace], *, gpu_type: str, limits_w: Sequence[float], draw_w: float, settings: PowerCapSettings
) -> Advised:
    """Advise on the power limit of a workload.

    Only paces of whole GPUs of this type count, and of one number of GPUs: the number that did most of the work of the
    last day. Of several paces under one limit the newest counts.

    Args:
        paces: of the workload, as live metrics give them.
        gpu_type: canonical name of its GPU type.
        limits_w: limits that the board accepts, watts.
        draw_w: usual power draw of one GPU, watts; the first guess follows from it.
        settings: number of tries, and the allowed slowdown.
    """
    known = [one for one in paces if one.gpu_type == gpu_type and one.gpu_fraction == 1.0 and one.limit_w is not None]
    if not known:
        highest = CapTrial(max(limits_w), energy_j=draw_w, time_s=1.0)
        return Advised(Step.GUESS, search.next_cap(limits_w, [highest], settings) or highest.limit_w)
    newest, measurements = max(known, key=lambda one: one.last_s), _measurements(known)
    trials = _trials(measurements)
    in_force_w = newest.limit_w
    assert in_force_w is not None

    def advised(step: Step, limit_w: float) -> Advised:
        return Advised(step, limit_w, in_force_w, trials, newest)

    if _too_slow(in_force_w, trials, settings):
        return advised(Step.TAKE_BACK, search.best_cap(trials, settings))
    if in_force_w not in {one.limit_w for one in trials}:
        return advised(Step.WAIT, in_force_w)
    if trials[0].limit_w < max(limits_w):
        # The slowdown over the board's maximum is unknown. Each month the look-back forgets that measurement: a search
        # below the limit in force would then allow 5 % more each time.
        return advised(Step.KEEP, search.best_cap(trials, settings))
    # None above the highest that was measured: it is the reference.
    levels = [*(one for one in limits_w if one < trials[0].limit_w), *(one.limit_w for one in trials)]
    if _outdated(measurements, settings):
        return advised(Step.WAIT if in_force_w == trials[0].limit_w else Step.AGAIN, trials[0].limit_w)
    following = search.next_cap(levels, trials, settings)
    if following is not None:
        return advised(Step.TRY, following)
    return advised(Step.KEEP, search.best_cap(trials, settings))


def _too_slow(limit_w: float, trials: Sequence[CapTrial], settings: PowerCapSettings) -> bool:
    """Whether a limit was measured too slow, or was not measured and is below one that was."""
    slow = [one.limit_w for one in trials if not search.allowed(one, trials, settings)]
    measured = limit_w in {one.limit_w for one in trials}
    return limit_w in slow if measured else limit_w < max(slow, default=0.0)


def _measurements(paces: Sequence[Pace]) -> list[tuple[float, Pace]]:
    """The measurements, the oldest first, each with its limit.

    Args:
        paces: of whole GPUs of one type, with their limits.
    """
    count = _devices(paces)
    ordered = sorted(paces, key=lambda pace: pace.last_s)
    return [
        (one.limit_w, one) for one in ordered if one.devices == count and one.limit_w is not None and is_measured(one)
    ]


def _outdated(measurements: Sequence[tuple[float, Pace]], settings: PowerCapSettings) -> bool:
    """Whether the work changed since the highest limit was measured.

    A lower limit makes no work faster. Against an old measurement lower limits would look faster than they are. If the
    work was as much faster under the lower limit before, too, it did not change: speeds of some work differ that much.

    Args:
        measurements: the oldest first.
        settings: the difference of speeds that matters.
    """
    highest = dict(measurements)[max(limit_w for limit_w, _ in measurements)]
    faster = [item for item in measurements if item[1].work_per_s > (1 + settings.max_slowdown) * highest.work_per_s]
    before = {limit_w for limit_w, one in faster if one.last_s <= highest.first_s}
    return any(limit_w not in before for limit_w, one in faster if one.first_s >= highest.last_s)


def _devices(paces: Sequence[Pace]) -> int:
    """The number of devices that worked longest, of the paces of the last day: a gap in the samples hides some."""
    last_s = max(one.last_s for one in paces)
    return max((one for one in paces if one.last_s > last_s - DAY_S), key=lambda one: one.seconds).devices


def _trials(measurements: Sequence[tuple[float, Pace]]) -> tuple[CapTrial, ...]:
    """The newest measurement under each limit, the highest limit first.

    Work that became slower since, as with more data, was as much faster when it was measured before. Such a measurement
    counts as that much slower, and its energy as that much more: else a limit that was too slow then would look fast.

    Args:
        measurements: the oldest first.
    """
    newest = sorted(dict(measurements).items(), reverse=True)
    found = []
    for limit_w, one in newest:
        slower, trial = _slower_since(one, measurements, newest[0]), _trial(one, limit_w)
        found.append(CapTrial(limit_w, trial.energy_j * slower, trial.time_s * slower))
    return tuple(found)


def _slower_since(one: Pace, measurements: Sequence[tuple[float, Pace]], highest: tuple[float, Pace]) -> float:
    """How many times slower the work became between a measurement and the newest under the highest limit, at least 1.

    What the work had lost already, compared with an earlier measurement under the same limit, does not count again.
    """
    highest_w, now = highest
    then = [other for at_w, other in measurements if at_w == highest_w and other.last_s <= one.first_s]
    if not then or one is now:
        return 1.0
    since = [other for at_w, other in measurements if at_w == one.limit_w and then[-1].last_s <= other.first_s]
    lost = max(other.work_per_s for other in since) / one.work_per_s
    return max(1.0, then[-1].work_per_s / now.work_per_s / lost)


def _trial(pace: Pace, limit_w: float) -> CapTrial:
    # Without enough samples the power counts as the limit, so that missing data never lowers a limit.
    energy_j = limit_w * pace.devices * pace.seconds if pace.energy_j is None else pace.energy_j
    return CapTrial(limit_w, energy_j / pace.devices / pace.work, 1.0 / pace.work_per_s)
