"""The enactor: read, check again, write the intent, write the cluster, read back, write the outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuwise.enact.effects import MARK, Effect, plan_effect
from gpuwise.enact.guard import obstacle
from gpuwise.enact.images import change_text, difference, image_of, operations
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import path_of, read_target
from gpuwise.enact.verify import settled
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, Forbidden, Gone, InputError, Throttled
from gpuwise.model.ports import ClusterWriter, Ledger, Object
from gpuwise.model.recommendation import Reason

_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class _Prepared:
    item: Object
    effect: Effect


class KubernetesEnactor:
    """The only writer to a cluster.

    Args:
        cluster: given to nobody else with the right to write.
        ledger: what is remembered; a failure of it stops everything.
        settings: limits.
    """

    def __init__(self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._settings = settings

    def enact(self, commands: Sequence[Command], now_s: int) -> list[Outcome]:
        """Carry out each command once, or say why not; one target's failure does not keep the next from its turn.

        Args:
            commands: in the order of their turn; one that the ledger knows already is not done again.
            now_s: epoch seconds.

        Raises:
            LedgerError: nothing more is done without a memory.
        """
        return [self._carry_out(command, now_s) for command in commands]

    def undo(self, command_id: str, now_s: int) -> Outcome:
        """Restore exactly what a command changed, or refuse with the difference if a person changed it since.

        Only an undo that took place is written to the ledger: a refused one leaves the command applied.

        Args:
            command_id: which.
            now_s: epoch seconds.

        Raises:
            InputError: the ledger knows no such command.
        """
        intent = self._ledger.intent(command_id)
        if intent is None:
            raise InputError(f"there is no action {command_id}", mend="`gpuwise report` lists those that were taken")
        last = self._outcome_of(command_id)
        if last is not None and last.status is OutcomeStatus.UNDONE:
            return replace(last, detail=f"already undone at {last.at_s}: {last.detail}")
        try:
            return self._restore(intent, last, now_s)
        except ClusterError as error:
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))

    def recover(self, now_s: int) -> list[Outcome]:
        """Find out what became of each intent that has no outcome: a crash came between the two (I8).

        Args:
            now_s: epoch seconds.

        Returns:
            The outcomes found, oldest intent first; an intent whose target cannot be read now stays open.
        """
        known = {outcome.command_id for outcome in self._ledger.outcomes()}
        found = (self._resolve(intent, now_s) for intent in self._ledger.intents() if intent.command.id not in known)
        return [outcome for outcome in found if outcome is not None]

    def _carry_out(self, command: Command, now_s: int) -> Outcome:
        earlier = self._ledger.intent(command.id)
        if earlier is not None:
            done = self._outcome_of(command.id) or self._resolve(earlier, now_s)
            return done or _outcome(command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, "not known yet")
        try:
            prepared = self._prepare(command, now_s)
        except ClusterError as error:
            # What could not be read could not be checked: nothing is done.
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, str(error))
        if isinstance(prepared, Refusal):
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, prepared.reason, prepared.detail)
        if self._settings.dry_run:
            text = change_text(prepared.effect.pre_image, prepared.effect.post_image)
            return _outcome(command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        return self._act(command, prepared, now_s)

    def _prepare(self, command: Command, now_s: int) -> _Prepared | Refusal:
        item = read_target(self._cluster, command.workload)
        if isinstance(item, Refusal):
            return item
        refusal = obstacle(self._cluster, command, item, own_namespace=self._settings.own_namespace)
        effect = refusal or plan_effect(item, command, now_s)
        return effect if isinstance(effect, Refusal) else _Prepared(item, effect)

    def _act(self, command: Command, prepared: _Prepared, now_s: int) -> Outcome:
        effect, version = prepared.effect, prepared.item["metadata"]["resourceVersion"]
        intent = Intent(command, now_s, version, effect.pre_image, effect.post_image)
        limit, per_s = self._settings.budget_limit, self._settings.budget_per_s
        if not self._ledger.record_intent(intent, limit=limit, per_s=per_s):
            detail = f"{limit} actions in {per_s} s are all that is allowed"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        return self._remember(self._write(intent, prepared.item, now_s))

    def _write(self, intent: Intent, item: Object, now_s: int) -> Outcome:
        command = intent.command
        try:
            self._patch(intent, item, intent.pre_image, intent.post_image)
        except Conflict as error:
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.CHANGED_SINCE_PLANNED, str(error))
        except Gone as error:
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.TARGET_GONE, str(error))
        except (Forbidden, Throttled) as error:
            return _outcome(command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))
        except ClusterError as error:
            # The answer may be all that was lost.
            return self._doubtful(intent, error, now_s)
        return self._verified(intent, now_s)

    def _doubtful(self, intent: Intent, error: ClusterError, now_s: int) -> Outcome:
        try:
            found = self._look(intent, now_s)
        except ClusterError:
            found = None
        if found is not None and found.status is OutcomeStatus.APPLIED:
            return found
        return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))

    def _verified(self, intent: Intent, now_s: int) -> Outcome:
        """Read back: a webhook or a controller may have put it back at once (autoscaler#2633)."""
        text = change_text(intent.pre_image, intent.post_image)
        try:
            item = settled(self._cluster, intent.command.workload, timeout_s=self._settings.settle_timeout_s)
        except ClusterError as error:
            detail = f"{text} (written; could not be read back: {error})"
            return _outcome(intent.command, now_s, OutcomeStatus.APPLIED, None, detail)
        if isinstance(item, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, item.detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        if actual != intent.post_image:
            detail = difference(intent.post_image, actual)
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, detail)
        return _outcome(intent.command, now_s, OutcomeStatus.APPLIED, None, text)

    def _resolve(self, intent: Intent, now_s: int) -> Outcome | None:
        try:
            return self._remember(self._look(intent, now_s))
        except ClusterError:  # it stays open: the next start asks again
            return None

    def _look(self, intent: Intent, now_s: int) -> Outcome:
        """Tell from the target alone whether an intent took effect: our mark was written with it, in one patch."""
        item = read_target(self._cluster, intent.command.workload)
        if isinstance(item, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, item.reason, item.detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        if actual == intent.post_image:
            text = change_text(intent.pre_image, intent.post_image)
            return _outcome(intent.command, now_s, OutcomeStatus.APPLIED, None, f"found in place: {text}")
        if actual.get(MARK) == intent.command.id:
            detail = difference(intent.post_image, actual)
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, "it was never written")

    def _restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        item = read_target(self._cluster, intent.command.workload)
        if isinstance(item, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, item.reason, item.detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        if actual == intent.pre_image:
            return self._nothing_to_restore(intent, last, now_s)
        if actual != intent.post_image:
            detail = f"somebody changed it since: {difference(intent.post_image, actual)}"
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        text = change_text(intent.post_image, intent.pre_image)
        if self._settings.dry_run:
            return _outcome(intent.command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        try:
            self._patch(intent, item, intent.post_image, intent.pre_image)
        except Conflict as error:
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, str(error))
        return self._remember(_outcome(intent.command, now_s, OutcomeStatus.UNDONE, None, text))

    def _nothing_to_restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        if last is not None and last.status is OutcomeStatus.APPLIED:
            # An undo that crashed before it could write its outcome, or a person who was exact.
            text = "it was as before already"
            return self._remember(_outcome(intent.command, now_s, OutcomeStatus.UNDONE, None, text))
        detail = "it never took effect, so there is nothing to undo"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _remember(self, outcome: Outcome) -> Outcome:
        if not self._settings.dry_run:
            self._ledger.record_outcome(outcome)
        return outcome

    def _patch(self, intent: Intent, item: Object, old: dict[str, object], new: dict[str, object]) -> None:
        path = path_of(intent.command.workload)
        assert path is not None
        self._cluster.patch(path, operations(item, old, new), content_type=_JSON_PATCH)

    def _outcome_of(self, command_id: str) -> Outcome | None:
        """The last word on a command."""
        said = [outcome for outcome in self._ledger.outcomes() if outcome.command_id == command_id]
        return said[-1] if said else None


def _outcome(command: Command, at_s: int, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
    return Outcome(command.id, at_s, status, reason, detail)
