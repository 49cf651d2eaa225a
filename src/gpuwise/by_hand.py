"""What people do besides the loop: apply, undo, dismiss, pause, resume. The ledger keeps each word and each effect."""

from dataclasses import dataclass

from gpuwise.decide.decide import approve
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Directive, Outcome
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Enactor, InventorySource, Ledger
from gpuwise.model.recommendation import Hold, Recommendation


@dataclass(frozen=True, slots=True)
class ByHand:
    """A person's acts on the cluster.

    Attributes:
        actor: who they are.
        inventory: where the fleet is read.
        ledger: what is remembered.
        enactor: the only writer to the cluster.
        policy: whose safety gates hold for people too.
    """

    actor: str
    inventory: InventorySource
    ledger: Ledger
    enactor: Enactor
    policy: DecideSettings

    def apply(self, recommendation_id: str, *, now_s: int) -> Outcome | Hold:
        """Carry out one recommendation: the person's word is the consent that mode, risk or confidence asked for."""
        recommendation = find(self.ledger, recommendation_id)
        history = History(self.ledger.intents(), self.ledger.outcomes(), self.ledger.directives())
        fleet = self.inventory.snapshot(now_s)
        word = approve(recommendation, fleet, history, self.policy, actor=self.actor, now_s=now_s)
        return word if isinstance(word, Hold) else self.enactor.enact([word], now_s)[0]

    def undo(self, command_id: str, *, now_s: int) -> Outcome:
        """Restore exactly what a command changed."""
        if self.ledger.intent(command_id) is None:
            raise InputError(f"the ledger knows no command {command_id}", mend="`gpuwise report` lists what was done")
        return self.enactor.undo(command_id, now_s)


def find(ledger: Ledger, recommendation_id: str) -> Recommendation:
    """The recommendation of that id in the latest run.

    Raises:
        InputError: the latest run has none such.
    """
    found = next((item for item in ledger.recommendations() if item.id == recommendation_id), None)
    if found is None:
        raise InputError(f"the latest run made no recommendation {recommendation_id}", mend="run `gpuwise scan`")
    return found


def tell(ledger: Ledger, directive: Directive) -> None:
    """Put a person's word into the ledger; every later decision respects it.

    Raises:
        InputError: it dismisses what nobody recommended.
    """
    if directive.kind == "dismiss":
        find(ledger, directive.subject)
    ledger.record_directive(directive)
