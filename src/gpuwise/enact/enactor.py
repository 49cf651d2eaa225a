"""The enactor: read, check again, record the intent, write to the cluster, read back, record the outcome."""

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


# How long an API server may still process a request whose client has gone: kube-apiserver's --request-timeout, 1 min.
_IN_FLIGHT_S = 60
# Later than any intent.
_NEVER_S = 2**62


class KubernetesEnactor:
    """The only writer to workloads; the ledger's anchor writes only its own ConfigMap.

    Args:
        cluster: client with the right to write; no other component has one.
        ledger: where intents and outcomes are recorded; an error of the ledger stops all effects.
        settings: limits.
        clock: returns epoch seconds; it is read again for each effect.
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
        """Carry out each command once, or return why not. A failure for one target does not affect the next.

        Args:
            commands: commands in the order to carry out; one that is already in the ledger is not carried out again.

        Raises:
            LedgerError: the ledger failed; nothing more is carried out.
        """
        return [self._carry_out(command) for command in commands]

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly what a command changed, or refuse and show the difference if somebody changed it since.

        Its outcome is open in the ledger from before its write: after a crash, `recover` reads whether it took place.
        After a refused undo the command still counts as applied.

        Args:
            command_id: id of the command, `a-...`.

        Raises:
            InputError: the ledger has no such command.
        """
        now_s = self._clock()
        intent = self._ledger.intent(command_id)
        if intent is None:
            raise InputError(
                f"there is no action {command_id}", hint="`gpuwise report` lists the actions that were taken"
            )
        last = self._ledger.outcome(command_id)
        if last is not None and last.status is OutcomeStatus.UNDONE:
            when = datetime.fromtimestamp(last.at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return replace(last, detail=f"already undone on {when}: {last.detail}")
        try:
            return self._restore(intent, last, now_s)
        except NoAnswer as error:
            detail = f"{error}; repeat the undo when the API server responds"
            return _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)
        except ClusterError as error:
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))

    def recover(self) -> list[Outcome]:
        """Resolve each intent whose outcome is unknown, after a crash or a lost response (I8, I31).

        Returns:
            The outcomes, oldest intent first. An intent whose target cannot be read now stays open.
        """
        now_s = self._clock()
        found = (self._resolve(intent, now_s) for intent in self._ledger.unsettled())
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
        return self._record_and_write(command, prepared, now_s)

    def _known(self, intent: Intent) -> Outcome:
        """Return the outcome of a command that was started before."""
        last, now_s = self._ledger.outcome(intent.command.id), self._clock()
        if last is not None and last.status is not OutcomeStatus.UNKNOWN:
            return last
        found = self._resolve(intent, now_s)
        detail = "the command was started before, and its target cannot be read now"
        return found or _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

    def _record_and_write(self, command: Command, prepared: Prepared, now_s: int) -> Outcome:
        effect, version = prepared.effect, prepared.item["metadata"]["resourceVersion"]
        limits = command.limits or self._settings.limits
        scopes = tuple(limit.scope for limit in limits)
        intent = Intent(command, now_s, version, effect.pre_image, effect.post_image, scopes=scopes)
        try:
            used_up = self._ledger.record_intent(intent, limits=limits)
        except ClusterError as error:
            detail = f"the ledger head could not be stored in the cluster, so nothing was written: {error}"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, detail)
        if used_up is not None:
            detail = f"the budget of {used_up} is used up"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        return self._recorded(self._write(intent, prepared.item))

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
            return self._after_error(intent, error)
        return self._verified(intent, self._clock())

    def _still_as_planned(self, intent: Intent) -> Object | None:
        """Read the target again: return it if only other fields changed and all checks still pass, else None.

        Controllers write the status of a busy object between this read and write; that does not affect the plan.
        """
        found = self._examiner.prepare(intent.command)
        if isinstance(found, Refusal) or found.effect.pre_image != intent.pre_image:
            return None
        return found.item

    def _after_error(self, intent: Intent, error: ClusterError) -> Outcome:
        """Read the target after an error, because only the response may be lost.

        The outcome is "not applied" only if the object was read and does not contain the change (I31).
        """
        now_s = self._clock()
        try:
            found = self._observed(intent, now_s)
        except ClusterError:
            found = None
        if found is not None and found.status is not OutcomeStatus.NOT_APPLIED:
            return found
        if found is not None and not isinstance(error, NoAnswer):
            return replace(found, reason=Reason.REFUSED_BY_CLUSTER, detail=f"{error}; {found.detail}")
        detail = f"{error}; it is unknown whether the change was written: the next run checks it"
        return _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

    def _verified(self, intent: Intent, now_s: int) -> Outcome:
        """Read the target back: a webhook or a controller may have reverted the change at once (autoscaler#2633)."""
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
        failed = _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, detail)
        if not self._is_reverted(intent, actual):
            return failed
        # Without the annotation the object no longer shows that it was written: the ledger has to, first.
        self._recorded(failed)
        if self._unmark(intent, item, actual):
            return replace(failed, detail=f"{detail}; gpuwise removed its annotation again")
        return failed

    def _is_reverted(self, intent: Intent, actual: Image) -> bool:
        """Whether only gpuwise's annotation is left of an effect."""
        return actual.get(MARK) == intent.command.id and _unmarked(actual) == _unmarked(intent.pre_image)

    def _unmark(self, intent: Intent, item: Object, actual: Image) -> bool:
        """Remove gpuwise's annotation from an object whose other fields are as before, so that nothing is left."""
        if self._settings.dry_run or not self._is_reverted(intent, actual):
            return False
        before = {MARK: intent.pre_image[MARK]} if MARK in intent.pre_image else {}
        try:
            self._patch(intent, item, {MARK: intent.command.id}, before)
        except ClusterError:  # the annotation stays: a later undo tries again
            return False
        return True

    def _resolve(self, intent: Intent, now_s: int) -> Outcome | None:
        try:
            found = self._observed(intent, now_s)
        except ClusterError:  # the intent stays open: the next start reads the target again
            return None
        last = self._ledger.outcome(intent.command.id)
        undoing = last is not None and self._written_before(intent) is not None
        # An open intent may belong to another process, whose write or undo is still in flight.
        in_flight = now_s - (intent.at_s if last is None else last.at_s) < _IN_FLIGHT_S
        if in_flight and found.status is (OutcomeStatus.APPLIED if undoing else OutcomeStatus.NOT_APPLIED):
            return None
        if undoing and found.status is OutcomeStatus.NOT_APPLIED:
            detail = "the object no longer contains this change: it was undone"
            found = _outcome(intent.command, now_s, OutcomeStatus.UNDONE, None, detail)
        return self._recorded(found)

    def _written_before(self, intent: Intent) -> Outcome | None:
        """Return the latest outcome that says that an intent was written; a later one may say that it was undone."""
        _, outcomes = self._ledger.attempts(since_s=_NEVER_S, ids={intent.command.id})
        written = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)
        return next((one for one in reversed(outcomes) if one.status in written), None)

    def _observed(self, intent: Intent, now_s: int) -> Outcome:
        """Decide from the target alone whether an intent took effect: the same patch wrote gpuwise's annotation."""
        item = read_target(self._cluster, intent.command.workload)
        if isinstance(item, Refusal):
            # Its pods may have been disrupted before: it counts as an effect in the budgets (I5, I31).
            detail = f"{item.detail}; it is not known whether it was changed before"
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, item.reason, detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        if actual == intent.post_image:
            text = change_text(intent.pre_image, intent.post_image)
            return _outcome(intent.command, now_s, OutcomeStatus.APPLIED, None, f"found in place: {text}")
        if actual.get(MARK) == intent.command.id:
            if _unmarked(actual) == _unmarked(intent.pre_image):
                return self._reverted(intent, item, actual, now_s)
            detail = difference(intent.post_image, actual)
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        detail = "the object does not contain this change: it was never written"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        item = read_target(self._cluster, intent.command.workload)
        if isinstance(item, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, item.reason, item.detail)
        actual = image_of(item, intent.pre_image, intent.post_image)
        text = change_text(intent.post_image, intent.pre_image)
        began = _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, f"undo began: {text}")
        if self._is_reverted(intent, actual) and self._written_before(intent) is not None:
            self._recorded(began)
        if actual == intent.pre_image or self._unmark(intent, item, actual):
            return self._nothing_to_restore(intent, last, now_s)
        if actual != intent.post_image:
            detail = f"somebody changed it since: {difference(intent.post_image, actual)}"
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        if self._settings.dry_run:
            return _outcome(intent.command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        written = self._written_before(intent) or self._recorded(self._observed(intent, now_s))
        self._recorded(began)
        try:
            self._patch(intent, item, intent.post_image, intent.pre_image)
        except (Conflict, Gone, Denied, Forbidden, Throttled) as error:
            self._recorded(replace(written, at_s=now_s))
            if not isinstance(error, Conflict):
                raise
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, str(error))
        return self._recorded(_outcome(intent.command, now_s, OutcomeStatus.UNDONE, None, text))

    def _nothing_to_restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        if last is not None and self._written_before(intent) is not None:
            # An undo crashed before it recorded its outcome, or a person restored every field.
            text = "the object already was as before this action"
            return self._recorded(_outcome(intent.command, now_s, OutcomeStatus.UNDONE, None, text))
        detail = "the object is as it was before this action: there is nothing to undo"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _recorded(self, outcome: Outcome) -> Outcome:
        if not self._settings.dry_run:
            self._ledger.record_outcome(outcome)
        return outcome

    def _patch(self, intent: Intent, item: Object, old: Image, new: Image) -> None:
        path = path_of(intent.command.workload)
        assert path is not None
        self._cluster.patch(path, operations(item, old, new), content_type=_JSON_PATCH)


def _outcome(command: Command, at_s: int, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
    return Outcome(command.id, at_s, status, reason, detail)


def _unmarked(image: Image) -> Image:
    """Return the fields of an image without gpuwise's annotation."""
    return {at: value for at, value in image.items() if at != MARK}
