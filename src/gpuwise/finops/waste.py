"""The open recommendations by class of waste, with whose it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Workload, WorkloadClass, WorkloadRef
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import Waste, WasteClass

_OF_FINDING: Mapping[Finding, WasteClass] = {
    Finding.ORPHANED: WasteClass.FORGOTTEN,
    Finding.IDLE: WasteClass.FORGOTTEN,
    Finding.IDLE_BETWEEN_USES: WasteClass.UNCALLED,
    Finding.UNUSED_HOURS: WasteClass.UNCALLED,
    Finding.GPU_OVERPROVISIONED: WasteClass.OVERSIZED,
    Finding.REPLICAS_OVERPROVISIONED: WasteClass.OVERSIZED,
    Finding.GPU_SHAREABLE: WasteClass.OVERSIZED,
    Finding.GPU_TYPE_OVERPROVISIONED: WasteClass.OVERSIZED,
    Finding.POWER_LIMIT_OVERPROVISIONED: WasteClass.OVERSIZED,
    Finding.INTERRUPTIBLE_ON_DEMAND: WasteClass.FULL_PRICE,
    Finding.DEADLINE_CAPACITY_MISFIT: WasteClass.FULL_PRICE,
    Finding.NODE_UNDERUTILISED: WasteClass.UNFILLED,
    Finding.MIG_GEOMETRY_MISFIT: WasteClass.UNFILLED,
}
"""The class of each finding that saves something."""

MOST_OWNERS = 3
"""Teams that a class of waste names."""


def waste_of(plan: Iterable[Recommendation], workloads: Mapping[WorkloadRef, Workload]) -> tuple[Waste, ...]:
    """Sum a plan by class of waste, the most expensive class first; an idle endpoint is one that nobody calls.

    Args:
        plan: recommendations of which no two count the same GPU time.
        workloads: those of the inventory.
    """
    found: defaultdict[WasteClass, list[Recommendation]] = defaultdict(list)
    for item in plan:
        kind = _OF_FINDING.get(item.finding)
        workload = workloads.get(item.workload)
        if item.finding is Finding.IDLE and workload and workload.workload_class is WorkloadClass.ENDPOINT:
            kind = WasteClass.UNCALLED
        if kind is not None:
            found[kind].append(item)
    rows = [_summed(kind, items) for kind, items in found.items()]
    return tuple(sorted(rows, key=lambda one: (-one.usd_month, -one.gpu_h_month, one.kind)))


def _summed(kind: WasteClass, items: Iterable[Recommendation]) -> Waste:
    owners: defaultdict[str | None, float] = defaultdict(float)
    items = list(items)
    for item in items:
        owners[item.owner] += item.saving.usd_month
    most = sorted(owners.items(), key=lambda one: (-one[1], one[0] or ""))[:MOST_OWNERS]
    return Waste(
        kind=kind,
        count=len(items),
        usd_month=sum(item.saving.usd_month for item in items),
        gpu_h_month=sum(item.saving.gpu_h_month for item in items),
        owners=tuple(most),
    )
