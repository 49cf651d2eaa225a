"""What has been forgotten: workloads, namespaces or clusters that have GPUs and have not used them for days.

A day counts as idle only if all of its GPU time was measured, and idle by every signal: GPU time that nobody measured
may have been used. So an experiment that nobody stops is found, and an exporter that fails finds none.
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
        last_use_s: midnight of the last day with use, epoch seconds; None if the history has none.
        first_day_s: midnight of its first day in the history.
        gpus: mean number of GPUs in the idle days.
        usd: what the idle days cost; None without a price.
        usd_month: what a month costs at this rate; None without a price.
    """

    name: tuple[str, ...]
    owner: str
    gone: tuple[str, ...]
    idle_d: int
    last_use_s: int | None
    first_day_s: int
    gpus: float
    usd: float | None
    usd_month: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """The daily time of one candidate.

    Attributes:
        days: its sums by midnight.
        owners: names of its owners by key, such as {"team": {"ml"}}.
    """

    days: Mapping[int, CostSum]
    owners: Mapping[str, frozenset[str]]


def orphans(
    uses: Mapping[tuple[str, ...], Use], last_day_s: int, least_d: int, known: Mapping[str, Iterable[str]]
) -> tuple[Orphan, ...]:
    """Find what has had GPUs on each of the last days and used none, the most expensive first.

    Args:
        uses: candidates by name.
        last_day_s: midnight of the last complete day of the history.
        least_d: days without use from which it counts.
        known: the owners that exist, by key; a key that is absent knows all.
    """
    found = (_orphan(name, use, last_day_s, known) for name, use in uses.items())
    kept = [one for one in found if one is not None and one.idle_d >= least_d]
    return tuple(sorted(kept, key=lambda one: (-(one.usd_month or 0.0), -one.gpus, one.name)))


def _orphan(name: tuple[str, ...], use: Use, last_day_s: int, known: Mapping[str, Iterable[str]]) -> Orphan | None:
    idle = []
    for day_s in range(last_day_s, min(use.days, default=last_day_s + DAY_S) - DAY_S, -DAY_S):
        if day_s not in use.days or not _is_idle(use.days[day_s].time):
            break
        idle.append(use.days[day_s])
    if not idle:
        return None
    seconds = sum(one.time.capacity for one in idle)
    priced = seconds > sum(one.unpriced.capacity for one in idle)
    usd = sum(one.usd.capacity for one in idle) if priced else None
    used = [day_s for day_s, one in use.days.items() if one.time.used > (1.0 - _IDLE_SHARE) * one.time.capacity]
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
        last_use_s=max(used, default=None),
        first_day_s=min(use.days),
        gpus=seconds / (len(idle) * DAY_S),
        usd=usd,
        usd_month=None if usd is None else usd / len(idle) * _MONTH_D,
    )


def _is_idle(time: GpuSeconds) -> bool:
    return time.capacity > 0.0 and time.unknown == 0.0 and time.idle >= _IDLE_SHARE * time.capacity
