"""Commands, intents and outcomes: what gpuwise does to a cluster, and the result."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from gpuwise.model.changes import Change, MoveToSpot
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.kinds import STOPPABLE, TEMPLATED
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation


class Mode(StrEnum):
    """How far gpuwise may go. A mode on the workload overrides one on its namespace, which overrides the global one."""

    OFF = "off"
    RECOMMEND = "recommend"
    APPROVE = "approve"
    ENFORCE = "enforce"


POLICY = "policy"
"""The actor of a command that no person ordered."""

ENACTABLE: dict[str, frozenset[str]] = {
    "ScaleTo": STOPPABLE,
    "Resize": TEMPLATED,
    "MoveToSpot": TEMPLATED,
    "MoveToOnDemand": TEMPLATED,
}
"""The kinds to which gpuwise can write each change, from the table in `model.kinds`. Other changes are advice."""


ON_NODES = frozenset({"FreeNode", "Repartition"})
"""Changes of nodes that gpuwise makes if `enact.nodes` is set; otherwise they are advice."""


def enactable(change: Change, workload: WorkloadRef, *, nodes: bool = False) -> bool:
    """Whether gpuwise can write this change to this kind of object, and so undo it.

    It never writes spot without on-demand as the fallback (I22): if gpuwise stopped, nothing would move the work back.

    Args:
        change: the change.
        workload: the object.
        nodes: whether gpuwise may change nodes.
    """
    if isinstance(change, MoveToSpot) and change.only:
        return False
    if workload.kind == "Node" and nodes:
        return change.kind in ON_NODES
    return workload.kind in ENACTABLE.get(change.kind, frozenset())


@dataclass(frozen=True, slots=True)
class Budget:
    """How many disruptions gpuwise may cause in any span of time; a budget that is not set is never unlimited."""

    disruptions: Annotated[int, Field(ge=0)] = 10
    """Number of disruptions allowed in any `per_s` seconds."""

    per_s: Annotated[int, Field(ge=1)] = 3_600
    """Length of the sliding window, in seconds."""


FLEET = "fleet"
"""The scope of a budget for the whole fleet; others are "namespace/NAME", "owner/NAME" and "pool/NAME"."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget of disruptions within one scope.

    Attributes:
        scope: what shares the budget.
        disruptions: number of disruptions allowed in any `per_s` seconds; 0 allows none.
        per_s: length of the sliding window, seconds.
    """

    scope: str
    disruptions: int
    per_s: int

    def __str__(self) -> str:
        """Format it for a message."""
        return f"{self.disruptions} disruptions of {self.scope} in {self.per_s} s"


@dataclass(frozen=True, slots=True)
class Term:
    """The time in which one process is the leader: the only one that may write.

    Attributes:
        epoch: number of the term; each takeover adds 1.
        holder: identity of the process.
        at_s: when it began, epoch seconds.
        cluster: uid of the cluster; "" if not known.
    """

    epoch: int
    holder: str
    at_s: int
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A number that must stay within bounds while an effect is watched.

    Attributes:
        name: what it measures, for messages.
        query: PromQL that yields one number.
        at_most: upper bound, None for no bound.
        at_least: lower bound, None for no bound.
    """

    name: str
    query: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """The part of an effect's watch in which only some of its pods have the change.

    Attributes:
        until_s: when the others follow, epoch seconds.
        pods: how many pods have the change until then.
    """

    until_s: int
    pods: int


@dataclass(frozen=True, slots=True)
class Watch:
    """How an effect is checked after it was written; what fails or cannot be read until the end is taken back.

    Attributes:
        until_s: when the check ends, epoch seconds.
        levels: the service levels that must hold.
        canary: the share of the pods that is changed first; None if all are changed at once.
    """

    until_s: int
    levels: tuple[ServiceLevel, ...] = ()
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class Directive:
    """An order from a person that decisions respect.

    Attributes:
        kind: "dismiss" or "approve" for one recommendation, "pause" or "resume" for everything.
        subject: recommendation id for "dismiss" and "approve", else "*".
        actor: the person.
        at_s: when, epoch seconds.
        detail: the person's reason.
        cluster: uid of the cluster that it is about; "" for every cluster, as where no cluster was connected.
        authenticated: whether the cluster authenticated the person; else the name is an operating system's.
    """

    kind: Literal["dismiss", "approve", "pause", "resume"]
    subject: str
    actor: str
    at_s: int
    detail: str
    cluster: str = ""
    authenticated: bool = False


