"""A recommendation with its evidence and its saving, or what blocks it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from gpuwise.model.changes import Change
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number behind a decision, so that anyone can recompute it.

    Attributes:
        text: what it says, for a person: "power stayed under 25 % of the board's limit".
        signal: which signal, None for facts of the inventory.
        statistic: how the value was made: "max", "p98", "coverage".
        value: the number, None where nothing was sampled.
        threshold: what it was held against, None where it is only told.
        unit: of value and threshold.
        query: what asks the source for the samples behind it, None for facts of the inventory.
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
    """What a change is worth while it lasts, with an interval for what the data cannot tell.

    Attributes:
        usd_month: dollars per month of 730 h.
        low_usd_month: lower end.
        high_usd_month: upper end.
        gpu_h_month: whole-GPU hours per month.
        kwh_month: energy, None where power was not sampled.
        kg_co2e_month: of that energy, None where it or the grid's intensity is not known.
    """

    usd_month: float
    low_usd_month: float
    high_usd_month: float
    gpu_h_month: float
    kwh_month: float | None = None
    kg_co2e_month: float | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One change to one workload, with its reasons, worth and risk; immutable, told apart by its etag.

    Attributes:
        id: stable for the same change to the same object: "r-" and 10 hex digits.
        workload: the target.
        owner: its team, None if no label names one.
        finding: what is wrong.
        reasons: codes.
        change: what to do.
        saving: what it is worth.
        risk: performance risk 0 (none) to 4 (very high), the maximum over dimensions.
        confidence: 0 to 1, from length and coverage of the data.
        coverage: least share of samples among the signals used.
        evidence: the numbers.
        restart_needed: pods are replaced.
        rollback_possible: `gpuwise undo` can restore it.
        effort: Low, Medium or High for the people who own it.
        created_s: when it was made.
        expires_s: when it is no longer to be trusted.
        etag: changes with the content.
        claims: uids of the workloads, and names of the nodes, whose GPU time it counts; of the recommendations that
            share a claim a plan holds one.
        observed_s: length of the data behind it, seconds; None where it is not usage that it rests on.
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
    claims: tuple[str, ...] = ()  # as in ledgers that were begun before there were any
    observed_s: int | None = None  # as above


@dataclass(frozen=True, slots=True)
class Blocked:
    """Doing nothing, and why.

    Attributes:
        workload: about which.
        stage: which recommender or which step held: "idle", "right-size", "spot", "decide", "enact".
        reason: code.
        detail: the particular of this case, for a person.
        evidence: the numbers.
        recommendation_id: the blocked recommendation, None where none was made.
    """

    workload: WorkloadRef
    stage: str
    reason: Reason
    detail: str
    evidence: tuple[Evidence, ...] = ()
    recommendation_id: str | None = None


AllBlocked = Annotated[tuple[Blocked, ...], Field(alias="holds")]
"""A field of them; JSON and ledgers have called it `holds` since 0.1."""
