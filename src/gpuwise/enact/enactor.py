"""The enactor: read, check again, record the intent, write to the cluster, read back, record the outcome."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.enact.examine import Examiner, Prepared
from gpuwise.enact.following import Follower
from gpuwise.enact.images import change_text, image_of
from gpuwise.enact.nodes import NodeActions
from gpuwise.enact.observing import Observer
from gpuwise.enact.outcomes import noted, outcome_of, written_of
from gpuwise.enact.recovering import Recoverer
from gpuwise.enact.refusal import Refusal, answered
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target, patch_target
from gpuwise.enact.undoing import Undoer
from gpuwise.enact.verify import settled
from gpuwise.enact.watching import Watcher, watch_of
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, InputError, NoAnswer
from gpuwise.model.ports import ClusterWriter, Fit, Ledger, Levels
from gpuwise.model.reasons import Reason


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
        self._observer = Observer(cluster, ledger, settings)
        self._recoverer = Recoverer(cluster, ledger, settings, self._observer)
        self._undoer = Undoer(cluster, settings, self._observer)
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
            return self._undoer.restore(intent, last, now_s)
        except NoAnswer as error:
            detail = f"{error}; repeat the undo when the API server responds"
            return outcome_of(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)
        except ClusterError as error:
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER, str(error))

    def recover(self) -> list[Outcome]:
        """Resolve each intent whose outcome is unknown, after a crash or a lost response (I8, I31).

        Returns:
            The outcomes, oldest intent first. An intent whose target cannot be read now stays open.
        """
        if self._settings.nodes and not self._settings.dry_run:
            self._reap()
        now_s = self._clock()
        found = (
            self._recoverer.resolve(intent, now_s)
            for intent in self._ledger.unsettled()
            if not self._follower.watches(intent)
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
            return outcome_of(command, now_s, OutcomeStatus.NOT_APPLIED, prepared.reason, prepared.detail)
        if self._settings.dry_run:
            text = change_text(prepared.effect.pre_image, prepared.effect.post_image)
            return noted(outcome_of(command, now_s, OutcomeStatus.WOULD_APPLY, None, text), prepared.effect)
        return self._record_and_write(command, prepared, now_s)

    def _known(self, intent: Intent) -> Outcome:
        """Return the outcome of a command that was started before."""
        last, now_s = self._ledger.outcome(intent.command.id), self._clock()
        if last is not None and last.status is not OutcomeStatus.UNKNOWN:
            return last
        found = self._recoverer.resolve(intent, now_s)
        detail = "the command was started before, and its target cannot be read now"
        return found or outcome_of(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

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
            return outcome_of(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, detail)
        if used_up is not None:
            detail = f"the budget of {used_up} is used up"
            return outcome_of(command, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        outcome = noted(self._write(intent, prepared.target), effect)
        return outcome if outcome.status is OutcomeStatus.WATCHING else self._observer.recorded(outcome)

    def _write(self, intent: Intent, target: Target, *, again: bool = True) -> Outcome:
        try:
            patch_target(self._cluster, target, intent.pre_image, intent.post_image)
        except ClusterError as error:
            fresh = self._still_as_planned(intent) if again and isinstance(error, Conflict) else None
            if fresh is not None:
                return self._write(intent, fresh, again=False)
            if (reason := answered(error)) is not None:
                return outcome_of(intent.command, self._clock(), OutcomeStatus.NOT_APPLIED, reason, str(error))
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
            found = self._observer.observed(intent, now_s)
        except ClusterError:
            found = None
        if found is not None and found.status is not OutcomeStatus.NOT_APPLIED:
            return found
        if found is not None and not isinstance(error, NoAnswer):
            return replace(found, reason=Reason.REFUSED_BY_CLUSTER, detail=f"{error}; {found.detail}")
        detail = f"{error}; it is unknown whether the change was written: the next run checks it"
        return outcome_of(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, detail)

    def _verified(self, intent: Intent, now_s: int) -> Outcome:
        """Read the target back: a webhook or a controller may have reverted the change at once (autoscaler#2633)."""
        text = change_text(intent.pre_image, intent.post_image)
        try:
            target = settled(self._cluster, intent.command.workload, timeout_s=self._settings.settle_timeout_s)
        except ClusterError as error:
            detail = f"{text} (written; could not be read back: {error})"
            return written_of(intent, now_s, detail)
        if isinstance(target, Refusal):
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, target.detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        if actual != intent.post_image:
            return self._observer.reverted(intent, target, actual, now_s)
        return written_of(intent, now_s, text)
