"""What was done and said before, as decisions need it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.command import Directive, Intent, Outcome, OutcomeStatus

_FAILED = (OutcomeStatus.FAILED, OutcomeStatus.NOT_APPLIED)


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
