"""Earlier commands, outcomes and directives, as decisions need them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gpuwise.model.command import POLICY, Directive, Intent, Limit, Outcome, OutcomeStatus, pause_in_force

_FAILED = (OutcomeStatus.FAILED, OutcomeStatus.NOT_APPLIED, OutcomeStatus.REVERTED)


class State(StrEnum):
    """The state of a recommendation, with the names of Google Cloud's Recommender."""

    ACTIVE = "active"
    """Nobody has carried it out, or it was undone."""

    CLAIMED = "claimed"
    """A person or the policy is carrying it out."""

    SUCCEEDED = "succeeded"
    """It was carried out."""

    FAILED = "failed"
    """The last attempt failed."""

    DISMISSED = "dismissed"
    """A person dismissed it."""


_STATES = {
    OutcomeStatus.APPLIED: State.SUCCEEDED,
    OutcomeStatus.FAILED: State.FAILED,
    OutcomeStatus.NOT_APPLIED: State.FAILED,
    OutcomeStatus.REVERTED: State.FAILED,
    OutcomeStatus.UNKNOWN: State.CLAIMED,
    OutcomeStatus.WATCHING: State.CLAIMED,
    OutcomeStatus.UNDONE: State.ACTIVE,
    OutcomeStatus.WOULD_APPLY: State.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class Failures:
    """The latest consecutive failed attempts on one object.

    Attributes:
        count: number of failed attempts.
        last_s: time of the last one, epoch seconds.
    """

    count: int
    last_s: int


@dataclass(frozen=True)
class History:
    """Records from the ledger, oldest first.

    Attributes:
        intents: those within the window of the budget, and all those on the targets that are decided on.
        outcomes: of these intents.
        directives: orders from people.
    """

    intents: Sequence[Intent] = ()
    outcomes: Sequence[Outcome] = ()
    directives: Sequence[Directive] = ()

    @property
    def paused(self) -> Directive | None:
        """The pause in force, if any."""
        return pause_in_force(self.directives)

    def dismissed(self, recommendation_id: str) -> Directive | None:
        """The order that dismissed a recommendation, if any."""
        orders = (d for d in reversed(self.directives) if d.kind == "dismiss" and d.subject == recommendation_id)
        return next(orders, None)

    def state(self, recommendation_id: str) -> State:
        """The state of a recommendation."""
        if self.dismissed(recommendation_id):
            return State.DISMISSED
        ours = [one.command.id for one in self._actions if one.command.recommendation_id == recommendation_id]
        if not ours:
            return State.ACTIVE
        last = self._last.get(ours[-1])
        return State.CLAIMED if last is None else _STATES[last.status]

    def last_effect(self, uid: str) -> Intent | None:
        """The latest intent that changed, or may have changed, that object."""
        effects = (one for one in reversed(self._effects) if not one.step_of)
        return next((intent for intent in effects if intent.command.workload.uid == uid), None)

    def outcome(self, command_id: str) -> Outcome | None:
        """The latest outcome of a command, None if it has none."""
        return self._last.get(command_id)

    def status(self, command_id: str) -> OutcomeStatus | None:
        """The status of a command, None if it has no outcome."""
        last = self._last.get(command_id)
        return None if last is None else last.status

    def approvals(self, recommendation_id: str) -> Sequence[Directive]:
        """The approvals of a recommendation, oldest first, also those that are no longer valid."""
        return [d for d in self.directives if d.kind == "approve" and d.subject == recommendation_id]

    def approvers(self, recommendation_id: str, *, since_s: int, authenticated: bool = False) -> frozenset[str]:
        """The people who approved a recommendation.

        Args:
            recommendation_id: its id.
            since_s: epoch seconds; earlier approvals do not count.
            authenticated: whether only people count whom the cluster authenticated.
        """
        orders = self.approvals(recommendation_id)
        return frozenset(d.actor for d in orders if d.at_s > since_s and (d.authenticated or not authenticated))

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

    def spent(self, limit: Limit, *, now_s: int) -> int:
        """Disruptions of a budget's scope in its window: effects count, attempts that wrote nothing do not."""
        since_s = now_s - limit.per_s
        return sum(
            1
            for intent in self._effects
            if intent.at_s > since_s and (intent.scopes is None or limit.scope in intent.scopes)
        )

    @cached_property
    def _last(self) -> Mapping[str, Outcome]:
        """The latest outcome of each command."""
        return {outcome.command_id: outcome for outcome in self.outcomes}

    @cached_property
    def _actions(self) -> Sequence[Intent]:
        """The intents that are no step of another one: an eviction that waits for a budget is no failed attempt."""
        return [intent for intent in self.intents if not intent.step_of]

    @cached_property
    def _effects(self) -> Sequence[Intent]:
        """Intents that changed, or may have changed, their target: all except those known to have written nothing."""
        return [
            intent
            for intent in self.intents
            if (last := self._last.get(intent.command.id)) is None or last.status is not OutcomeStatus.NOT_APPLIED
        ]

    @cached_property
    def _by_uid(self) -> Mapping[str, Sequence[Intent]]:
        intents: dict[str, list[Intent]] = {}
        for intent in self._actions:
            intents.setdefault(intent.command.workload.uid, []).append(intent)
        return intents
