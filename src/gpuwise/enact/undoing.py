"""Undo of an effect on a workload: all fields that it changed are as before, or nothing is written."""

from dataclasses import replace

from gpuwise.enact.canary import stage
from gpuwise.enact.images import change_text, difference, image_of
from gpuwise.enact.observing import Observer
from gpuwise.enact.outcomes import outcome_of
from gpuwise.enact.refusal import Refusal, answered
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import patch_target, read_target
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict
from gpuwise.model.ports import ClusterWriter
from gpuwise.model.reasons import Reason

_TRIES = 3


class Undoer:
    """Restores what an effect changed.

    Args:
        cluster: client with the right to write.
        settings: limits.
        observer: reads the targets, and records outcomes.
    """

    def __init__(self, cluster: ClusterWriter, settings: EnactSettings, observer: Observer) -> None:
        self._cluster, self._settings, self._observer = cluster, settings, observer

    def restore(self, intent: Intent, last: Outcome | None, now_s: int, *, tries: int = _TRIES) -> Outcome:
        """Restore the fields before an effect, or say why not.

        Args:
            intent: the effect.
            last: the latest outcome of its command.
            now_s: epoch seconds.
            tries: how often to read and compare again after a conflict.

        Raises:
            ClusterError: the target could not be read or written.
        """
        target = read_target(self._cluster, intent.command.workload)
        if isinstance(target, Refusal):
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, target.reason, target.detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        text = change_text(stage(intent, actual), intent.pre_image)
        began = outcome_of(intent.command, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, f"undo began: {text}")
        if self._observer.is_reverted(intent, actual) and self._observer.written_before(intent) is not None:
            self._observer.recorded(began)
        if actual == intent.pre_image or self._observer.unmark(intent, target, actual):
            return self._nothing_to_restore(intent, last, now_s)
        if actual != stage(intent, actual):
            detail = f"somebody changed it since: {difference(intent.post_image, actual)}"
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        if self._settings.dry_run:
            return outcome_of(intent.command, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        written = self._written(intent, now_s)
        self._observer.recorded(began)
        try:
            patch_target(self._cluster, target, actual, intent.pre_image)
        except ClusterError as error:
            if answered(error) is not None:
                self._observer.recorded(replace(written, at_s=now_s))
            if not isinstance(error, Conflict):
                raise
            if tries > 1:  # a controller wrote its status between the read and this write: read and compare again
                return self.restore(intent, written, now_s, tries=tries - 1)
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, str(error))
        return self._observer.recorded(outcome_of(intent.command, now_s, OutcomeStatus.UNDONE, None, text))

    def _written(self, intent: Intent, now_s: int) -> Outcome:
        """Return the outcome of the effect; one that is not recorded yet, after a crash, is recorded first."""
        known = self._observer.written_before(intent)
        return known or self._observer.recorded(self._observer.observed(intent, now_s))

    def _nothing_to_restore(self, intent: Intent, last: Outcome | None, now_s: int) -> Outcome:
        if last is not None and self._observer.written_before(intent) is not None:
            # An undo crashed before it recorded its outcome, or a person restored every field.
            text = "the object already was as before this action"
            return self._observer.recorded(outcome_of(intent.command, now_s, OutcomeStatus.UNDONE, None, text))
        detail = "the object is as it was before this action: there is nothing to undo"
        return outcome_of(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)
