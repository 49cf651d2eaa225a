"""The figures of a policy: what it recommends against what the simulator knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.careful.policies import Decided
from benchmarks.careful.truth import Truth

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.contract import Figure
from gpuwise.model.changes import StopAtHours


@dataclass(frozen=True, slots=True)
class Judged:
    """One workload under one decision, in dollars a month at list prices.

    Attributes:
        name: of the workload.
        waste: what it costs, if nobody uses it in the horizon.
        found: the part of that waste in which the change releases its devices.
        idle: cost of its idle hours in the horizon, also between uses.
        idle_found: the part of those.
        judged: money of the change: cost of the hours in which it takes the devices away, else the saving it claims.
        wrong_stop: the same for a stop of what is used in the horizon.
        wrong_schedule: the same for a schedule with a use in one of its hours.
        wrong_size: the same for a size that is less than what is needed.
        lost: why its waste is not found, "" where it is.
    """

    name: str
    waste: float
    found: float
    idle: float
    idle_found: float
    judged: float
    wrong_stop: float
    wrong_schedule: float
    wrong_size: float
    lost: str


def judge(truths: Mapping[str, Truth], decided: Decided) -> list[Judged]:
    """Judge a policy's changes to each workload.

    Args:
        truths: by uid; changes to other workloads are not judged.
        decided: by the policy.
    """
    return [_judged(truth, uid, decided) for uid, truth in truths.items()]


def _judged(truth: Truth, uid: str, decided: Decided) -> Judged:
    change, claimed = decided.changes.get(uid, (None, 0.0))
    stopped = np.zeros_like(truth.used) if change is None else truth.stopped(change)
    waste = truth.usd_month if truth.idle else 0.0
    share = float(stopped.mean())
    idle_share = float((stopped & ~truth.used).mean())
    nothing = decided.reasons.get(uid, "not recommended")
    wrong = truth.usd_month * share if (stopped & truth.used).any() else 0.0
    scheduled = isinstance(change, StopAtHours)
    return Judged(
        name=truth.name,
        waste=waste,
        found=waste * share,
        idle=truth.usd_month * float((~truth.used).mean()),
        idle_found=truth.usd_month * idle_share,
        judged=truth.usd_month * share or claimed,
        wrong_stop=0.0 if scheduled else wrong,
        wrong_schedule=wrong if scheduled else 0.0,
        wrong_size=claimed if change is not None and truth.breaks(change) else 0.0,
        lost=nothing if waste and share == 0.0 else "",
    )


def figures(rows: Sequence[Judged], draws: int) -> dict[str, Figure]:
    """The figures of a policy, the headline first.

    Args:
        rows: of all draws.
        draws: number of draws; sums of money are means over them.
    """

    def column(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows])

    stops, schedules, sizes = column("wrong_stop"), column("wrong_schedule"), column("wrong_size")
    judged = column("judged")
    return {
        "waste_found": ratio_of_sums(column("found"), column("waste")),
        "wrong_stops_usd": Figure(float(stops.sum()) / draws),
        "wrong_stops": Figure(float((stops > 0).sum()) / draws),
        "wrong_schedules_usd": Figure(float(schedules.sum()) / draws),
        "wrong_sizes_usd": Figure(float(sizes.sum()) / draws),
        "precision": ratio_of_sums(judged - stops - schedules - sizes, judged),
        "idle_hours_found": ratio_of_sums(column("idle_found"), column("idle")),
    }
