"""What to do about a workload, or why not: Recommendation or Blocked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.signal import Signal


class Finding(StrEnum):
    """What is wrong."""

    IDLE = "Idle"
    ORPHANED = "Orphaned"
    IDLE_BETWEEN_USES = "IdleBetweenUses"
    UNUSED_HOURS = "UnusedHours"
    GPU_OVERPROVISIONED = "GPUOverprovisioned"
    REPLICAS_OVERPROVISIONED = "ReplicasOverprovisioned"
    GPU_SHAREABLE = "GPUShareable"
    GPU_TYPE_OVERPROVISIONED = "GPUTypeOverprovisioned"
    ON_DEMAND_INTERRUPTIBLE = "InterruptibleOnDemand"
    POWER_OVERPROVISIONED = "PowerLimitOverprovisioned"
    NODE_UNDERUSED = "NodeUnderutilised"
    MIG_GEOMETRY_MISFIT = "MIGGeometryMisfit"


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
    NO_OWNER = "NoOwner"
    """No label names a team, and nobody has used it for long: forgotten."""
    REST_LONGER_THAN_START = "RestLongerThanStart"
    """It rests so often and so long that starting it anew costs less than keeping it warm."""
    SAME_HOURS_UNUSED = "SameHoursUnused"
    """The same hours of every week seen passed without use."""
    LOAD_FITS_FEWER_REPLICAS = "LoadFitsFewerReplicas"
    """All its replicas together do what fewer of them can, with headroom."""
    FITS_SHARE = "FitsShare"
    """Its activity and peak memory leave room for others on the card, with headroom."""
    FITS_CHEAPER_TYPE = "FitsCheaperType"
    """A cheaper card has the compute, the bandwidth and the memory that it uses, with headroom."""
    DRAWS_LESS_THAN_LIMIT = "DrawsLessThanLimit"
    """A lower power limit is expected to cost at most 5 % of its speed."""
    PODS_FIT_ELSEWHERE = "PodsFitElsewhere"
    """Every GPU pod of the node has room on others."""
    SLICES_FIT_FEWER_GPUS = "SlicesFitFewerGPUs"
    """Cut otherwise, fewer GPUs of the node offer the slices that are used and asked for."""
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
    CARD_SHARED = "CardShared"
    """HAMi shares its card by memory and cores: those are its size."""
    SEVERAL_CONTAINERS_ASK = "SeveralContainersAsk"
    """More than one container of its pods asks for GPUs: which of them needs fewer is not known."""
    KIND_NOT_SUPPORTED = "KindNotSupported"
    """gpuwise does not write this change to this kind of object."""
    BETTER_ALTERNATIVE = "BetterAlternative"
    """Another change to the same GPU time is in the plan; the two together would count it twice."""
    USED_AT_ALL_HOURS = "UsedAtAllHours"
    """No hours of the week are reliably without use."""
    STEADILY_USED = "SteadilyUsed"
    """Its rests are shorter than what starting it anew costs."""
    IS_A_SERVICE = "IsAService"
    """It answers requests, which may come at any hour."""
    SINGLE_REPLICA = "SingleReplica"
    """It has the replicas that its availability needs."""
    NOT_SHAREABLE = "NotShareable"
    """It needs most of its card, or what isolation it has now."""
    NO_CHEAPER_TYPE = "NoCheaperType"
    """No cheaper card of the fleet, in the regions allowed, holds what it uses."""
    NOTHING_TO_CAP = "NothingToCap"
    """It draws so little that a lower power limit would change nothing."""
    WELL_PACKED = "WellPacked"
    """Its pods fit nowhere else, or moving them disrupts more than it saves."""

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
    UNREADABLE_OBJECT = "UnreadableObject"
    """A field of the object, or of its pods, cannot be read: it is left alone."""
    PAUSED = "Paused"
    """A person paused gpuwise."""

    CHANGED_SINCE_PLANNED = "ChangedSincePlanned"
    """The object changed between the plan and the write."""
    TARGET_GONE = "TargetGone"
    """The object is no more, or is another of the same name."""
    REFUSED_BY_CLUSTER = "RefusedByCluster"
    """The Kubernetes API refused the write."""
    DENIED_BY_ADMISSION = "DeniedByAdmission"
    """A policy, a webhook or a quota of the cluster refused the object; the detail has its own message."""
    NO_RIGHT = "NoRight"
    """gpuwise's identity has no right to write it: RBAC grants none."""
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    """The API server did not answer the write: whether it took place is looked up at the next run."""
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


@dataclass(frozen=True, slots=True)
class StopWhenIdle:
    """Scale to zero once nothing was asked of it for so long, and back at the next request.

    Attributes:
        after_s: seconds without a request.
    """

    after_s: int
    kind: Literal["StopWhenIdle"] = "StopWhenIdle"


@dataclass(frozen=True, slots=True)
class StopAtHours:
    """Scale to zero in the same hours of every week.

    Attributes:
        spans: [first, last) hours of the week, UTC; hour 0 begins on Monday at 00:00.
    """

    spans: tuple[tuple[int, int], ...]
    kind: Literal["StopAtHours"] = "StopAtHours"


class Sharing(StrEnum):
    """How one card serves several pods, the best isolated first."""

    MIG = "mig"
    MPS = "mps"
    TIME_SLICING = "time-slicing"


@dataclass(frozen=True, slots=True)
class Share:
    """Let others onto its card.

    Attributes:
        method: how; a node has one method for all of its cards.
        tenants: pods of its size that one card holds.
    """

    method: Sharing
    tenants: int
    kind: Literal["Share"] = "Share"


@dataclass(frozen=True, slots=True)
class ChangeGpuType:
    """Run on another type of card.

    Attributes:
        current: canonical name.
        proposed: canonical name.
    """

    current: str
    proposed: str
    kind: Literal["ChangeGpuType"] = "ChangeGpuType"


@dataclass(frozen=True, slots=True)
class CapPower:
    """Set the power limit of its cards.

    Attributes:
        limit_w: watts per card.
    """

    limit_w: float
    kind: Literal["CapPower"] = "CapPower"


@dataclass(frozen=True, slots=True)
class FreeNode:
    """Move a node's GPU pods elsewhere and give the node back.

    Attributes:
        moves: (workload, pod, node) for each pod that has to move.
    """

    moves: tuple[tuple[str, str, str], ...]
    kind: Literal["FreeNode"] = "FreeNode"


@dataclass(frozen=True, slots=True)
class Repartition:
    """Cut the GPUs of a node otherwise.

    Attributes:
        current: MIG profiles that the node offers now, with their number.
        proposed: those that it is to offer.
        freed_gpus: whole GPUs that this leaves.
    """

    current: tuple[tuple[str, int], ...]
    proposed: tuple[tuple[str, int], ...]
    freed_gpus: int
    kind: Literal["Repartition"] = "Repartition"


Change = (
    ScaleTo
    | Resize
    | MoveToSpot
    | StopWhenIdle
    | StopAtHours
    | Share
    | ChangeGpuType
    | CapPower
    | FreeNode
    | Repartition
)


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
