"""What was measured of the GPU time of a day: energy, SM activity, division of shared devices, requests and work."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gpuwise.finops.accounts import pools_of
from gpuwise.finops.period import Period
from gpuwise.finops.pools import Pool
from gpuwise.model.billed import BilledUse
from gpuwise.model.cost import Measures
from gpuwise.model.profile import DayUse
from gpuwise.model.usage import DAY_S


class Done(NamedTuple):
    """What a workload did on a day in one place; None if it is not known."""

    requests: float | None
    work: float | None


def measures_of(day: DayUse) -> Measures:
    """What was measured of a workload's use of a day.

    Args:
        day: in one place, with the time of shared devices divided.
    """
    return Measures(
        powered_s=day.powered_gpu_s,
        energy_j=day.energy_j if day.powered_gpu_s > 0.0 else None,
        sm_known_s=day.sm_known_gpu_s,
        sm_s=day.sm_gpu_s if day.sm_known_gpu_s > 0.0 else None,
        shared_s=day.shared_gpu_s,
        by_use_s=day.by_use_gpu_s,
        shift_s=day.shift_gpu_s,
    )


def units_of(use: BilledUse, days: Sequence[DayUse]) -> Iterator[Done]:
    """Yield the requests and the work of each part of a workload's use: those of a day are divided by GPU time.

    Args:
        use: of the workload.
        days: its use by day and place.
    """
    whole: defaultdict[int, float] = defaultdict(float)
    for day in days:
        whole[day.start_s] += day.allocated_gpu_s
    for day in days:
        part = day.allocated_gpu_s / whole[day.start_s] if whole[day.start_s] else 0.0
        yield Done(*(_part(known.get(day.start_s), part) for known in (use.requests, use.work)))


def _part(amount: float | None, part: float) -> float | None:
    return None if amount is None else amount * part


def measured_free(period: Period) -> Mapping[tuple[int, Pool], Measures]:
    """The measured energy of devices while no pod was allocated them, by day and pool.

    Args:
        period: the input, of a whole fleet.
    """
    pools, (start_s, end_s) = pools_of(period), period.measured
    found: defaultdict[tuple[int, Pool], Measures] = defaultdict(Measures)
    for ref in period.billed:
        if ref.kind != "Node":
            continue
        use = period.billed[ref]
        for day in period.lives.divided(use.days, use.stays)[0]:
            if day.start_s + DAY_S > start_s and day.start_s < end_s:
                known = measures_of(day)
                # Their activity is no use of anybody; what is at work outside of Kubernetes is a class of time.
                energy = Measures(powered_s=known.powered_s, energy_j=known.energy_j)
                found[day.start_s, pools[day.node, day.gpu_type]] += energy
    return found
