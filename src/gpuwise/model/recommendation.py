"""What to do about a workload, or why not: Recommendation or Hold."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.signal import Signal


class Finding(StrEnum):
    """What is wrong."""

    IDLE = "Idle"
    GPU_OVERPROVISIONED = "GPUOverprovisioned"
    ON_DEMAND_INTERRUPTIBLE = "InterruptibleOnDemand"


class Reason(StrEnum):
    """Stable codes: why something is recommended, or why it is not done. Documented in docs/reasons.md."""

    NO_ACTIVITY = "NoActivity"
    NO_REQUESTS = "NoRequests"
    DEVICES_NEVER_BUSY_TOGETHER = "DevicesNeverBusyTogether"
    FITS_MIG_SLICE = "FitsMigSlice"
    CHECKPOINTED = "Checkpointed"
    MULTI_REPLICA = "MultiReplica"

    BUSY = "Busy"
    WELL_SIZED = "WellSized"
    INSUFFICIENT_DATA = "InsufficientData"
    SIGNALS_DISAGREE = "SignalsDisagree"
    NEEDS_SECOND_SIGNAL = "NeedsSecondSignal"
    NO_PRICE = "NoPrice"
    UNKNOWN_GPU_TYPE = "UnknownGpuType"
    NOT_INTERRUPTIBLE = "NotInterruptible"
    ALREADY_SPOT = "AlreadySpot"
    NO_SPOT_CAPACITY = "NoSpotCapacity"
    NO_MIG_CAPACITY = "NoMigCapacity"
    ALREADY_STOPPED = "AlreadyStopped"
    TOO_YOUNG = "TooYoung"
    KIND_NOT_SUPPORTED = "KindNotSupported"
    BETTER_ALTERNATIVE = "BetterAlternative"

    MODE_OFF = "ModeOff"
    RECOMMEND_ONLY = "RecommendOnly"
    NEEDS_APPROVAL = "NeedsApproval"
    DISMISSED = "Dismissed"
    UNREADABLE_POLICY = "UnreadablePolicy"
    PROTECTED = "Protected"
    PROTECTED_NAMESPACE = "ProtectedNamespace"
    MANAGED_BY_OTHER = "ManagedByOther"
    BLOCKED_BY_PDB = "BlockedByPDB"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    COOLING_DOWN = "CoolingDown"
    RISK_TOO_HIGH = "RiskTooHigh"
    LOW_CONFIDENCE = "LowConfidence"
    STALE_INVENTORY = "StaleInventory"
    BRAKE_ENGAGED = "BrakeEngaged"
    BREAKER_OPEN = "BreakerOpen"
    PAUSED = "Paused"

    CHANGED_SINCE_PLANNED = "ChangedSincePlanned"
    TARGET_GONE = "TargetGone"
    REFUSED_BY_CLUSTER = "RefusedByCluster"
    NO_EFFECT = "NoEffect"
    CHANGED_BY_OTHERS = "ChangedByOthers"


@dataclass(frozen=True, slots=True)
class ScaleTo:
    """Set the number of replicas; 0 stops the workload and gives its GPUs back."""

    replicas: int
    kind: Literal["ScaleTo"] = "ScaleTo"


@dataclass(frozen=True, slots=True)
class Resize:
    """Give each replica another number of GPUs or a MIG slice."""

    current: GpuRequest
    proposed: GpuRequest
    kind: Literal["Resize"] = "Resize"


@dataclass(frozen=True, slots=True)
class MoveToSpot:
    """Prefer spot nodes, fall back to on-demand."""

    kind: Literal["MoveToSpot"] = "MoveToSpot"


Change = ScaleTo | Resize | MoveToSpot


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
    """

    text: str
    signal: Signal | None
    statistic: str
    value: float | None
    threshold: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Saving:
    """What a change is worth while it lasts, with an interval for what the data cannot tell.

    Attributes:
        usd_month: dollars per month of 730 h.
        low_usd_month: lower end.
        high_usd_month: upper end.
        gpu_h_month: whole-GPU hours per month.
    """

    usd_month: float
    low_usd_month: float
    high_usd_month: float
    gpu_h_month: float


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


@dataclass(frozen=True, slots=True)
class Hold:
    """Doing nothing, and why.

    Attributes:
        workload: about which.
        stage: which recommender or which step held: "idle", "right-size", "spot", "decide", "enact".
        reason: code.
        detail: the particular of this case, for a person.
        evidence: the numbers.
        recommendation_id: which recommendation was held back, None where none was made.
    """

    workload: WorkloadRef
    stage: str
    reason: Reason
    detail: str
    evidence: tuple[Evidence, ...] = ()
    recommendation_id: str | None = None
