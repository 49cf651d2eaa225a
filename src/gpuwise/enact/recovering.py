"""Resolve effects whose outcome is unknown, after a crash, a lost response or a change of the leader (I6, I8, I31)."""

from gpuwise.enact import node_outcomes
from gpuwise.enact.effects import FENCE
from gpuwise.enact.images import image_of
from gpuwise.enact.observing import Observer
from gpuwise.enact.outcomes import WRITTEN
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import patch_target, read_target
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError
from gpuwise.model.ports import ClusterWriter, Ledger
from gpuwise.model.reasons import Reason

# How long an API server may still process a request whose client has gone: kube-apiserver's --request-timeout, 1 min.
_IN_FLIGHT_S = 60


class Recoverer:
    """Decides what open intents have become.

    Args:
        cluster: client with the right to write.
        ledger: where intents and outcomes are recorded.
        settings: limits.
        observer: reads the targets.
    """

    def __init__(self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings, observer: Observer) -> None:
        self._cluster, self._ledger, self._settings, self._observer = cluster, ledger, settings, observer

    def resolve(self, intent: Intent, now_s: int) -> Outcome | None:
        """Return and record what has become of an intent; None if its target cannot be read, or it may be in flight.

        Args:
            intent: one that is open.
            now_s: epoch seconds.
        """
        last = self._ledger.outcome(intent.command.id)
        undoing = last is not None and self._observer.written_before(intent) is not None
        try:
            found = self._observed(intent, now_s)
            absent = found.status is OutcomeStatus.NOT_APPLIED and not undoing
            fenced = self._fenced(intent, now_s) if absent else None
        except ClusterError:  # the intent stays open: the next start reads the target again
            return None
        if fenced is not None:
            return self._observer.recorded(fenced)
        # An open intent may belong to another process, whose write or undo is still in flight.
        in_flight = now_s - (intent.at_s if last is None else last.at_s) < _IN_FLIGHT_S
        if in_flight and found.status in (WRITTEN if undoing else (OutcomeStatus.NOT_APPLIED,)):
            return None
        if last is not None and undoing and found.status is OutcomeStatus.NOT_APPLIED:
            found = _taken_back(last, now_s)
        return self._observer.recorded(found)

    def _observed(self, intent: Intent, now_s: int) -> Outcome:
        if intent.command.workload.kind == "Node":
            return node_outcomes.observed(self._cluster, intent, now_s)
        return self._observer.observed(intent, now_s)

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
            patch_target(self._cluster, target, before, fence)
        return self._observer.observed(intent, now_s)


def _taken_back(began: Outcome, at_s: int) -> Outcome:
    """Return the outcome of an undo, or of a revert after a failed check, that ended without recording it."""
    detail = "the object no longer contains this change: it was "
    if began.reason is Reason.OUTCOME_UNKNOWN:
        return Outcome(began.command_id, at_s, OutcomeStatus.UNDONE, None, f"{detail}undone")
    return Outcome(began.command_id, at_s, OutcomeStatus.REVERTED, began.reason, f"{detail}restored; {began.detail}")
