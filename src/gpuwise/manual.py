"""What people do besides the loop: apply, undo, dismiss, pause, resume. The ledger records each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuwise.decide.decide import approve
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Directive, Intent, Outcome, OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Enactor, Ledger
from gpuwise.model.recommendation import Blocked, Recommendation


@dataclass(frozen=True, slots=True)
class ManualActions:
    """Effects that a person asks for: each reads its own target, not the fleet.

    Attributes:
        actor: who asks.
        ledger: what is remembered.
        enactor: the only writer to the cluster.
        policy: its limits apply to people, too.
        clock: epoch seconds.
        authenticated: whether the cluster authenticated the actor; else it is the operating system's user.
        nodes: whether gpuwise may change nodes.
    """

    actor: str
    ledger: Ledger
    enactor: Enactor
    policy: DecideSettings
    clock: Callable[[], int]
    authenticated: bool = False
    nodes: bool = False

    def apply(self, recommendation_id: str) -> Outcome | Blocked:
        """Carry out one recommendation; the person consents to what its mode, risk or confidence blocks."""
        recommendation = find(self.ledger, recommendation_id)
        self.ledger.check()
        self.enactor.recover()
        self.enactor.follow()
        now_s = self.clock()
        attempts = self.ledger.attempts(
            since_s=now_s - self.policy.longest_window_s, uids={recommendation.workload.uid}
        )
        history = History(*attempts, self.ledger.directives())
        approved = approve(
            recommendation,
            history,
            self.policy,
            actor=self.actor,
            now_s=now_s,
            authenticated=self.authenticated,
            nodes=self.nodes,
        )
        return approved if isinstance(approved, Blocked) else self.enactor.enact([approved])[0]

    def wait(self, command_id: str, pause: Callable[[], object]) -> Outcome:
        """Follow an effect until its watch has ended.

        Args:
            command_id: of a command that is being watched.
            pause: waits some seconds between two checks.
        """
        while True:
            self.enactor.recover()  # a step whose response was lost is open until its object is read
            self.enactor.follow()
            last = self.ledger.outcome(command_id)
            assert last is not None, "it is being watched"
            if last.status not in (OutcomeStatus.WATCHING, OutcomeStatus.UNKNOWN):
                return last
            pause()

    def done(self, command_id: str) -> Intent:
        """The intent of a command: what it changes.

        Raises:
            InputError: the ledger has no such command.
            LedgerError: rows of the ledger are missing, possibly this command's.
        """
        self.ledger.check()
        intent = self.ledger.intent(command_id)
        if intent is None:
            raise InputError(f"the ledger has no action {command_id}", hint="`gpuwise report` lists what was done")
        return intent

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly what a command changed."""
        self.done(command_id)
        return self.enactor.undo(command_id)


def find(ledger: Ledger, recommendation_id: str) -> Recommendation:
    """The recommendation of that id in the latest run, alternatives included.

    Raises:
        InputError: the latest run has no such recommendation.
    """
    known = (*ledger.recommendations(), *ledger.alternatives())
    found = next((item for item in known if item.id == recommendation_id), None)
    if found is None:
        raise InputError(f"the latest run made no recommendation {recommendation_id}", hint="run `gpuwise scan`")
    return found


def record(ledger: Ledger, directive: Directive) -> str | None:
    """Write a directive to the ledger; every later decision respects it.

    Returns:
        Why nothing was written, for a person: it is in force already. None if it was written.

    Raises:
        InputError: it is about a recommendation that does not exist.
    """
    if directive.kind in ("dismiss", "approve"):
        find(ledger, directive.subject)
    pauses = _pauses(ledger.directives(), directive.cluster)
    if directive.kind == "pause" and pauses[0] is not None and None not in pauses:
        why = f"by {pauses[0].actor}: {pauses[0].detail or 'no reason given'}"
        return f"gpuwise is paused already, {why}; `gpuwise resume` ends the pause"
    if directive.kind == "resume" and not any(pauses):
        return "gpuwise is not paused; `gpuwise pause` stops all effects"
    ledger.record_directive(directive)
    return None


def _pauses(directives: Sequence[Directive], cluster: str) -> list[Directive | None]:
    """The pause in force in a cluster, or in each cluster if it is "": an order for every cluster is in each."""
    clusters = [cluster] if cluster else ["", *{one.cluster for one in directives} - {""}]
    return [History(directives=[one for one in directives if one.cluster in ("", uid)]).paused for uid in clusters]
