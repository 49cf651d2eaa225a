"""The open recommendations by class of waste, with their owners."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

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
    return _sorted(_summed(kind, items) for kind, items in found.items())


def merged(found: Iterable[Waste]) -> tuple[Waste, ...]:
    """Sum the classes of several plans, such as those of several clusters."""
    groups: defaultdict[WasteClass, list[Waste]] = defaultdict(list)
    for one in found:
        groups[one.kind].append(one)
    return _sorted(
        Waste(
            kind,
            sum(one.count for one in group),
            sum(one.usd_month for one in group),
            sum(one.gpu_h_month for one in group),
            _by_owner(pair for one in group for pair in one.owners),
        )
        for kind, group in groups.items()
    )


def _sorted(rows: Iterable[Waste]) -> tuple[Waste, ...]:
    return tuple(sorted(rows, key=lambda one: (-one.usd_month, -one.gpu_h_month, one.kind)))


def _by_owner(pairs: Iterable[tuple[str | None, float]]) -> tuple[tuple[str | None, float], ...]:
    owners: defaultdict[str | None, float] = defaultdict(float)
    for owner, usd in pairs:
        owners[owner] += usd
    return tuple(sorted(owners.items(), key=lambda one: (-one[1], one[0] or "")))


def _summed(kind: WasteClass, items: Sequence[Recommendation]) -> Waste:
    return Waste(
        kind=kind,
        count=len(items),
        usd_month=sum(item.saving.usd_month for item in items),
        gpu_h_month=sum(item.saving.gpu_h_month for item in items),
        owners=_by_owner((item.owner, item.saving.usd_month) for item in items),
    )
