"""Energy under a power limit beside energy without one, for the same work.

Like is compared with like: one workload, one type of whole GPUs, one number of them, while all were at work and its
declared work was counted. Under a limit means below the board's default limit (NVIDIA's data sheets, `model.gpu`);
without one, at that or above. Energy is that of the boards times PUE. What else changed in the work between the two is
in the difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gpuwise.finops.accounts import pools_of
from gpuwise.finops.energy import JOULES_PER_KWH, Factors
from gpuwise.finops.period import Period
from gpuwise.finops.uses import uses_of
from gpuwise.model.gpu import named
from gpuwise.model.hours import HOUR_S
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.pace import Pace
from gpuwise.model.report import PowerComparison, PowerUse
from gpuwise.model.tagging import owner_of

LEAST_S, LEAST_UNITS = 14_400.0, 500.0
"""Least time and work of a measurement, as for the advice on power limits (`recommend.engines.paces`)."""

METHOD = (
    "The same workload on the same type and number of GPUs, while all of them were at work: energy per unit of its "
    "declared work under a limit below the board's default, beside that without. If the work itself changed in "
    "between, the difference has that in it. The energy is unknown if too little of the work has a power reading, or "
    "if the workload ran in regions with different PUE."
)
NOT_OBSERVED = (
    "With and without a power limit: not observed in this period. No workload that declares its work was measured both "
    "under a power limit below the board's default and without one, each for 4 hours and 500 units."
)


def power_comparisons(
    period: Period, paces: Iterable[tuple[WorkloadRef, Sequence[Pace]]]
) -> tuple[PowerComparison, ...]:
    """Compare the work of each workload under power limits with the same work without one, most energy first.

    Args:
        period: has the workloads, their nodes, PUE and the intensity of the grids.
        paces: how fast workloads worked, by device and limit.
    """
    found = [one for ref, of_workload in paces for one in _of_workload(period, ref, of_workload)]
    return tuple(sorted(found, key=lambda one: (-(one.limited.kwh or 0.0), one.workload, one.limit_w)))


def power_basis(found: Sequence[PowerComparison]) -> str:
    """State the method of the comparisons, or that there is none."""
    return METHOD if found else NOT_OBSERVED


def _of_workload(period: Period, ref: WorkloadRef, paces: Sequence[Pace]) -> Iterable[PowerComparison]:
    by_limit: defaultdict[tuple[str, int], defaultdict[float | None, list[Pace]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for one in paces:
        gpu = named(one.gpu_type)
        if gpu is not None and one.gpu_fraction == 1.0 and one.limit_w is not None:
            limited = one.limit_w < gpu.board_watts
            by_limit[one.gpu_type, one.devices][one.limit_w if limited else None].append(one)
    for (gpu_type, devices), of_limit in by_limit.items():
        plain = of_limit.pop(None, [])
        if not _measured(plain):
            continue
        for limit_w, under in sorted(of_limit.items(), key=lambda item: item[0] or 0.0):
            if limit_w is not None and _measured(under):
                yield _comparison(period, ref, (gpu_type, devices, limit_w), under, plain)


def _measured(paces: Sequence[Pace]) -> bool:
    return sum(one.seconds for one in paces) >= LEAST_S and sum(one.work for one in paces) >= LEAST_UNITS


def _comparison(
    period: Period, ref: WorkloadRef, kind: tuple[str, int, float], under: Sequence[Pace], plain: Sequence[Pace]
) -> PowerComparison:
    workload = period.inventory.by_ref().get(ref)
    owner = owner_of(ref, workload, period.inventory.namespaces.get(ref.namespace), period.tags)
    regions = _regions(period, ref)
    limited, without = (_use(period, one, regions) for one in (under, plain))
    return PowerComparison(str(ref), owner.team, owner.model, *kind, limited, without)


def _regions(period: Period, ref: WorkloadRef) -> set[str | None]:
    """Regions in which a workload had GPUs; of which of them a pace is, is not known."""
    uses, pools = uses_of(period), pools_of(period)
    use = period.billed.get(ref)
    return set() if use is None else {pools[day.node, day.gpu_type].region for day in uses.located(use)[0]}


def _use(period: Period, paces: Sequence[Pace], regions: set[str | None]) -> PowerUse:
    """What was measured: energy, work and time of the paces with energy; without enough of these, those of all."""
    metered = [one for one in paces if one.energy_j is not None]
    known = _measured(metered)
    counted = metered if known else paces
    seconds, work = sum(one.seconds for one in counted), sum(one.work for one in counted)
    pue = _pue(period.factors, regions)
    kwh = None
    if known and pue is not None:
        kwh = sum(one.energy_j or 0.0 for one in metered) / JOULES_PER_KWH * pue
    region = next(iter(regions)) if len(regions) == 1 else None
    intensity = period.factors.kg_co2e_per_kwh.get(region or "")
    return PowerUse(
        hours=seconds / HOUR_S,
        work=work,
        work_per_h=work / seconds * HOUR_S,
        kwh=kwh,
        kg_co2e=None if kwh is None or intensity is None else kwh * intensity,
        work_per_kwh=work / kwh if kwh else None,
    )


def _pue(factors: Factors, regions: set[str | None]) -> float | None:
    """The PUE of the work; None if it may be one of several, for in which region a pace was is not known."""
    found = {factors.pue_of(one) for one in regions} or {factors.pue, *factors.pue_by_region.values()}
    return found.pop() if len(found) == 1 else None
