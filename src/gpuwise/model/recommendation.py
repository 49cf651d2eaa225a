"""A recommendation with its evidence and its saving, or the reason why a change is blocked."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from gpuwise.model.changes import Change
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal

NEXT_USE = "time to the next use, median forecast"
"""Text of the evidence that has the forecast of the next use, in hours."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number behind a decision, with what is needed to recompute it.

    Attributes:
        text: description for a person: "power stayed under 25 % of the board's limit".
        signal: the signal, None for facts from the inventory.
        statistic: how the value was computed: "max", "p98", "coverage".
        value: the number, None if nothing was sampled.
        threshold: what the value was compared with, None if it is only information.
        unit: unit of value and threshold.
        query: query for the samples behind the value, None for facts from the inventory.
    """

    text: str
    signal: Signal | None
    statistic: str
    value: float | None
    threshold: float | None
    unit: str
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Saving:
    """What a change is worth while it lasts, with an interval for the uncertainty of the data.

    Attributes:
        usd_month: dollars per month of 730 h.
        low_usd_month: lower end of the interval.
        high_usd_month: upper end of the interval.
        gpu_h_month: whole-GPU hours per month.
        kwh_month: energy, None if power was not sampled.
        kg_co2e_month: carbon of that energy, None if the energy or the grid's intensity is not known.
    """

    usd_month: float
    low_usd_month: float
    high_usd_month: float
    gpu_h_month: float
    kwh_month: float | None = None
    kg_co2e_month: float | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One change to one workload or node, with its reasons, saving and risk; immutable, with an etag for its content.

    Attributes:
        id: stable for the same change to the same object: "r-" and 10 hex digits.
        workload: the target.
        owner: the target's team, None if no label names one.
        finding: what is wrong.
        reasons: reason codes.
        change: what to do.
        saving: what the change is worth.
        risk: performance risk from 0 (none) to 4 (very high), the maximum over its dimensions.
        confidence: 0 to 1, from the length and the coverage of the data.
        coverage: lowest coverage among the signals used.
        evidence: the numbers.
        restart_needed: whether pods are replaced.
        rollback_possible: whether `gpuwise undo` can revert it.
        effort: Low, Medium or High, for the owners of the target.
        created_s: when it was made.
        expires_s: when it becomes too old to use.
        etag: digest of the content; it changes with the numbers and texts of the evidence.
        claims: uids of the workloads, and names of the nodes, whose GPU time it counts, and the free slices that it
            needs ("node/resource#number"); a plan has at most one recommendation per claim.
        observed_s: length of the data behind it, seconds; None if it is not based on usage.
        shared_claims: uids and names that recommendations which were planned together, or need the same node, share: a
            plan has several of these, or one recommendation that claims the name alone.
    """

    id: str
    workload: WorkloadRef
    owner: str | None
    finding: Finding
    reasons: tuple[Reason, ...]
    change: Change
    saving: Saving
    risk: int
    confidence: float
    coverage: float
    evidence: tuple[Evidence, ...]
    restart_needed: bool
    rollback_possible: bool
    effort: Literal["Low", "Medium", "High"]
    created_s: int
    expires_s: int
    etag: str
    claims: tuple[str, ...] = ()  # the default is for ledgers that were written before this field existed
    observed_s: int | None = None  # likewise
    shared_claims: tuple[str, ...] = ()  # likewise


@dataclass(frozen=True, slots=True)
class Blocked:
    """A change that is not made, and why.

    Attributes:
        workload: the workload or node.
        stage: the method or the step that blocked it: "idle", "right-size", "spot", "decide", "enact".
        reason: reason code.
        detail: the details of this case, for a person.
        evidence: the numbers.
        recommendation_id: the blocked recommendation, None where none was made.
        policy: the policy that blocked it, by its name in docs/policy.md; "" where no policy did, and in older ledgers.
    """

    workload: WorkloadRef
    stage: str
    reason: Reason
    detail: str
    evidence: tuple[Evidence, ...] = ()
    recommendation_id: str | None = None
    policy: str = ""


AllBlocked = Annotated[tuple[Blocked, ...], Field(alias="holds")]
"""A field of blocked changes; JSON and ledgers have called it `holds` since 0.1."""
