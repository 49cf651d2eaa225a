"""What work costs on other GPU types, from the speeds of the fleet's own workloads there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.pace import Pace
from gpuwise.recommend.engines.gpu_type_overprovisioned.speed import MeasuredJobs, expected_costs, relative
from gpuwise.recommend.engines.paces import is_measured

LEAST_KNOWN = 3
"""Least number of other workloads that were measured on both types. The prediction starts from the median of their
speed-ups, which of one or two workloads is not more than one measurement."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """How fast a workload works on each GPU type on which it was measured.

    Attributes:
        family: the model that it trains or serves; work of one family scales in the same way.
        by_type: units of work per second and GPU, by canonical type.
    """

    family: str
    by_type: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of work on another type.

    Attributes:
        cost: dollars per unit of work over those on the present type; an uncertain prediction is more expensive.
        known: number of other workloads that were measured on both types.
    """

    cost: float
    known: int


def speeds_of(family: str, paces: Iterable[Pace]) -> Speeds:
    """The speeds of a workload on whole GPUs; of several paces on one type the newest counts.

    Speeds with different numbers of GPUs do not compare: the number with which it was measured on most types counts.

    Args:
        family: the model that it trains or serves.
        paces: of the workload.
    """
    by_count: dict[int, dict[str, float]] = {}
    for one in sorted(paces, key=lambda pace: pace.last_s):
        if one.gpu_fraction == 1.0 and is_measured(one):
            by_count.setdefault(one.devices, {})[one.gpu_type] = one.work_per_s / one.devices
    return Speeds(family, max(by_count.values(), key=len, default={}))


def expected_on(
    own: Speeds, others: Sequence[Speeds], gpu_type: str, usd_per_h: Mapping[str, float]
) -> dict[str, Expected]:
    """What a workload's work is expected to cost on other types; a type with too few measured workloads is absent.

    Args:
        own: the workload, measured on the present type.
        others: the other workloads of the fleet.
        gpu_type: the present type.
        usd_per_h: price of a GPU-hour by type, the present type included.
    """
    found: dict[str, Expected] = {}
    if gpu_type not in own.by_type:
        return found
    for other in sorted(usd_per_h.keys() - {gpu_type}):
        known = [one for one in others if {gpu_type, other} <= one.by_type.keys()]
        if len(known) >= LEAST_KNOWN:
            prices = np.array([usd_per_h[gpu_type], usd_per_h[other]])
            now, then = expected_costs(_jobs(known, gpu_type, other), _jobs([own], gpu_type, other), 0, prices)[0]
            found[other] = Expected(float(np.exp(then - now)), len(known))
    return found


def _jobs(some: Sequence[Speeds], gpu_type: str, other: str) -> MeasuredJobs:
    speed = np.array([[one.by_type[gpu_type], one.by_type.get(other, np.nan)] for one in some])
    return relative(MeasuredJobs([one.family for one in some], np.full(len(some), np.nan), speed), 0)
