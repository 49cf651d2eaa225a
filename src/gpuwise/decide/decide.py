"""From recommendations to commands: through the gates, under the brake, within the budget."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gpuwise.decide import gates
from gpuwise.decide.gates import Question, TargetQuestion
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import POLICY, Command
from gpuwise.model.inventory import Inventory, Workload
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation

STAGE = "decide"

Q = TypeVar("Q", Question, TargetQuestion)


@dataclass(frozen=True, slots=True)
class Decision:
    """What will be done, and what will not, and why."""

    commands: tuple[Command, ...]
    blocked: AllBlocked


Choose = Callable[[Sequence[Recommendation]], Sequence[Recommendation]]
"""Picks, of recommendations that exclude each other, those to carry out together."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything but the recommendations that a decision depends on.

    Attributes:
        inventory: the fleet as it is now.
        history: what was done and said before.
        settings: the policy.
        now_s: when, epoch seconds.
        refused: by recommendation id, what the enactor is known to refuse.
    """

    inventory: Inventory
    history: History
    settings: DecideSettings
    now_s: int
    refused: Mapping[str, Blocked] = field(default_factory=dict)


def decide(
    recommendations: Sequence[Recommendation],
    situation: Situation,
    *,
    alternatives: Sequence[Recommendation] = (),
    choose: Choose = tuple,
) -> Decision:
    """Decide what automation does about some recommendations.

    It plans over what it may do: a better alternative that nobody carries out for it does not keep it from the next.

    Args:
        recommendations: the best plan for people.
        situation: fleet, past, policy and time.
        alternatives: recommendations that exclude some of these and are worth less.
        choose: picks those to carry out together.
    """
    settings, now_s = situation.settings, situation.now_s
    passed, blocked = _gate(recommendations, situation)
    also, _ = _gate(alternatives, situation)
    passed = sorted(choose([*passed, *also]), key=_rank)
    most = max(settings.brake_floor, int(settings.brake_share * len(situation.inventory.workloads)))
    if len(passed) > most:
        detail = (
            f"{len(passed)} changes at once among {len(situation.inventory.workloads)} workloads, {most} are believed"
        )
        return Decision((), (*blocked, *(_blocked(item, Reason.BRAKE_ENGAGED, detail) for item in passed)))
    left = max(0, settings.budget.disruptions - situation.history.spent(now_s=now_s, per_s=settings.budget.per_s))
    detail = f"{settings.budget.disruptions} disruptions in {settings.budget.per_s} s are spent: the next run goes on"
    over = [_blocked(item, Reason.BUDGET_EXHAUSTED, detail) for item in passed[left:]]
    return Decision(tuple(command(item, actor=POLICY, now_s=now_s) for item in passed[:left]), (*blocked, *over))


def approve(
    recommendation: Recommendation, history: History, settings: DecideSettings, *, actor: str, now_s: int
) -> Command | Blocked:
    """Decide what a person's apply does: their word is the consent that mode, risk or confidence asks for.

    What the target itself forbids is read from the cluster by the enactor, at the time of the effect.

    Args:
        recommendation: what they applied.
        history: what was done and said before.
        settings: the policy.
        actor: who.
        now_s: when, epoch seconds.
    """
    refusal = _advice(recommendation) or _first(gates.PEOPLE, Question(recommendation, history, settings, now_s))
    if refusal is not None:
        return _blocked(recommendation, *refusal)
    return command(recommendation, actor=actor, now_s=now_s)


def blockers(recommendations: Iterable[Recommendation], situation: Situation) -> tuple[Blocked, ...]:
    """What keeps a person's apply from each of some recommendations, by the inventory; one without is not here.

    Args:
        recommendations: open ones.
        situation: fleet, past, policy and time.
    """
    targets = situation.inventory.by_ref()
    found = ((item, _obstacle(item, targets.get(item.workload), situation)) for item in recommendations)
    return tuple(_blocked(item, *refusal) for item, refusal in found if refusal is not None)


def _obstacle(item: Recommendation, target: Workload | None, situation: Situation) -> gates.Refusal | None:
    if (advice := _advice(item)) is not None:
        return advice
    about = Question(item, situation.history, situation.settings, situation.now_s)
    lasting = _first(gates.LASTING, about)
    if lasting is not None:
        return lasting
    if target is None:
        return Reason.TARGET_GONE, "the inventory has no such object any more"
    namespace = situation.inventory.namespaces.get(target.ref.namespace)
    return _first(gates.LASTING_TARGET, TargetQuestion(about, target, namespace, situation.inventory.taken_s))


def command(recommendation: Recommendation, *, actor: str, now_s: int) -> Command:
    """The order that carries out a recommendation; its id is the same however often this instant is replayed."""
    digest = hashlib.sha256(f"{recommendation.id}|{recommendation.etag}|{now_s}".encode()).hexdigest()
    return Command(
        id=f"a-{digest[:10]}",
        recommendation_id=recommendation.id,
        workload=recommendation.workload,
        change=recommendation.change,
        actor=actor,
        because=recommendation,
    )


def _rank(item: Recommendation) -> tuple[float, str]:
    return -item.saving.usd_month, item.id


def _gate(items: Iterable[Recommendation], situation: Situation) -> tuple[list[Recommendation], list[Blocked]]:
    targets = situation.inventory.by_ref()
    passed, blocked = [], []
    for item in sorted(items, key=_rank):
        refusal = _refusal(item, targets.get(item.workload), situation)
        if refusal is not None:
            blocked.append(_blocked(item, *refusal))
        elif item.id in situation.refused:
            blocked.append(situation.refused[item.id])
        else:
            passed.append(item)
    return passed, blocked


def _refusal(item: Recommendation, target: Workload | None, situation: Situation) -> gates.Refusal | None:
    if (advice := _advice(item)) is not None:
        return advice
    if target is None:
        return Reason.TARGET_GONE, "the inventory has no such object any more"
    about = Question(item, situation.history, situation.settings, situation.now_s)
    namespace = situation.inventory.namespaces.get(target.ref.namespace)
    on = TargetQuestion(about, target, namespace, situation.inventory.taken_s)
    return (
        _first(gates.AUTOMATION, about)
        or _first(gates.TARGET, on)
        or _first(gates.CONSENT, on)
        or _first(gates.TRUST, about)
    )


def _advice(item: Recommendation) -> gates.Refusal | None:
    if item.workload.kind != "Node":
        return None
    return Reason.KIND_NOT_SUPPORTED, "gpuwise does not write to nodes: who runs the node carries it out"


def _first(checks: Iterable[Callable[[Q], gates.Refusal | None]], question: Q) -> gates.Refusal | None:
    return next((refusal for check in checks if (refusal := check(question)) is not None), None)


def _blocked(item: Recommendation, reason: Reason, detail: str) -> Blocked:
    return Blocked(item.workload, STAGE, reason, detail, recommendation_id=item.id)