def pause_in_force(directives: Iterable[Directive]) -> Directive | None:
    """Return the pause that no later order has ended, None if there is none.

    Args:
        directives: oldest first.
    """
    orders = [one for one in directives if one.kind in ("pause", "resume")]
    return orders[-1] if orders and orders[-1].kind == "pause" else None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that asked for a pass of the loop; it names no change.

    Attributes:
        name: its label `alertname`, "" if it has none.
        fingerprint: what Alertmanager identifies it by: a hash of its labels.
        labels: its labels.
        starts_at: since when it fires, RFC 3339, as given.
    """

    name: str
    fingerprint: str
    labels: dict[str, str]
    starts_at: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """The alerts that asked for a pass before its time.

    Attributes:
        at_s: when the pass began, epoch seconds.
        alerts: the alerts, each one once.
        unlisted: how many further alerts were received and are not listed.
        cluster: uid of the cluster; "" if it was not known yet.
    """

    at_s: int
    alerts: tuple[Alert, ...]
    unlisted: int = 0
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """An order to the enactor.

    Attributes:
        id: "a-" and 10 hex digits; what `gpuwise undo` takes.
        recommendation_id: the recommendation that it carries out.
        workload: the target, identified by its uid: an object of the same name with another uid is a different object.
        change: what to do.
        actor: who ordered it: "policy" or a person's name.
        because: a copy of the recommendation with its evidence, because later runs no longer make it.
        limits: the budgets that it uses; empty in ledgers of earlier versions.
        approved_by: the people who approved it.
    """

    id: str
    recommendation_id: str
    workload: WorkloadRef
    change: Change
    actor: str
    because: Recommendation | None = None
    limits: tuple[Limit, ...] = ()
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """Written to the ledger before the effect, with enough data to finish, undo or explain the effect after a crash.

    Attributes:
        command: the order.
        at_s: when, epoch seconds.
        resource_version: the target's resourceVersion when it was read; the write carries it as a precondition.
        pre_image: the fields that the change touches, before it; written once.
        post_image: the same fields after it.
        cluster: uid of the cluster; "" if not known, as in ledgers of earlier versions.
        scopes: the scopes whose budgets it uses; None in ledgers of earlier versions: it then counts in every scope.
        epoch: term of the leader that wrote it, 0 if there was no election.
        watch: how it is checked afterwards; None if it is not.
        step_of: id of the action of which it is one step, such as one eviction of a drain; "" if it stands alone.
    """

    command: Command
    at_s: int
    resource_version: str
    pre_image: dict[str, Any]
    post_image: dict[str, Any]
    cluster: str = ""
    scopes: tuple[str, ...] | None = None
    epoch: int = 0
    watch: Watch | None = None
    step_of: str = ""


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest row of a ledger. A copy kept elsewhere shows if rows were deleted or an old copy was restored.

    Attributes:
        ledger: identity of the ledger, created together with it.
        seq: number of the row, 0 while there is none.
        digest: hash of the row, computed over all earlier rows as well.
    """

    ledger: str
    seq: int
    digest: str

    def __str__(self) -> str:
        """Format it as reports print it and as `gpuwise doctor --ledger-head` accepts it."""
        return f"{self.ledger}:{self.seq}:{self.digest[:16]}"


class OutcomeStatus(StrEnum):
    """The result of a command; a later outcome of the same command replaces an earlier one."""

    APPLIED = "applied"
    """The change was written and verified."""
    WATCHING = "watching"
    """The change was written; its pods and service levels are being watched."""
    NOT_APPLIED = "not-applied"
    """Nothing was written: the server reported so, or the object does not have the change. No budget is spent."""
    FAILED = "failed"
    """The change was written and did not persist, or the object differs from what was requested."""
    UNKNOWN = "unknown"
    """The server did not answer the write. It counts as an effect until the object has been read."""
    REVERTED = "reverted"
    """The change was written, its check failed or could not be made, and gpuwise restored what was before."""
    UNDONE = "undone"
    """The change was applied, and a person undid it."""
    WOULD_APPLY = "would-apply"
    """A dry run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command.

    Attributes:
        command_id: id of the command.
        at_s: when, epoch seconds.
        status: the result.
        reason: reason code if the change was not applied, else None.
        detail: explanation for a person.
    """

    command_id: str
    at_s: int
    status: OutcomeStatus
    reason: Reason | None
    detail: str
