"""The enactor: read, check again, write the intent, write the cluster, read back, write the outcome."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.enact.effects import MARK
from gpuwise.enact.examine import Examiner, Prepared
from gpuwise.enact.images import Image, change_text, difference, image_of, operations
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import path_of, read_target
from gpuwise.enact.verify import settled
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, Gone, InputError, NoAnswer, Throttled
from gpuwise.model.ports import ClusterWriter, Ledger, Object
from gpuwise.model.reasons import Reason

_JSON_PATCH = "application/json-patch+json"


# How long an API server goes on with a request whose client went away: kube-apiserver's --request-timeout, 1 min.
_IN_FLIGHT_S = 60


class KubernetesEnactor:
    """The only writer to workloads; the ledger's anchor writes its own ConfigMap.

    Args:
        cluster: given to nobody else with the right to write.
        ledger: what is remembered; a failure of it stops everything.
        settings: limits.
        clock: epoch seconds, read again for each effect.
    """

    def __init__(
        self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings, clock: Callable[[], int]
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._examiner = Examiner(cluster, settings, clock)

    def enact(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out each command once, or say why not; one target's failure does not keep the next from its turn.

        Args:
            commands: in the order of their turn; one that the ledger knows already is not done again.

        Raises:
            LedgerError: nothing more is done without a memory.
        """
        return [self._carry_out(command) for command in commands]

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly what a command changed, or refuse with the difference if a person changed it since.

        Only an undo that took place is written to the ledger: a refused one leaves the command applied.

        Args:
            command_id: which.

        Raises:
            InputError: the ledger knows no such command.
        """
        now_s = self._clock()
        intent = self._ledger.intent(command_id)
        if intent is None:
            raise InputError(f"there is no action {command_id}", hint="`gpuwise report` lists those that were taken")
        last = self._outcome_of(command_id)
        if last is not None and last.status is OutcomeStatus.UNDONE:
            when = datetime.fromtimestamp(last.at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return replace(last, detail=f"already undone on {when}: {last.detail}")
        try:
            return self._restore(intent, last, now_s)
        except NoAnswer as error:
            detail = f"{error}; ask for the undo again once the API server answers"
            return _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)
        except ClusterError as error:
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))

    def recover(self) -> list[Outcome]:
        """Find out what became of each intent whose outcome is not known: a crash or a lost answer (I8, I31).

        Returns:
            The outcomes found, oldest intent first; an intent whose target cannot be read now stays open.
        """
        last = {outcome.command_id: outcome.status for outcome in self._ledger.outcomes()}
        still_open = [
            intent
            for intent in self._ledger.intents()
            if last.get(intent.command.id, OutcomeStatus.UNKNOWN) is OutcomeStatus.UNKNOWN
        ]
        now_s = self._clock()
        found = (self._resolve(intent, now_s) for intent in still_open)
        return [outcome for outcome in found if outcome is not None]

    def _carry_out(self, command: Command) -> Outcome:
        earlier = self._ledger.intent(command.id)
        if earlier is not None:
            return self._known(earlier)
        prepared = self._examiner.prepare(command)
        now_s = self._clock()
        if isinstance(prepared, Refusal):
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, prepared.reason, prepared.detail)
        if self._settings.dry_run:
            text = change_text(prepared.effect.pre_image, prepared.effect.post_image)
            return _outcome(command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        return self._act(command, prepared, now_s)

    def _known(self, intent: Intent) -> Outcome:
        """What came of a command that was begun before."""
        last, now_s = self._outcome_of(intent.command.id), self._clock()
        if last is not None and last.status is not OutcomeStatus.UNKNOWN:
            return last
        found = self._resolve(intent, now_s)
        detail = "it was begun before, and its target cannot be read now"
        return found or _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

    def _act(self, command: Command, prepared: Prepared, now_s: int) -> Outcome:
        effect, version = prepared.effect, prepared.item["metadata"]["resourceVersion"]
        intent = Intent(command, now_s, version, effect.pre_image, effect.post_image)
        limit, per_s = self._settings.budget_limit, self._settings.budget_per_s
        try:
            granted = self._ledger.record_intent(intent, limit=limit, per_s=per_s)
        except ClusterError as error:
            detail = f"the head of the ledger could not be anchored, so nothing was sent: {error}"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, detail)
        if not granted:
            detail = f"{limit} actions in {per_s} s are all that is allowed"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        return self._remember(self._write(intent, prepared.item))

    def _write(self, intent: Intent, item: Object, *, again: bool = True) -> Outcome:
        refusals: tuple[tuple[type[ClusterError], Reason], ...] = (
            (Conflict, Reason.CHANGED_SINCE_PLANNED),
            (Gone, Reason.TARGET_GONE),
            (Denied, Reason.DENIED_BY_ADMISSION),
            (Forbidden, Reason.NO_RIGHT),
            (Throttled, Reason.REFUSED_BY_CLUSTER),
        )
        try:
            self._patch(intent, item, intent.pre_image, intent.post_image)
        except ClusterError as error:
            fresh = self._still_as_planned(intent) if again and isinstance(error, Conflict) else None
            if fresh is not None:
                return self._write(intent, fresh, again=False)
            for kind, reason in refusals:
                if isinstance(error, kind):
                    return _outcome(intent.command, self._clock(), OutcomeStatus.NOT_APPLIED, reason, str(error))
            return self._doubtful(intent, error)
        return self._verified(intent, self._clock())

    def _still_as_planned(self, intent: Intent) -> Object | None:
        """The target if only others' fields moved its version, and every check still holds; else None.

        A controller writes the status of a busy object between our read and our write, which is no change of plan.
        """
        found = self._examiner.prepare(intent.command)
        if isinstance(found, Refusal) or found.effect.pre_image != intent.pre_image:
            return None
        return found.item

    def _doubtful(self, intent: Intent, error: ClusterError) -> Outcome:
        """The answer may be all that was lost; "nothing was changed" is said only when that was seen (I31)."""
        now_s = self._clock()
        try:
            found = self._look(intent, now_s)
        except ClusterError:
            found = None
        if found is not None and found.status is not OutcomeStatus.NOT_APPLIED:
            return found
        if found is not None and not isinstance(error, NoAnswer):
            return replace(found, reason=Reason.REFUSED_BY_CLUSTER, detail=f"{error}; {found.detail}")
        detail = f"{error}; whether it was written is not known, and is looked up at the next run"
        return _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

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
            return self._reverted(intent, item, actual, now_s)
        return _outcome(intent.command, now_s, OutcomeStatus.APPLIED, None, text)

    def _reverted(self, intent: Intent, item: Object, actual: Image, now_s: int) -> Outcome:
        detail = difference(intent.post_image, actual)
        if self._unmark(intent, item, actual):
            detail += "; the annotation that gpuwise left was taken away again"
        return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, detail)

    def _unmark(self, intent: Intent, item: Object, actual: Image) -> bool:
        """Take our annotation back from an object that is otherwise as before: nothing of us is left in it."""
        ours = actual.get(MARK) == intent.command.id
        if self._settings.dry_run or not ours or _unmarked(actual) != _unmarked(intent.pre_image):
            return False
        before = {MARK: intent.pre_image[MARK]} if MARK in intent.pre_image else {}
        try:
            self._patch(intent, item, {MARK: intent.command.id}, before)
        except ClusterError:  # it stays: a later undo tries again
            return False
        return True

    def _resolve(self, intent: Intent, now_s: int) -> Outcome | None:
        try:
            found = self._look(intent, now_s)
        except ClusterError:  # it stays open: the next start asks again
            return None
        # An intent without an outcome may be another process's, whose write is still to come.
        waits = now_s - intent.at_s < _IN_FLIGHT_S
        if waits and found.status is OutcomeStatus.NOT_APPLIED:
            return None
        return self._remember(found)

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
            if _unmarked(actual) == _unmarked(intent.pre_image):
                return self._reverted(intent, item, actual, now_s)
            detail = difference(intent.post_image, actual)
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        detail = "the object was read, and carries nothing of this action: it was never written"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        item = read_target(self._cluster, intent.command.workload)
        if isinstance(item, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, item.reason, item.detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        if actual == intent.pre_image or self._unmark(intent, item, actual):
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
        detail = "the object is as it was before this action: there is nothing to undo"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _remember(self, outcome: Outcome) -> Outcome:
        if not self._settings.dry_run:
            self._ledger.record_outcome(outcome)
        return outcome

    def _patch(self, intent: Intent, item: Object, old: Image, new: Image) -> None:
        path = path_of(intent.command.workload)
        assert path is not None
        self._cluster.patch(path, operations(item, old, new), content_type=_JSON_PATCH)

    def _outcome_of(self, command_id: str) -> Outcome | None:
        """The last word on a command."""
        said = [outcome for outcome in self._ledger.outcomes() if outcome.command_id == command_id]
        return said[-1] if said else None


def _outcome(command: Command, at_s: int, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
    return Outcome(command.id, at_s, status, reason, detail)


def _unmarked(image: Image) -> Image:
    """The fields that a change is about, without our annotation."""
    return {at: value for at, value in image.items() if at != MARK}
