"""What was done and said before, as decisions need it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.model.command import Directive, Intent, Outcome, OutcomeStatus

_FAILED = (OutcomeStatus.FAILED, OutcomeStatus.NOT_APPLIED)


class State(StrEnum):
    """Where a recommendation is in its life, by the names of Google Cloud's Recommender."""

    ACTIVE = "active"
    """Nobody has done anything about it, or it was undone."""

    CLAIMED = "claimed"
    """Somebody, or the policy, is at it."""

    SUCCEEDED = "succeeded"
    """It was carried out."""

    FAILED = "failed"
    """The last attempt came to nothing."""

    DISMISSED = "dismissed"
    """A person does not want it."""


_STATES = {
    OutcomeStatus.APPLIED: State.SUCCEEDED,
    OutcomeStatus.FAILED: State.FAILED,
    OutcomeStatus.NOT_APPLIED: State.FAILED,
    OutcomeStatus.UNDONE: State.ACTIVE,
    OutcomeStatus.WOULD_APPLY: State.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class History:
    """The ledger's past, oldest first.

    Attributes:
        intents: within the longest of budget window and cool-down.
        outcomes: of these and earlier ones.
        directives: people's words.
    """

    intents: Sequence[Intent] = ()
    outcomes: Sequence[Outcome] = ()
    directives: Sequence[Directive] = ()

    @property
    def paused(self) -> Directive | None:
        """The pause in force, if any."""
        words = [d for d in self.directives if d.kind in ("pause", "resume")]
        return words[-1] if words and words[-1].kind == "pause" else None

    def dismissed(self, recommendation_id: str) -> Directive | None:
        """Who dismissed it, if anybody did."""
        found = (d for d in reversed(self.directives) if d.kind == "dismiss" and d.subject == recommendation_id)
        return next(found, None)

    def state(self, recommendation_id: str) -> State:
        """Where a recommendation is in its life."""
        if self.dismissed(recommendation_id):
            return State.DISMISSED
        ours = [intent.command.id for intent in self.intents if intent.command.recommendation_id == recommendation_id]
        if not ours:
            return State.ACTIVE
        last = next((outcome for outcome in reversed(self.outcomes) if outcome.command_id == ours[-1]), None)
        return State.CLAIMED if last is None else _STATES[last.status]

    def last_intent(self, uid: str) -> Intent | None:
        """The latest intent on that object."""
        return next((intent for intent in reversed(self.intents) if intent.command.workload.uid == uid), None)

    def failures(self, uid: str) -> int:
        """How many of the latest attempts on that object failed in a row."""
        ours = {intent.command.id for intent in self.intents if intent.command.workload.uid == uid}
        count = 0
        for outcome in reversed([o for o in self.outcomes if o.command_id in ours]):
            if outcome.status not in _FAILED:
                break
            count += 1
        return count

    def spent(self, *, now_s: int, per_s: int) -> int:
        """How many disruptions of the sliding window are spent."""
        return sum(1 for intent in self.intents if intent.at_s > now_s - per_s)
