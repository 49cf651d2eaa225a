"""What another policy would change: the decisions on a snapshot under both policies, side by side."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.decide.decide import Decision
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.changes import Change
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.recommend.case import HOURS_PER_MONTH
from gpuwise.snapshots.snapshot import Snapshot, decide_on


class Effect(StrEnum):
    """What the new policy changes for a recommendation."""

    GAINED = "gained"
    """It becomes a command."""
    LOST = "lost"
    """It is no longer a command."""
    OTHER_REASON = "other reason"
    """It is still blocked, for another reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy decides about one recommendation.

    Attributes:
        reason: why it is blocked; None if it becomes a command, or is not part of the plan.
        policy: the policy that blocks it, "" if none does.
        detail: for a person.
        planned: whether it becomes a command.
    """

    reason: Reason | None
    policy: str
    detail: str
    planned: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A recommendation about which the two policies differ.

    Attributes:
        recommendation_id: its id.
        workload: its target.
        change: what would be done.
        effect: what the new policy changes.
        usd_month: its saving, dollars per month.
        gpus: whole GPUs that it frees on average.
        before: under the snapshot's policy.
        after: under the new policy.
    """

    recommendation_id: str
    workload: WorkloadRef
    change: Change
    effect: Effect
    usd_month: float
    gpus: float
    before: Verdict
    after: Verdict


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """The use of a budget.

    Attributes:
        scope: fleet, namespace/NAME, owner/NAME or pool/NAME.
        used: disruptions in the window before the decision.
        planned: further ones that the decision plans.
        disruptions: the most in `per_s` seconds.
        per_s: the window, seconds.
    """

    scope: str
    used: int
    planned: int
    disruptions: int
    per_s: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The decision of one policy in numbers.

    Attributes:
        commands: their number.
        blocked: number of blocked recommendations.
        usd_month: saving of the commands, dollars per month.
        gpus: whole GPUs that the commands free on average.
        budgets: of the scopes that the commands use.
    """

    commands: int
    blocked: int
    usd_month: float
    gpus: float
    budgets: tuple[BudgetUse, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The decisions of two policies on one snapshot.

    Attributes:
        before: of the snapshot's policy.
        after: of the new policy.
        differences: the largest saving first.
        notes: what limits the comparison.
        decision_before: of the snapshot's policy.
        decision_after: of the new policy.
    """

    before: Totals
    after: Totals
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    decision_before: Decision
    decision_after: Decision


def compare(snapshot: Snapshot, settings: DecideSettings, *, notes: tuple[str, ...] = ()) -> Comparison:
    """Decide on a snapshot under its own policy and under another one.

    Args:
        snapshot: the fleet, its recommendations and the history.
        settings: the other policy.
        notes: what limits the comparison.
    """
    before, after = decide_on(snapshot, snapshot.settings), decide_on(snapshot, settings)
    old, new = _verdicts(before), _verdicts(after)
    items = {item.id: item for item in (*snapshot.recommendations, *snapshot.alternatives)}
    found = (_difference(item, old.get(name, _ABSENT), new.get(name, _ABSENT)) for name, item in items.items())
    differences = sorted(
        (one for one in found if one is not None), key=lambda one: (-one.usd_month, one.recommendation_id)
    )
    return Comparison(_totals(snapshot, before), _totals(snapshot, after), tuple(differences), notes, before, after)


_ABSENT = Verdict(None, "", "an alternative that the plan does not use", planned=False)


def _verdicts(decision: Decision) -> dict[str, Verdict]:
    found = {
        one.recommendation_id: Verdict(one.reason, one.policy, one.detail, planned=False)
        for one in decision.blocked
        if one.recommendation_id is not None
    }
    return found | {one.recommendation_id: Verdict(None, "", "", planned=True) for one in decision.commands}


def _difference(item: Recommendation, before: Verdict, after: Verdict) -> Difference | None:
    if before.planned != after.planned:
        effect = Effect.GAINED if after.planned else Effect.LOST
    elif (before.reason, before.policy) != (after.reason, after.policy):
        effect = Effect.OTHER_REASON
    else:
        return None
    return Difference(item.id, item.workload, item.change, effect, item.saving.usd_month, _gpus(item), before, after)


def _gpus(item: Recommendation) -> float:
    return item.saving.gpu_h_month / HOURS_PER_MONTH


def _totals(snapshot: Snapshot, decision: Decision) -> Totals:
    items = [one.because for one in decision.commands if one.because is not None]
    limits = {limit.scope: limit for one in decision.commands for limit in one.limits}
    planned = Counter(limit.scope for one in decision.commands for limit in one.limits)
    history = History(snapshot.intents, snapshot.outcomes, snapshot.directives)
    budgets = (
        BudgetUse(scope, history.spent(one, now_s=snapshot.now_s), planned[scope], one.disruptions, one.per_s)
        for scope, one in sorted(limits.items())
    )
    usd, gpus = sum(one.saving.usd_month for one in items), sum(map(_gpus, items))
    return Totals(len(decision.commands), len(decision.blocked), usd, gpus, tuple(budgets))
