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
    """Every signal was below its threshold all through."""
    NO_REQUESTS = "NoRequests"
    """Requests are reported, and there were none."""
    DEVICES_NEVER_BUSY_TOGETHER = "DevicesNeverBusyTogether"
    """Fewer of its GPUs were ever in use in one step than it holds."""
    FITS_MIG_SLICE = "FitsMigSlice"
    """Its activity and peak memory fit a slice of the card, with headroom."""
    CHECKPOINTED = "Checkpointed"
    """Its owners say that it resumes from a checkpoint."""
    MULTI_REPLICA = "MultiReplica"
    """Other ready replicas answer while one is reclaimed."""

    BUSY = "Busy"
    """It is in use."""
    WELL_SIZED = "WellSized"
    """Nothing smaller holds it."""
    INSUFFICIENT_DATA = "InsufficientData"
    """Samples are missing; what is not known counts as use."""
    SIGNALS_DISAGREE = "SignalsDisagree"
    """Some signals call it idle and others do not."""
    NEEDS_SECOND_SIGNAL = "NeedsSecondSignal"
    """One sensor alone calls it idle; false zeros are real, so two must agree."""
    NO_PRICE = "NoPrice"
    """No price is known for its GPUs."""
    UNKNOWN_GPU_TYPE = "UnknownGpuType"
    """Its card is of a type that gpuwise does not know, or of several."""
    NOT_INTERRUPTIBLE = "NotInterruptible"
    """A reclaimed node would lose work or answers."""
    ALREADY_SPOT = "AlreadySpot"
    """Some of its nodes are spot or paid for in advance."""
    NO_SPOT_CAPACITY = "NoSpotCapacity"
    """The fleet has no spot node with its card."""
    NO_MIG_CAPACITY = "NoMigCapacity"
    """No node offers the slice that would do."""
    ALREADY_STOPPED = "AlreadyStopped"
    """It holds no GPU now."""
    TOO_YOUNG = "TooYoung"
    """Idle, but not for long enough to call it forgotten."""
    KIND_NOT_SUPPORTED = "KindNotSupported"
    """gpuwise does not write this change to this kind of object."""
    BETTER_ALTERNATIVE = "BetterAlternative"
    """Another change to the same workload saves more."""

    MODE_OFF = "ModeOff"
    """Its mode is off."""
    RECOMMEND_ONLY = "RecommendOnly"
    """Its mode is recommend: a person may apply it."""
    NEEDS_APPROVAL = "NeedsApproval"
    """Its mode is approve: a person must apply it."""
    DISMISSED = "Dismissed"
    """A person dismissed it."""
    UNREADABLE_POLICY = "UnreadablePolicy"
    """A label or annotation about being touched cannot be read: taken as hands off."""
    PROTECTED = "Protected"
    """An annotation forbids it."""
    PROTECTED_NAMESPACE = "ProtectedNamespace"
    """Its namespace is never touched."""
    MANAGED_BY_OTHER = "ManagedByOther"
    """An autoscaler or GitOps tool owns it: change it there."""
    BLOCKED_BY_PDB = "BlockedByPDB"
    """Its PodDisruptionBudget allows no disruption now."""
    BUDGET_EXHAUSTED = "BudgetExhausted"
    """The disruption budget of this window is spent."""
    COOLING_DOWN = "CoolingDown"
    """It was changed lately."""
    RISK_TOO_HIGH = "RiskTooHigh"
    """Riskier than automation is trusted with."""
    LOW_CONFIDENCE = "LowConfidence"
    """Less sure than automation must be."""
    STALE_INVENTORY = "StaleInventory"
    """The look at the fleet, or the recommendation, is too old."""
    BRAKE_ENGAGED = "BrakeEngaged"
    """So many changes at once that the data are not believed."""
    BREAKER_OPEN = "BreakerOpen"
    """The last attempts on it failed."""
    PAUSED = "Paused"
    """A person paused gpuwise."""

    CHANGED_SINCE_PLANNED = "ChangedSincePlanned"
    """The object changed between the plan and the write."""
    TARGET_GONE = "TargetGone"
    """The object is no more, or is another of the same name."""
    REFUSED_BY_CLUSTER = "RefusedByCluster"
    """The Kubernetes API refused the write."""
    NO_EFFECT = "NoEffect"
    """The write went through, and the object is not as asked for."""
    CHANGED_BY_OTHERS = "ChangedByOthers"
    """Somebody changed it since, so undo would overwrite their word."""


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
