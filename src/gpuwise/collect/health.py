"""One verdict on the health of each card, from what the driver reports about it.

The rules are listed in docs/exporter.md, the most severe first; the first that applies is the reason. Sources: NVIDIA's
"GPU Memory Error Management" (row remapping, page retirement, SRAM threshold), the catalogue of XID errors, and nvml.h
(recovery action, repair status).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.reading import Reading

HEALTHY, RESET, DRAIN = 0.0, 1.0, 2.0

RESET_XIDS = frozenset(map(str, (46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 151, 155, 156, 158)))
"""XID errors after which NVIDIA's catalogue asks for a reset of the GPU or a restart of the node."""
XID_COUNTS_S = 86_400.0
"""How long such an XID counts. A driver since 560 reports the recovery action instead, which a reset clears."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason against a card.

    Attributes:
        reason: value of the label `reason`.
        level: the verdict if it applies.
        applies: whether it applies; None if the values that it needs are not reported.
        text: one sentence for the documentation.
    """

    reason: str
    level: float
    applies: Callable[[Reading], bool | None]
    text: str


def _set(metric: Metric, *labels: str) -> Callable[[Reading], bool | None]:
    def applies(reading: Reading) -> bool | None:
        value = reading.value(metric, *labels)
        return None if value is None else value > 0.0

    return applies


def _recovery(reading: Reading) -> bool | None:
    none = reading.value(c.RECOVERY_ACTION, "none")
    return None if none is None else none == 0.0


def _xid(reading: Reading) -> bool | None:
    if reading.value(c.RECOVERY_ACTION, "none") is not None:
        return None  # the driver's own answer counts; an XID is not cleared by a reset
    times = {s.labels[0]: s.value for s in reading.samples if s.metric is c.XID_LAST_AT}
    # Without an error, nothing is known: some boards report no events.
    return any(code in RESET_XIDS and reading.at_s - at_s <= XID_COUNTS_S for code, at_s in times.items()) or None


def _any_repair(reading: Reading) -> bool | None:
    values = [s.value for s in reading.samples if s.metric is c.REPAIR_PENDING]
    return any(values) if values else None


RULES: tuple[Rule, ...] = (
    Rule("RecoveryAction", DRAIN, _recovery, "The driver asks for a reset, a restart or a drain."),
    Rule("RowRemapFailure", DRAIN, _set(c.REMAP_FAILED), "A memory row could not be remapped: replace the board."),
    Rule(
        "SramErrorThreshold",
        DRAIN,
        _set(c.SRAM_THRESHOLD),
        "SRAM errors exceed the threshold of NVIDIA's field diagnostic.",
    ),
    Rule(
        "FatalXid",
        DRAIN,
        _xid,
        "An XID error of the last 24 hours needs a reset, and the driver reports no recovery action.",
    ),
    Rule(
        "NvlinkRecoveryErrors",
        DRAIN,
        _set(c.NVLINK_ERRORS, "recovery"),
        "An NVLink was retrained since the driver was loaded.",
    ),
    Rule("RowRemapPending", RESET, _set(c.REMAP_PENDING), "A reset remaps a memory row."),
    Rule("PageRetirementPending", RESET, _set(c.RETIREMENT_PENDING), "A reset retires a memory page."),
    Rule("RepairPending", RESET, _any_repair, "A reset repairs a memory channel or a TPC."),
    Rule(
        "UncorrectedEcc",
        RESET,
        _set(c.ECC_ERRORS, "uncorrected", "volatile"),
        "An uncorrected memory error since the driver was loaded.",
    ),
)
JUDGED = frozenset(
    {
        c.RECOVERY_ACTION,
        c.REMAP_FAILED,
        c.SRAM_THRESHOLD,
        c.NVLINK_ERRORS,
        c.REMAP_PENDING,
        c.RETIREMENT_PENDING,
        c.REPAIR_PENDING,
        c.ECC_ERRORS,
    }
)
"""Metrics of which a value that was dropped might show a fault."""
LOST_REASON = "Lost"
LOST = Sample(c.HEALTH, DRAIN, (LOST_REASON,))
"""The verdict on a card that answered before and no longer does."""
HEALTHY_REASON = "Healthy"


def with_health(reading: Reading, *, complete: bool = True) -> Reading:
    """The reading of a card that answers, with the verdict on it.

    A board that reports none of the values that the rules need has no verdict: its health is unknown, not good.

    Args:
        reading: of the card.
        complete: whether no call failed and no value of `JUDGED` was dropped; otherwise a value may be missing that
            would show a fault.
    """
    found = [(rule, rule.applies(reading)) for rule in RULES]
    wrong = next((rule for rule, applies in found if applies), None)
    if wrong is not None:
        verdict = Sample(c.HEALTH, wrong.level, (wrong.reason,))
    elif complete and any(applies is not None for _, applies in found):
        verdict = Sample(c.HEALTH, HEALTHY, (HEALTHY_REASON,))
    else:
        return reading
    return replace(reading, samples=(*reading.samples, verdict))
