"""KPIs of FinOps for AI, from the cost history: what share of the GPUs works, is allocated, and is committed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gpuwise.model.cost import NOT_MEASURED, CostSum, GpuSeconds, Measures
from gpuwise.model.inventory import CapacityType
from gpuwise.model.report import Kpi, MeasuredSaving

BY = ("team", "capacity_type")
"""The keys of the sums that `kpis` needs."""


@dataclass(slots=True)
class _Fleet:
    time: GpuSeconds = field(default_factory=GpuSeconds)
    usd: GpuSeconds = field(default_factory=GpuSeconds)
    unpriced_s: float = 0.0
    measures: Measures = NOT_MEASURED
    pods_s: float = 0.0
    named_s: float = 0.0
    pods_usd: float = 0.0
    named_usd: float = 0.0
    reserved_s: float = 0.0
    on_demand_s: float = 0.0

    def add(self, one: CostSum) -> None:
        team, capacity = one.keys
        self.time += one.time
        self.usd += one.usd
        self.unpriced_s += one.unpriced.capacity
        if one.nobody:
            return
        self.measures += one.measures
        self.pods_s += one.time.capacity
        self.pods_usd += one.usd.capacity
        if team is not None:
            self.named_s += one.time.capacity
            self.named_usd += one.usd.capacity
        if capacity == CapacityType.RESERVED:
            self.reserved_s += one.time.capacity
        elif capacity == CapacityType.ON_DEMAND:
            self.on_demand_s += one.time.capacity

    @property
    def by_time(self) -> bool:
        """Whether shares are of the time: some of it has no price, or nothing has a cost."""
        return self.unpriced_s > 0.0 or self.usd.capacity <= 0.0

    @property
    def basis(self) -> str:
        return "of the GPU time" if self.by_time else "of the cost"


def kpis(sums: Iterable[CostSum], savings: Sequence[MeasuredSaving], tool_usd: float | None = None) -> tuple[Kpi, ...]:
    """The KPIs of a period; one that cannot be measured has no value, and says why.

    Args:
        sums: of the history, by `BY`.
        savings: what actions have saved until the end of the period, by their workloads' cost.
        tool_usd: what gpuwise itself costs in the period; None if that is not known, and then there is no such KPI.
    """
    fleet = _Fleet()
    for one in sums:
        fleet.add(one)
    return (
        _utilisation(fleet),
        _class_share("idle share", fleet, fleet.time.idle, fleet.usd.idle, "allocated and idle by every signal"),
        _class_share(
            "unallocated share",
            fleet,
            fleet.time.unallocated + fleet.time.stranded,
            fleet.usd.unallocated + fleet.usd.stranded,
            "known to be free, or stranded beside MIG instances",
        ),
        _allocation(fleet),
        _commitment(fleet),
        _realised(savings),
        *(() if tool_usd is None else (_return(savings, tool_usd),)),
    )


def _utilisation(fleet: _Fleet) -> Kpi:
    """SM activity over the time of pods that is measured, and the free time, which does no work."""
    name = "effective utilisation"
    known, free = fleet.measures.sm_known_s or 0.0, fleet.time.unallocated + fleet.time.stranded
    if known <= 0.0:
        return Kpi(name, None, "of the GPU time", why_none="no SM activity in the history of these days")
    measured = (known + free) / fleet.time.capacity
    detail = f"GPU time weighted by SM activity; {min(1.0, measured) * 100:.0f} % of it is measured or free"
    return Kpi(name, (fleet.measures.sm_s or 0.0) / (known + free), "of the GPU time", detail)


def _class_share(name: str, fleet: _Fleet, gpu_s: float, usd: float, detail: str) -> Kpi:
    part, whole = (gpu_s, fleet.time.capacity) if fleet.by_time else (usd, fleet.usd.capacity)
    if whole <= 0.0:
        return Kpi(name, None, fleet.basis, why_none="no GPU time in the history of these days")
    return Kpi(name, part / whole, fleet.basis, detail)


def _allocation(fleet: _Fleet) -> Kpi:
    name = "allocation coverage"
    part, whole = (fleet.named_s, fleet.pods_s) if fleet.by_time else (fleet.named_usd, fleet.pods_usd)
    if whole <= 0.0:
        return Kpi(name, None, fleet.basis, why_none="no GPU time of pods in the history of these days")
    return Kpi(name, part / whole, fleet.basis, "of pods whose team is named, of that of all pods")


def _commitment(fleet: _Fleet) -> Kpi:
    name, whole = "commitment coverage", fleet.reserved_s + fleet.on_demand_s
    basis = "of the GPU time"
    if whole <= 0.0:
        why = "no node that is reserved or on demand; spot has no commitments, and a label must name the capacity type"
        return Kpi(name, None, basis, why_none=why)
    return Kpi(name, fleet.reserved_s / whole, basis, "of pods on reserved nodes, of those on reserved or on demand")


def _realised(savings: Sequence[MeasuredSaving]) -> Kpi:
    name, basis = "realised over predicted", "of the predicted saving"
    both = [
        (one.saved_usd, one.predicted_usd)
        for one in savings
        if one.saved_usd is not None and one.predicted_usd is not None
    ]
    predicted = sum(usd for _, usd in both)
    if predicted <= 0.0:
        return Kpi(name, None, basis, why_none="no action has both a prediction and a measured saving")
    detail = f"of {len(both)} actions, by the cost of their workloads since then"
    return Kpi(name, sum(usd for usd, _ in both) / predicted, basis, detail)


def _return(savings: Sequence[MeasuredSaving], tool_usd: float) -> Kpi:
    name, basis = "return on gpuwise", "of its own cost"
    known = [one.saved_usd for one in savings if one.saved_usd is not None]
    if not known:
        return Kpi(name, None, basis, why_none="no action has a measured saving")
    detail = f"measured savings of {len(known)} actions, by ${tool_usd:,.0f} for gpuwise itself in the same days"
    return Kpi(name, sum(known) / tool_usd, basis, detail)
