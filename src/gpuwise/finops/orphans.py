"""What has been forgotten: workloads, namespaces or clusters that have GPUs and have not used them for days.

A day counts as idle only if all of its GPU time was measured, and idle by every signal: GPU time that nobody measured
may have been used. So an experiment that nobody stops is found, and an exporter that fails finds none. A day on which
declared work advanced is no idle day, whatever the signals say: who commits steps or checkpoints is alive. Work that
nobody declares is not known to stand still, so its absence finds nothing more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuwise.model.cost import CostSum, GpuSeconds
from gpuwise.model.usage import DAY_S

_MONTH_D = 730 / 24
"""Days of a month, as in all savings."""
_IDLE_SHARE = 0.999
"""Of the GPU time of an idle day, which may have a probe of some seconds."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that has GPUs and does not use them.

    Attributes:
        name: values of the keys that name it, the cluster first; "" for what is not known.
        owner: team, user and creator, as far as they are known: "team ml, user ada".
        gone: of its owners, those that the settings do not know.
        idle_d: complete days without use, until the last one.
        last_use_s: midnight of the last day that had use, or time that was not measured; None if the history has none.
        measured: whether the day of `last_use_s` is known to have use; else it was not measured.
        progress_s: midnight of the last day on which its declared work advanced; None if none is known.
        first_day_s: midnight of its first day in the history.
        gpus: mean number of GPUs in the idle days.
        usd: what the idle days cost; None if a part of them has no price.
        usd_month: what a month costs at this rate; likewise.
    """

    name: tuple[str, ...]
    owner: str
    gone: tuple[str, ...]
    idle_d: int
    last_use_s: int | None
    measured: bool
    progress_s: int | None
    first_day_s: int
    gpus: float
    usd: float | None
    usd_month: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """The daily time of one candidate.

    Attributes:
        days: its sums by midnight, of complete days.
        last_day_s: midnight of the last complete day of its cluster.
        owners: names of its owners by key, such as {"team": {"ml"}}.
        worked: midnights of the days on which declared work of it advanced.
    """

    days: Mapping[int, CostSum]
    last_day_s: int
    owners: Mapping[str, frozenset[str]]
    worked: frozenset[int] = frozenset()


def orphans(
    uses: Mapping[tuple[str, ...], Use], least_d: int, known: Mapping[str, Iterable[str]]
) -> tuple[Orphan, ...]:
    """Find what has had GPUs on each of the last days and used none, the most expensive first.

    Args:
        uses: candidates by name.
        least_d: days without use from which it counts.
        known: the owners that exist, by key; a key that is absent knows all.
    """
    found = (_orphan(name, use, known) for name, use in uses.items())
    kept = [one for one in found if one is not None and one.idle_d >= least_d]
    return tuple(sorted(kept, key=lambda one: (-(one.usd_month or 0.0), -one.gpus, one.name)))


def _orphan(name: tuple[str, ...], use: Use, known: Mapping[str, Iterable[str]]) -> Orphan | None:
    idle = []
    for day_s in range(use.last_day_s, min(use.days, default=use.last_day_s + DAY_S) - DAY_S, -DAY_S):
        if day_s not in use.days or day_s in use.worked or not _is_idle(use.days[day_s].time):
            break
        idle.append(use.days[day_s])
    if not idle:
        return None
    seconds = sum(one.time.capacity for one in idle)
    priced = not any(one.unpriced.capacity for one in idle)
    usd = sum(one.usd.capacity for one in idle) if priced else None
    other = [day_s for day_s, one in use.days.items() if day_s in use.worked or not _is_idle(one.time)]
    last = max(other, default=None)
    named = [f"{key} {value}" for key, values in use.owners.items() for value in sorted(values)]
    return Orphan(
        name=name,
        owner=", ".join(named),
        gone=tuple(
            f"{key} {value}"
            for key, values in use.owners.items()
            if key in known
            for value in sorted(values - {*known[key]})
        ),
        idle_d=len(idle),
        last_use_s=last,
        measured=last is not None and (last in use.worked or use.days[last].time.unknown == 0.0),
        progress_s=max(use.worked, default=None),
        first_day_s=min(use.days),
        gpus=seconds / (len(idle) * DAY_S),
        usd=usd,
        usd_month=None if usd is None else usd / len(idle) * _MONTH_D,
    )


def _is_idle(time: GpuSeconds) -> bool:
    """Of a cluster also what no pod was allocated: known to be free is idle, at work outside of Kubernetes is use."""
    idle = time.idle + time.unallocated + time.stranded
    return time.capacity > 0.0 and time.unknown == 0.0 and idle >= _IDLE_SHARE * time.capacity
