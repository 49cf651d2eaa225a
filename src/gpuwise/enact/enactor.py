"""The enactor: read, check again, record the intent, write to the cluster, read back, record the outcome."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.enact import node_outcomes
from gpuwise.enact.canary import stage
from gpuwise.enact.effects import FENCE, MARK, OWN, Effect
from gpuwise.enact.examine import Examiner, Prepared
from gpuwise.enact.following import Follower
from gpuwise.enact.images import Image, change_text, difference, image_of
from gpuwise.enact.nodes import NodeActions
from gpuwise.enact.refusal import Refusal, answered
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target, patch_target, read_target
from gpuwise.enact.verify import settled
from gpuwise.enact.wake import WOKEN_MARK
from gpuwise.enact.watching import Watcher, watch_of
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, InputError, NoAnswer
from gpuwise.model.ports import ClusterWriter, Fit, Ledger, Levels
from gpuwise.model.reasons import Reason

# How long an API server may still process a request whose client has gone: kube-apiserver's --request-timeout, 1 min.
_IN_FLIGHT_S = 60
_UNDO_TRIES = 3
# Later than any intent.
_NEVER_S = 2**62
_WRITTEN = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)


class KubernetesEnactor:
    """The only writer to workloads; the ledger's anchor writes only its own ConfigMap.

    Args:
        cluster: client with the right to write; no other component has one.
        ledger: where intents and outcomes are recorded; an error of the ledger stops all effects.
        settings: limits.
        clock: returns epoch seconds; it is read again for each effect.
        levels: where service levels are measured; None if they cannot be.
        fit: looks for nodes for new pods; None does not check it.
    """

    def __init__(
        self,
        cluster: ClusterWriter,
        ledger: Ledger,
        settings: EnactSettings,
        clock: Callable[[], int],
        levels: Levels | None = None,
        fit: Fit | None = None,
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._examiner = Examiner(cluster, settings, clock, fit)
        self._nodes = NodeActions(cluster, ledger, settings, clock, levels, fit)
        self._follower = Follower(cluster, ledger, settings, Watcher(cluster, levels, clock), self._nodes, clock)

    def enact(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out each command once, or return why not. A failure for one target does not affect the next.

        Args:
            commands: commands in the order to carry out; one that is already in the ledger is not carried out again.

        Raises:
            LedgerError: the ledger failed; nothing more is carried out.
        """
        return self._follower.settled([self._carry_out(command) for command in commands])

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly what a command changed, or refuse and show the difference if somebody changed it since.

        Its outcome is open in the ledger from before its write: after a crash, `recover` reads whether it took place.
        After a refused undo the command still counts as applied.

        Args:
            command_id: id of the command, `a-...`.

        Raises:
            InputError: the ledger has no such command, or it is one step of an action.
        """
        now_s = self._clock()
        intent = self._ledger.intent(command_id)
        if intent is None:
            raise InputError(
                f"there is no action {command_id}", hint="`gpuwise report` lists the actions that were taken"
            )
        if intent.step_of:
            raise InputError(f"{command_id} is one step of {intent.step_of}", hint=f"gpuwise undo {intent.step_of}")
        last = self._ledger.outcome(command_id)
        if last is not None and last.status is OutcomeStatus.UNDONE:
            when = datetime.fromtimestamp(last.at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return replace(last, detail=f"already undone on {when}: {last.detail}")
        try:
            if intent.command.workload.kind == "Node":
                return self._nodes.undo(intent)
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
        if self._settings.nodes and not self._settings.dry_run:
            self._reap()
        now_s = self._clock()
        found = (
            self._resolve(intent, now_s) for intent in self._ledger.unsettled() if not self._follower.watches(intent)
        )
        return [outcome for outcome in found if outcome is not None]

    def follow(self) -> list[Outcome]:
        """Check the effects that are being watched, and take back what fails its check (I13).

        Returns:
            The outcomes of the watches that ended. One whose target cannot be read goes on.
        """
        return [] if self._settings.dry_run else self._follower.follow()

    def _reap(self) -> None:
        with suppress(ClusterError):  # the next pass tries again
            self._nodes.reap()

    def _carry_out(self, command: Command) -> Outcome:
        earlier = self._ledger.intent(command.id)
        if earlier is not None:
            return self._known(earlier)
        if command.workload.kind == "Node":
            return self._nodes.start(command)
        prepared = self._examiner.prepare(command)
        now_s = self._clock()
        if isinstance(prepared, Refusal):
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, prepared.reason, prepared.detail)
        if self._settings.dry_run:
            text = change_text(prepared.effect.pre_image, prepared.effect.post_image)
            return _noted(_outcome(command, now_s, OutcomeStatus.WOULD_APPLY, None, text), prepared.effect)
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
        intent = replace(intent, watch=watch_of(command, self._settings, now_s, effect.canary))
        try:
            used_up = self._ledger.record_intent(intent, limits=limits)
        except ClusterError as error:
            detail = f"the ledger head could not be stored in the cluster, so nothing was written: {error}"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, detail)
        if used_up is not None:
            detail = f"the budget of {used_up} is used up"
            return _outcome(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        outcome = _noted(self._write(intent, prepared.target), effect)
        return outcome if outcome.status is OutcomeStatus.WATCHING else self._recorded(outcome)

    def _write(self, intent: Intent, target: Target, *, again: bool = True) -> Outcome:
        try:
            self._patch(target, intent.pre_image, intent.post_image)
        except ClusterError as error:
            fresh = self._still_as_planned(intent) if again and isinstance(error, Conflict) else None
            if fresh is not None:
                return self._write(intent, fresh, again=False)
            if (reason := answered(error)) is not None:
                return _outcome(intent.command, self._clock(), OutcomeStatus.NOT_APPLIED, reason, str(error))
            return self._after_error(intent, error)
        return self._verified(intent, self._clock())

    def _still_as_planned(self, intent: Intent) -> Target | None:
        """Read the target again: return it if only other fields changed and all checks still pass, else None.

        Controllers write the status of a busy object between this read and write; that does not affect the plan.
        """
        found = self._examiner.prepare(intent.command)
        if isinstance(found, Refusal) or found.effect.pre_image != intent.pre_image:
            return None
        return found.target

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
            target = settled(self._cluster, intent.command.workload, timeout_s=self._settings.settle_timeout_s)
        except ClusterError as error:
            detail = f"{text} (written; could not be read back: {error})"
            return _written(intent, now_s, detail)
        if isinstance(target, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, target.detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        if actual != intent.post_image:
            return self._reverted(intent, target, actual, now_s)
        return _written(intent, now_s, text)

    def _reverted(self, intent: Intent, target: Target, actual: Image, now_s: int) -> Outcome:
        detail = difference(intent.post_image, actual)
        failed = _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, detail)
        if not self._is_reverted(intent, actual):
            return failed
        # Without the annotation the object no longer shows that it was written: the ledger has to, first.
        self._recorded(failed)
        if self._unmark(intent, target, actual):
            return replace(failed, detail=f"{detail}; gpuwise removed its annotation again")
        return failed

    def _is_reverted(self, intent: Intent, actual: Image) -> bool:
        """Whether only gpuwise's annotations are left of an effect."""
        return actual.get(MARK) == intent.command.id and _unmarked(actual) == _unmarked(intent.pre_image)

    def _unmark(self, intent: Intent, target: Target, actual: Image) -> bool:
        """Remove gpuwise's annotations from an object whose other fields are as before, so that nothing is left."""
        if self._settings.dry_run or not self._is_reverted(intent, actual):
            return False
        try:
            self._patch(target, _marks(actual), _marks(intent.pre_image))
        except ClusterError:  # the annotation stays: a later undo tries again
            return False
        return True

    def _resolve(self, intent: Intent, now_s: int) -> Outcome | None:
        last = self._ledger.outcome(intent.command.id)
        undoing = last is not None and self._written_before(intent) is not None
        try:
            node = intent.command.workload.kind == "Node"
            found = node_outcomes.observed(self._cluster, intent, now_s) if node else self._observed(intent, now_s)
            absent = found.status is OutcomeStatus.NOT_APPLIED and not undoing
            fenced = self._fenced(intent, now_s) if absent else None
        except ClusterError:  # the intent stays open: the next start reads the target again
            return None
        if fenced is not None:
            return self._recorded(fenced)
        # An open intent may belong to another process, whose write or undo is still in flight.
        in_flight = now_s - (intent.at_s if last is None else last.at_s) < _IN_FLIGHT_S
        if in_flight and found.status in (_WRITTEN if undoing else (OutcomeStatus.NOT_APPLIED,)):
            return None
        if last is not None and undoing and found.status is OutcomeStatus.NOT_APPLIED:
            found = _taken_back(last, now_s)
        return self._recorded(found)

    def _fenced(self, intent: Intent, now_s: int) -> Outcome | None:
        """Fence a write of an earlier leader that may be in flight, and read the target again: that is then final.

        The write carries the resourceVersion of its plan, so any change of the target makes the server refuse it (I6).
        This needs no clock: that of the earlier leader may differ by an hour.

        Returns:
            The outcome; None if the intent is of this term, or an eviction.

        Raises:
            ClusterError: the target could not be read or changed.
        """
        term = self._ledger.term()
        if self._settings.dry_run or term is None or intent.epoch >= term.epoch:
            return None
        if intent.command.workload.kind == "Node":
            return node_outcomes.fenced(self._cluster, intent, str(term.epoch), now_s)
        target = read_target(self._cluster, intent.command.workload)
        fence = {FENCE: str(term.epoch)}
        if not isinstance(target, Refusal) and (before := image_of(target.item, fence)) != fence:
            self._patch(target, before, fence)
        return self._observed(intent, now_s)

    def _written_before(self, intent: Intent) -> Outcome | None:
        """Return the latest outcome that says that an intent was written; a later one may say that it was undone."""
        _, outcomes = self._ledger.attempts(since_s=_NEVER_S, ids={intent.command.id})
        return next((one for one in reversed(outcomes) if one.status in _WRITTEN), None)

    def _observed(self, intent: Intent, now_s: int) -> Outcome:
        """Decide from the target alone whether an intent took effect: the same patch wrote gpuwise's annotation."""
        target = read_target(self._cluster, intent.command.workload)
        if isinstance(target, Refusal):
            # Its pods may have been disrupted before: it counts as an effect in the budgets (I5, I31).
            detail = f"{target.detail}; it is not known whether it was changed before"
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, target.reason, detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        if actual == stage(intent, actual):
            return _written(intent, now_s, f"found in place: {change_text(intent.pre_image, actual)}")
        if actual.get(MARK) == intent.command.id:
            if _unmarked(actual) == _unmarked(intent.pre_image):
                return self._reverted(intent, target, actual, now_s)
            detail = difference(intent.post_image, actual)
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        woken = {WOKEN_MARK: intent.command.id}
        if image_of(target.item, woken) == woken and self._written_before(intent) is None:
            return _written(intent, now_s, f"written, then started again: {change_text(intent.post_image, actual)}")
        detail = "the object does not contain this change: it was never written"
        return _outcome(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def _restore(self, intent: Intent, last: Outcome | None, now_s: int, *, tries: int = _UNDO_TRIES) -> Outcome:
        target = read_target(self._cluster, intent.command.workload)
        if isinstance(target, Refusal):
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, target.reason, target.detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        text = change_text(stage(intent, actual), intent.pre_image)
        began = _outcome(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, f"undo began: {text}")
        if self._is_reverted(intent, actual) and self._written_before(intent) is not None:
            self._recorded(began)
        if actual == intent.pre_image or self._unmark(intent, target, actual):
            return self._nothing_to_restore(intent, last, now_s)
        if actual != stage(intent, actual):
            detail = f"somebody changed it since: {difference(intent.post_image, actual)}"
            return _outcome(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        if self._settings.dry_run:
            return _outcome(intent.command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        written = self._written_before(intent) or self._recorded(self._observed(intent, now_s))
        self._recorded(began)
        try:
            self._patch(target, actual, intent.pre_image)
        except ClusterError as error:
            if answered(error) is not None:
                self._recorded(replace(written, at_s=now_s))
            if not isinstance(error, Conflict):
                raise
            if tries > 1:  # a controller wrote its status between the read and this write: read and compare again
                return self._restore(intent, written, now_s, tries=tries - 1)
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

    def _patch(self, target: Target, old: Image, new: Image) -> None:
        patch_target(self._cluster, target, old, new)


def _outcome(command: Command, at_s: int, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
    return Outcome(command.id, at_s, status, reason, detail)


def _taken_back(began: Outcome, at_s: int) -> Outcome:
    """Return the outcome of an undo, or of a revert after a failed check, that ended without recording it."""
    detail = "the object no longer contains this change: it was "
    if began.reason is Reason.OUTCOME_UNKNOWN:
        return Outcome(began.command_id, at_s, OutcomeStatus.UNDONE, None, f"{detail}undone")
    return Outcome(began.command_id, at_s, OutcomeStatus.REVERTED, began.reason, f"{detail}restored; {began.detail}")


def _written(intent: Intent, at_s: int, detail: str) -> Outcome:
    """Return the outcome of an effect that is on the object: its pods are watched if the intent says so."""
    status = OutcomeStatus.APPLIED if intent.watch is None else OutcomeStatus.WATCHING
    return _outcome(intent.command, at_s, status, None, detail)


def _noted(outcome: Outcome, effect: Effect) -> Outcome:
    """Add the effect's note to an outcome that says what was or would be written."""
    written = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING, OutcomeStatus.WOULD_APPLY)
    noted = outcome.status in written and effect.note
    return replace(outcome, detail=f"{outcome.detail} ({effect.note})") if noted else outcome


def _marks(image: Image) -> Image:
    """Return gpuwise's annotations of an image."""
    return {at: value for at, value in image.items() if at in OWN}


def _unmarked(image: Image) -> Image:
    """Return the fields of an image without gpuwise's annotations."""
    return {at: value for at, value in image.items() if at not in OWN}
