"""Follow the effects that are being watched to their end: applied, or restored."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from gpuwise.enact.effects import WAKES_AT
from gpuwise.enact.examine import READ_ERRORS
from gpuwise.enact.images import change_text, image_of
from gpuwise.enact.nodes import NodeActions
from gpuwise.enact.promoting import Promoter
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import patch_target
from gpuwise.enact.wake import due, wake
from gpuwise.enact.watching import Verdict, Watcher
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, InputError, NoAnswer
from gpuwise.model.ports import ClusterWriter, Ledger
from gpuwise.model.reasons import Reason

_POLL_S = 0.2
_ATTEMPTS = 3


class Follower:
    """Checks open effects, and takes back what fails its check (I13).

    Args:
        cluster: client with the right to write.
        ledger: where outcomes are recorded.
        settings: limits.
        watcher: decides how an effect continues.
        nodes: the writer to nodes, which does the next step of an action.
        clock: returns epoch seconds.
    """

    def __init__(
        self,
        cluster: ClusterWriter,
        ledger: Ledger,
        settings: EnactSettings,
        watcher: Watcher,
        nodes: NodeActions,
        clock: Callable[[], int],
    ) -> None:
        self._cluster, self._ledger, self._settings = cluster, ledger, settings
        self._watcher, self._nodes, self._clock = watcher, nodes, clock
        self._promoter = Promoter(cluster, ledger, settings, clock)

    def follow(self) -> list[Outcome]:
        """Check all effects that are being watched; return the outcomes of the watches that ended."""
        found = [self._followed(intent) for intent in self._ledger.unsettled() if self.watches(intent)]
        found += [self._woken(intent) for intent in due(self._ledger, self._settings, self._clock())]
        return [outcome for outcome in found if outcome is not None]

    def watches(self, intent: Intent) -> bool:
        """Return whether an effect is being watched."""
        last = self._ledger.outcome(intent.command.id)
        return last is not None and last.status is OutcomeStatus.WATCHING

    def settled(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Wait a short time for the pods of the new effects, so that a run reports what they show.

        Service levels are not read so early: they still measure the time before the write.

        Args:
            outcomes: of the commands; those that are being watched and are not in the ledger yet are recorded here.
        """
        found = {outcome.command_id: outcome for outcome in outcomes}
        watched = {one for one, last in found.items() if last.status is OutcomeStatus.WATCHING}
        fresh = [one for one in self._ledger.unsettled() if one.command.id in watched] if watched else []
        fresh = [one for one in fresh if self._ledger.outcome(one.command.id) is None]
        until = time.monotonic() + self._settings.settle_timeout_s
        # A canary is checked for its whole time.
        while any(one.watch is not None and one.watch.canary is None for one in fresh) and not self._settings.levels:
            ended = {one.command.id: outcome for one in fresh if (outcome := self._followed(one)) is not None}
            found |= ended
            fresh = [one for one in fresh if one.command.id not in ended]
            if not fresh or time.monotonic() >= until:
                break
            time.sleep(_POLL_S)
        for one in fresh:
            self._recorded(found[one.command.id])
        return [found[outcome.command_id] for outcome in outcomes]

    def _followed(self, intent: Intent) -> Outcome | None:
        """Return the outcome of a watch that ended, None while it goes on or cannot be read."""
        try:
            if intent.command.workload.kind == "Node":
                return self._nodes.follow(intent)
            for _ in range(_ATTEMPTS):
                verdict = self._watcher.check(intent, late_s=self._promoter.late_s(intent))
                if verdict is None:
                    return None
                with suppress(Conflict):  # a controller wrote the status meanwhile: check again
                    return self._concluded(intent, verdict)
        except ClusterError:
            return None
        except READ_ERRORS as error:  # one odd object must not end the checks of all others
            return self._unreadable(intent, error)
        return None

    def _unreadable(self, intent: Intent, error: Exception) -> Outcome | None:
        """Return the outcome of a watch whose object has a field of an unexpected form, None while its time goes on."""
        if intent.watch is None or self._clock() < intent.watch.until_s:
            return None
        detail = f"a field of {intent.command.workload} or of its pods cannot be read: {error!r}; check it yourself"
        failed = Outcome(intent.command.id, self._clock(), OutcomeStatus.FAILED, Reason.UNREADABLE_OBJECT, detail)
        return self._recorded(failed)

    def _concluded(self, intent: Intent, verdict: Verdict) -> Outcome | None:
        """Do what a verdict asks for: let the other pods follow, restore, or nothing."""
        if verdict.status is not OutcomeStatus.WATCHING:
            return self._recorded(self._taken_back(intent, verdict))
        assert verdict.target is not None, "its pods are well"
        try:
            self._promoter.promote(intent, verdict.target)
        except (Forbidden, Denied) as error:
            detail = f"{verdict.detail}; the others cannot follow: {error}"
            refused = Verdict(OutcomeStatus.REVERTED, Reason.CHECK_FAILED, detail, verdict.target)
            return self._recorded(self._taken_back(intent, refused))
        return None

    def _taken_back(self, intent: Intent, verdict: Verdict) -> Outcome:
        """Restore the pre-image if the verdict asks for it.

        Its outcome is open from before the write: after a crash, `recover` reads whether it took place (I31).

        Raises:
            ClusterError: it may not have been restored: the next check tries again.
        """
        command_id, detail = intent.command.id, verdict.detail
        if verdict.target is None:
            return Outcome(command_id, self._clock(), verdict.status, verdict.reason, detail)
        watching = Outcome(command_id, self._clock(), OutcomeStatus.WATCHING, None, detail)
        if self._ledger.outcome(command_id) is None:
            self._recorded(watching)
        self._recorded(replace(watching, status=OutcomeStatus.UNKNOWN, reason=verdict.reason))
        actual = image_of(verdict.target.item, intent.pre_image, intent.post_image)
        try:
            patch_target(self._cluster, verdict.target, actual, intent.pre_image)
        except ClusterError as error:
            if isinstance(error, Forbidden | Denied):
                detail = f"{detail}; it could not be restored: {error}"
                return Outcome(command_id, self._clock(), OutcomeStatus.FAILED, verdict.reason, detail)
            if not isinstance(error, NoAnswer):
                self._recorded(watching)
            raise
        detail = f"{detail}; restored: {change_text(actual, intent.pre_image)}"
        return Outcome(command_id, self._clock(), verdict.status, verdict.reason, detail)

    def _woken(self, intent: Intent) -> Outcome | None:
        """Start an object again ahead of its forecast next use; None if it cannot be now, or somebody did so."""
        ref = intent.command.workload
        try:
            woken = wake(self._cluster, ref.namespace, ref.kind, ref.name, command_id=intent.command.id)
        except (ClusterError, InputError):
            return None
        detail = f"started again ahead of the next use forecast for {intent.post_image[WAKES_AT]}"
        detail = detail if woken.changed else f"it was started again by somebody: {woken.detail}"
        return self._recorded(Outcome(intent.command.id, self._clock(), OutcomeStatus.UNDONE, None, detail))

    def _recorded(self, outcome: Outcome) -> Outcome:
        self._ledger.record_outcome(outcome)
        return outcome
