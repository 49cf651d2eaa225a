"""What was done and said before, as decisions need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gpuwise.model.command import POLICY, Directive, Intent, Outcome, OutcomeStatus

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
    OutcomeStatus.UNKNOWN: State.CLAIMED,
    OutcomeStatus.UNDONE: State.ACTIVE,
    OutcomeStatus.WOULD_APPLY: State.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class Failures:
    """Attempts on one object that came to nothing, one after the other up to now.

    Attributes:
        count: how many.
        last_s: when the last one was, epoch seconds.
    """

    count: int
    last_s: int


@dataclass(frozen=True)
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
        last = self._last.get(ours[-1])
        return State.CLAIMED if last is None else _STATES[last.status]

    def last_effect(self, uid: str) -> Intent | None:
        """The latest intent on that object that changed it, or may have."""
        return next((intent for intent in reversed(self._effects) if intent.command.workload.uid == uid), None)

    def settled(self, command_id: str) -> bool:
        """Whether it is known what came of a command."""
        last = self._last.get(command_id)
        return last is not None and last.status is not OutcomeStatus.UNKNOWN

    def failures(self, uid: str) -> Failures | None:
        """The latest attempts of automation on that object, if they failed; a person's attempt resets the count."""
        count, last_s = 0, 0
        for intent in reversed(self._by_uid.get(uid, ())):
            outcome = self._last.get(intent.command.id)
            if outcome is not None and outcome.status not in _FAILED:
                break
            if intent.command.actor != POLICY:
                break
            if outcome is not None:
                count, last_s = count + 1, max(last_s, outcome.at_s)
        return Failures(count, last_s) if count else None

    def spent(self, *, now_s: int, per_s: int) -> int:
        """How many disruptions of the sliding window are spent: effects, not attempts that wrote nothing."""
        return sum(1 for intent in self._effects if intent.at_s > now_s - per_s)

    @cached_property
    def _last(self) -> Mapping[str, Outcome]:
        """The last word on each command."""
        return {outcome.command_id: outcome for outcome in self.outcomes}

    @cached_property
    def _effects(self) -> Sequence[Intent]:
        """Intents that changed their target, or may have: all but those that are known to have written nothing."""
        return [
            intent
            for intent in self.intents
            if (last := self._last.get(intent.command.id)) is None or last.status is not OutcomeStatus.NOT_APPLIED
        ]

    @cached_property
    def _by_uid(self) -> Mapping[str, Sequence[Intent]]:
        found: dict[str, list[Intent]] = {}
        for intent in self.intents:
            found.setdefault(intent.command.workload.uid, []).append(intent)
        return found
