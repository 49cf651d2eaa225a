"""The second write of a canary: the other pods get the change. It is a step of the action, with its own intent."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from gpuwise.enact.canary import final
from gpuwise.enact.effects import MARK
from gpuwise.enact.images import Image, change_text
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.enact.target import Target, patch_target
from gpuwise.model.command import Intent, Outcome, OutcomeStatus, pause_in_force
from gpuwise.model.errors import Conflict, Denied, Forbidden, Gone, Throttled
from gpuwise.model.ports import ClusterWriter, Ledger
from gpuwise.model.reasons import Reason


class Promoter:
    """Lets the other pods follow.

    Args:
        cluster: client with the right to write.
        ledger: where the step is recorded; it uses no budget, because its action did.
        settings: the stop switch.
        clock: returns epoch seconds.
    """

    def __init__(
        self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings, clock: Callable[[], int]
    ) -> None:
        self._cluster, self._ledger, self._settings, self._clock = cluster, ledger, settings, clock

    def late_s(self, intent: Intent) -> int:
        """Return how much later than planned the other pods followed, 0 if they did not yet.

        Args:
            intent: an effect that is being watched.
        """
        canary = intent.watch.canary if intent.watch is not None else None
        steps = self._steps(intent) if canary is not None else []
        return max(0, steps[-1].at_s - canary.until_s) if canary is not None and steps else 0

    def promote(self, intent: Intent, target: Target) -> None:
        """Write the change to the other pods, unless gpuwise is paused or stopped, or an earlier attempt is open.

        Args:
            intent: an effect whose first pods are well.
            target: its object, just read.

        Raises:
            ClusterError: it was not written, or that is not known: the next check tries again.
        """
        steps = self._steps(intent)
        if any(self._open(step) for step in steps):
            return
        if pause_in_force(self._ledger.directives()) is not None:
            return
        if stopped(self._cluster, self._settings, actor=intent.command.actor) is not None:
            return
        step = self._step(intent, target, len(steps))
        self._ledger.record_intent(step, limits=())
        try:
            patch_target(self._cluster, target, step.pre_image, step.post_image)
        except (Conflict, Denied, Forbidden, Gone, Throttled) as error:
            self._record(step, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, str(error))
            raise
        self._record(step, OutcomeStatus.APPLIED, None, change_text(step.pre_image, step.post_image))

    def _step(self, intent: Intent, target: Target, number: int) -> Intent:
        before, after = _differing(intent.post_image, final(intent)), _differing(final(intent), intent.post_image)
        # The mark is not changed. It shows after a crash that the object is still that of this action.
        mark = {MARK: intent.command.id}
        digest = hashlib.sha256(f"{intent.command.id}|promote|{number}".encode()).hexdigest()
        command = replace(intent.command, id=f"a-{digest[:10]}")
        version = target.item["metadata"]["resourceVersion"]
        return Intent(
            command, self._clock(), version, before | mark, after | mark, scopes=(), step_of=intent.command.id
        )

    def _steps(self, intent: Intent) -> list[Intent]:
        return [one for one in self._ledger.intents(since_s=intent.at_s) if one.step_of == intent.command.id]

    def _open(self, step: Intent) -> bool:
        last = self._ledger.outcome(step.command.id)
        return last is None or last.status is OutcomeStatus.UNKNOWN

    def _record(self, step: Intent, status: OutcomeStatus, reason: Reason | None, detail: str) -> None:
        self._ledger.record_outcome(Outcome(step.command.id, self._clock(), status, reason, detail))


def _differing(image: Image, other: Image) -> Image:
    """The fields of an image that differ in another one."""
    return {at: value for at, value in image.items() if at not in other or other[at] != value}
