"""What a successful run costs: the cost of all runs that ended, those that failed included, by the runs that succeeded.

A run counts in the period in which it ended, with its cost in that period, in the line that has most of that cost.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gpuwise.model.cost import CostSum
from gpuwise.model.hours import HOUR_S
from gpuwise.model.runs import RUN_KINDS, RunEnds


@dataclass(frozen=True, slots=True)
class RunCost:
    """What the runs of one line cost.

    Attributes:
        keys: values of the keys; None where nothing names it.
        succeeded, failed: how many runs ended in the period, by how they ended.
        began_earlier: of the runs that ended, those with GPU time on the day before the period: that is not in `usd`.
        not_ended: runs that had GPU time in the period and had not ended, or of which it is not known.
        gpu_h: GPU-hours of the runs that ended, those that failed included.
        usd: their cost; None if a part of it has no price.
        failed_usd: of this, the cost of the runs that failed; likewise.
        not_ended_usd: cost of the others, which is not in `usd`; likewise.
        usd_per_successful_run: `usd` by `succeeded`; None without a successful run or a price.
        why_none: why there is no cost per successful run, "" if there is one.
    """

    keys: tuple[str | None, ...]
    succeeded: int
    failed: int
    began_earlier: int
    not_ended: int
    gpu_h: float
    usd: float | None
    failed_usd: float | None
    not_ended_usd: float | None
    usd_per_successful_run: float | None
    why_none: str


@dataclass(slots=True)
class _Sum:
    runs: int = 0
    began_earlier: int = 0
    gpu_h: float = 0.0
    usd: float = 0.0
    unpriced: bool = False

    def add(self, parts: Sequence[CostSum], *, earlier: bool) -> None:
        """Add one run."""
        self.runs += 1
        self.began_earlier += earlier
        for one in parts:
            self.gpu_h += one.time.capacity / HOUR_S
            self.usd += one.usd.capacity
            self.unpriced = self.unpriced or one.unpriced.capacity > 0.0

    @property
    def known_usd(self) -> float | None:
        return None if self.unpriced else self.usd


def run_costs(
    sums: Iterable[CostSum], ends: RunEnds, earlier: Collection[tuple[str | int | None, ...]] = ()
) -> tuple[RunCost, ...]:
    """The cost of the runs of each line, most expensive first.

    Args:
        sums: of the period, by namespace, workload and then the keys of the lines.
        ends: how the runs of the period ended.
        earlier: the workloads with GPU time on the day before the period.
    """
    parts: defaultdict[tuple[str, str], list[CostSum]] = defaultdict(list)
    for one in sums:
        space, workload = one.keys[:2]
        if space is not None and workload is not None and str(workload).partition("/")[0] in RUN_KINDS:
            parts[str(space), str(workload)].append(one)
    found: defaultdict[tuple[str | None, ...], dict[bool | None, _Sum]] = defaultdict(
        lambda: {True: _Sum(), False: _Sum(), None: _Sum()}
    )
    for run, of_run in parts.items():
        most = max(of_run, key=lambda one: (one.usd.capacity, one.time.capacity))
        keys = tuple(None if key is None else str(key) for key in most.keys[2:])
        found[keys][ends.get(run)].add(of_run, earlier=run in earlier)
    lines = (_line(keys, of[True], of[False], of[None]) for keys, of in found.items())
    return tuple(sorted(lines, key=lambda one: (-(one.usd or 0.0), -(one.not_ended_usd or 0.0), str(one.keys))))


def _line(keys: tuple[str | None, ...], good: _Sum, bad: _Sum, others: _Sum) -> RunCost:
    usd = None if good.unpriced or bad.unpriced else good.usd + bad.usd
    per = usd / good.runs if usd is not None and good.runs else None
    why = "" if per is not None else "a part has no price" if good.runs else "no run succeeded"
    if not good.runs and not bad.runs:
        usd, why = None, "no run is known to have ended"
    ended = usd is not None or good.runs + bad.runs > 0
    return RunCost(
        keys,
        good.runs,
        bad.runs,
        good.began_earlier + bad.began_earlier,
        others.runs,
        good.gpu_h + bad.gpu_h,
        usd,
        bad.known_usd if ended else None,
        others.known_usd,
        per,
        why,
    )
