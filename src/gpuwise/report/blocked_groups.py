"""What is blocked, grouped by reason; and apart from it, what needs no change."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked

_NOTHING_TO_DO = frozenset(
    {
        Reason.BUSY,
        Reason.NOT_APPLICABLE,
        Reason.WELL_SIZED,
        Reason.ALREADY_SPOT,
        Reason.ON_CHOSEN_CAPACITY,
        Reason.PAID_IN_ADVANCE,
        Reason.ALREADY_STOPPED,
        Reason.NOT_INTERRUPTIBLE,
        Reason.BETTER_ALTERNATIVE,
        Reason.REGIONS_ALLOWED,
        Reason.USED_AT_ALL_HOURS,
        Reason.STEADILY_USED,
        Reason.IS_A_SERVICE,
        Reason.SINGLE_REPLICA,
        Reason.NOT_SHAREABLE,
        Reason.NO_CHEAPER_TYPE,
        Reason.NOTHING_TO_CAP,
        Reason.LIMIT_IS_BEST,
        Reason.WELL_PACKED,
    }
)
"""Reasons why a workload needs no change. All other reasons block a saving."""


@dataclass(frozen=True, slots=True)
class BlockedGroup:
    """What is blocked for one reason.

    Attributes:
        code: the reason.
        reason: its stable code as text.
        count: number of workloads.
        examples: up to three of them, with their details.
    """

    code: Reason
    reason: str
    count: int
    examples: tuple[Blocked, ...]


def blocked(items: Iterable[Blocked]) -> list[BlockedGroup]:
    """Group what blocks a saving by reason, the most frequent first."""
    return _grouped(item for item in items if item.reason not in _NOTHING_TO_DO)


def nothing_to_do(items: Iterable[Blocked]) -> list[BlockedGroup]:
    """Group the workloads that need no change by reason."""
    return _grouped(item for item in items if item.reason in _NOTHING_TO_DO)


def _grouped(items: Iterable[Blocked]) -> list[BlockedGroup]:
    chosen = {(item.reason, item.workload): item for item in reversed(list(items))}
    counts = Counter(reason for reason, _ in chosen)
    kept = sorted(chosen.values(), key=lambda item: str(item.workload))
    return [
        BlockedGroup(reason, reason.value, count, tuple(item for item in kept if item.reason is reason)[:3])
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
