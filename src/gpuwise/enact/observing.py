"""What has become of an effect, from its target and the ledger alone."""

from dataclasses import replace

from gpuwise.enact.canary import stage
from gpuwise.enact.effects import MARK, OWN
from gpuwise.enact.images import Image, change_text, difference, image_of
from gpuwise.enact.outcomes import WRITTEN, outcome_of, written_of
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target, patch_target, read_target
from gpuwise.enact.wake import WOKEN_MARK
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError
from gpuwise.model.ports import ClusterWriter, Ledger
from gpuwise.model.reasons import Reason

# Later than any intent.
_NEVER_S = 2**62


class Observer:
    """Compares targets with intents, and removes gpuwise's annotations where nothing else is left of an effect.

    Args:
        cluster: client with the right to write.
        ledger: where intents and outcomes are recorded.
        settings: limits.
    """

    def __init__(self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings) -> None:
        self._cluster, self._ledger, self._settings = cluster, ledger, settings

    def observed(self, intent: Intent, now_s: int) -> Outcome:
        """Decide from the target alone whether an intent took effect: the same patch wrote gpuwise's annotation."""
        target = read_target(self._cluster, intent.command.workload)
        if isinstance(target, Refusal):
            # Its pods may have been disrupted before: it counts as an effect in the budgets (I5, I31).
            detail = f"{target.detail}; it is not known whether it was changed before"
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, target.reason, detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        if actual == stage(intent, actual):
            return written_of(intent, now_s, f"found in place: {change_text(intent.pre_image, actual)}")
        if actual.get(MARK) == intent.command.id:
            if _unmarked(actual) == _unmarked(intent.pre_image):
                return self.reverted(intent, target, actual, now_s)
            detail = difference(intent.post_image, actual)
            return outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, detail)
        woken = {WOKEN_MARK: intent.command.id}
        if image_of(target.item, woken) == woken and self.written_before(intent) is None:
            return written_of(intent, now_s, f"written, then started again: {change_text(intent.post_image, actual)}")
        detail = "the object does not contain this change: it was never written"
        return outcome_of(intent.command, now_s, OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, detail)

    def reverted(self, intent: Intent, target: Target, actual: Image, now_s: int) -> Outcome:
        """Return that an effect failed because the object has other values; remove what is left of it, if all is old.

        Args:
            intent: what was written.
            target: the object as it was read.
            actual: its fields that the intent is about.
            now_s: epoch seconds.
        """
        detail = difference(intent.post_image, actual)
        failed = outcome_of(intent.command, now_s, OutcomeStatus.FAILED, Reason.NO_EFFECT, detail)
        if not self.is_reverted(intent, actual):
            return failed
        # Without the annotation the object no longer shows that it was written: the ledger has to, first.
        self.recorded(failed)
        if self.unmark(intent, target, actual):
            return replace(failed, detail=f"{detail}; gpuwise removed its annotation again")
        return failed

    def is_reverted(self, intent: Intent, actual: Image) -> bool:
        """Whether only gpuwise's annotations are left of an effect."""
        return actual.get(MARK) == intent.command.id and _unmarked(actual) == _unmarked(intent.pre_image)

    def unmark(self, intent: Intent, target: Target, actual: Image) -> bool:
        """Remove gpuwise's annotations from an object whose other fields are as before, so that nothing is left."""
        if self._settings.dry_run or not self.is_reverted(intent, actual):
            return False
        try:
            patch_target(self._cluster, target, _marks(actual), _marks(intent.pre_image))
        except ClusterError:  # the annotation stays: a later undo tries again
            return False
        return True

    def written_before(self, intent: Intent) -> Outcome | None:
        """Return the latest outcome that says that an intent was written; a later one may say that it was undone."""
        _, outcomes = self._ledger.attempts(since_s=_NEVER_S, ids={intent.command.id})
        return next((one for one in reversed(outcomes) if one.status in WRITTEN), None)

    def recorded(self, outcome: Outcome) -> Outcome:
        """Record an outcome, except in a dry run, and return it."""
        if not self._settings.dry_run:
            self._ledger.record_outcome(outcome)
        return outcome


def _marks(image: Image) -> Image:
    """Return gpuwise's annotations of an image."""
    return {at: value for at, value in image.items() if at in OWN}


def _unmarked(image: Image) -> Image:
    """Return the fields of an image without gpuwise's annotations."""
    return {at: value for at, value in image.items() if at not in OWN}
