"""How much of the cost has the required tags, and which workloads lack some.

Coverage is in money, of the time of pods that has a price, and in GPU-hours of all of their time: money alone hides
what has no price.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.cost import CostSum
from gpuwise.model.hours import HOUR_S

WORKLOAD = ("cluster", "namespace", "workload")
"""The keys before the required ones in the sums of `tagged`."""


@dataclass(frozen=True, slots=True)
class TagCoverage:
    """How much of the cost of pods has an allowed value of one key.

    Attributes:
        key: "team".
        usd: dollars with an allowed value.
        total_usd: dollars in all; 0 if nothing has a price.
        gpu_h: GPU-hours with an allowed value.
        total_gpu_h: GPU-hours in all.
    """

    key: str
    usd: float
    total_usd: float
    gpu_h: float
    total_gpu_h: float


@dataclass(frozen=True, slots=True)
class Untagged:
    """A workload that lacks a required tag, or has a value that is not allowed.

    Attributes:
        cluster: uid of its cluster; "" if it is not known.
        workload: "namespace/Kind/name"; "namespace" alone for the deleted workloads of a namespace.
        creators: who created it, as its objects have said in the period; empty if they do not say so.
        missing: keys without a value.
        wrong: values that are not allowed, by key.
        first_day_s: midnight of its first day in the history, epoch seconds.
        usd: cost of its time that has a price; None if none has.
        gpu_h: GPU-hours.
    """

    cluster: str
    workload: str
    creators: tuple[str, ...]
    missing: tuple[str, ...]
    wrong: Mapping[str, str]
    first_day_s: int
    usd: float | None
    gpu_h: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the history says of a workload besides its cost.

    Attributes:
        first_day_s: midnight of its first day, epoch seconds.
        creators: who created it.
    """

    first_day_s: int
    creators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tagging:
    """The cost of a period by the tagging policy.

    Attributes:
        coverage: of each required key.
        untagged: most expensive first.
    """

    coverage: tuple[TagCoverage, ...]
    untagged: tuple[Untagged, ...]


def tagged(
    sums: Iterable[CostSum], required: Mapping[str, Sequence[str]], seen: Mapping[tuple[str, str], Seen]
) -> Tagging:
    """Compare the owners of a period with the tagging policy. Time that no pod was allocated has no owner.

    Args:
        sums: of the history, by `WORKLOAD` and the required keys, in their order.
        required: the allowed values of each key; none allows every value.
        seen: the workloads of the history, by cluster and name.
    """
    found = [one for one in sums if not one.nobody and one.time.capacity > 0.0]
    coverage = []
    for at, (key, allowed) in enumerate(required.items(), start=len(WORKLOAD)):
        named = [one for one in found if _allowed(one.keys[at], allowed)]
        coverage.append(TagCoverage(key, _usd(named), _usd(found), _gpu_h(named), _gpu_h(found)))
    untagged = [item for one in found if (item := _untagged(one, required, seen)) is not None]
    untagged.sort(key=lambda one: (-(one.usd or 0.0), -one.gpu_h, one.cluster, one.workload))
    return Tagging(tuple(coverage), tuple(untagged))


def name_of(namespace: object, workload: object) -> str:
    """The name of a workload by its keys: "namespace/Kind/name", or the namespace of deleted ones."""
    return f"{namespace}/{workload}" if workload is not None else str(namespace)


def _untagged(
    one: CostSum, required: Mapping[str, Sequence[str]], seen: Mapping[tuple[str, str], Seen]
) -> Untagged | None:
    cluster, namespace, workload, *values = one.keys
    named = dict(zip(required, values, strict=True))
    missing = tuple(key for key, value in named.items() if value is None)
    wrong = {
        key: str(value) for key, value in named.items() if value is not None and not _allowed(value, required[key])
    }
    if not missing and not wrong:
        return None
    name = name_of(namespace, workload)
    return Untagged(
        cluster=str(cluster or ""),
        workload=name,
        creators=seen[str(cluster or ""), name].creators,
        missing=missing,
        wrong=wrong,
        first_day_s=seen[str(cluster or ""), name].first_day_s,
        usd=one.usd.capacity if one.unpriced.capacity < one.time.capacity else None,
        gpu_h=one.time.capacity / HOUR_S,
    )


def _allowed(value: object, allowed: Sequence[str]) -> bool:
    return value is not None and (not allowed or value in allowed)


def _usd(sums: Iterable[CostSum]) -> float:
    return sum(one.usd.capacity for one in sums)


def _gpu_h(sums: Iterable[CostSum]) -> float:
    return sum(one.time.capacity for one in sums) / HOUR_S
