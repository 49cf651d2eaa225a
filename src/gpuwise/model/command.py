"""What is done to a cluster, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from gpuwise.model.changes import Change
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation


class Mode(StrEnum):
    """How far gpuwise may go; the workload's word beats the namespace's, which beats the global one."""

    OFF = "off"
    RECOMMEND = "recommend"
    APPROVE = "approve"
    ENFORCE = "enforce"


POLICY = "policy"
"""The actor of a command that no person ordered."""

STOPPABLE = frozenset({"Deployment", "StatefulSet", "Job", "Notebook"})
"""Kinds that can be stopped and started again with nothing lost that the kind itself keeps."""

ENACTABLE: dict[str, frozenset[str]] = {
    "ScaleTo": STOPPABLE,
    "Resize": frozenset({"Deployment", "StatefulSet"}),
    "MoveToSpot": frozenset({"Deployment", "StatefulSet"}),
}
"""Kinds that each change can be written to; a running Job's template is immutable. Other changes are advice."""


def enactable(change: Change, workload: WorkloadRef) -> bool:
    """Whether gpuwise can write this change to this kind of object, and so take it back again."""
    return workload.kind in ENACTABLE.get(change.kind, frozenset())


@dataclass(frozen=True, slots=True)
class Budget:
    """How many disruptions gpuwise may cause in any window of time; unspecified is never unlimited."""

    disruptions: int = 10
    """Intents allowed."""

    per_s: int = 3_600
    """In any span of so many seconds."""


@dataclass(frozen=True, slots=True)
class Directive:
    """A person's word that decisions respect.

    Attributes:
        kind: "dismiss" a recommendation, "pause" everything, "resume".
        subject: recommendation id for dismiss, else "*".
        actor: who.
        at_s: when.
        detail: why, in their words.
    """

    kind: Literal["dismiss", "pause", "resume"]
    subject: str
    actor: str
    at_s: int
    detail: str


@dataclass(frozen=True, slots=True)
class Command:
    """An order to the enactor.

    Attributes:
        id: "a-" and 10 hex digits; what `gpuwise undo` takes.
        recommendation_id: what it carries out.
        workload: the target; an object of the same name with another uid is not it.
        change: what to do.
        actor: who ordered it: "policy" or a person's name.
        because: the recommendation as it was then, the evidence of the effect; later runs no longer make it.
    """

    id: str
    recommendation_id: str
    workload: WorkloadRef
    change: Change
    actor: str
    because: Recommendation | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Written to the ledger before the effect: enough to finish, undo or explain it after a crash.

    Attributes:
        command: the order.
        at_s: when.
        resource_version: what the target was when it was read; the write carries it as a precondition.
        pre_image: the fields that the change touches, as they were; written once.
        post_image: the same fields as they will be.
    """

    command: Command
    at_s: int
    resource_version: str
    pre_image: dict[str, Any]
    post_image: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest row of a ledger: whoever remembers it elsewhere sees that rows were deleted or an old copy put back.

    Attributes:
        ledger: the identity of the ledger, made when it was.
        seq: number of the row, 0 while there is none.
        digest: hash of the row, which all earlier rows go into.
    """

    ledger: str
    seq: int
    digest: str

    def __str__(self) -> str:
        """As reports print it and `gpuwise doctor --ledger-head` takes it."""
        return f"{self.ledger}:{self.seq}:{self.digest[:16]}"


class OutcomeStatus(StrEnum):
    """What came of a command; a later outcome of the same command replaces an earlier one."""

    APPLIED = "applied"
    """It was written, and seen in place."""
    NOT_APPLIED = "not-applied"
    """Nothing was written: the server said so, or the object was seen without it. No disruption, so no budget."""
    FAILED = "failed"
    """It was written and did not last, or is not as asked for."""
    UNKNOWN = "unknown"
    """The server did not answer the write. It counts as an effect until the object has been seen."""
    UNDONE = "undone"
    """It was applied, and a person took it back."""
    WOULD_APPLY = "would-apply"
    """A dry run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    Attributes:
        command_id: which.
        at_s: when.
        status: what.
        reason: code when it did not apply, else None.
        detail: for a person.
    """

    command_id: str
    at_s: int
    status: OutcomeStatus
    reason: Reason | None
    detail: str
