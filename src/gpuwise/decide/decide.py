"""Turns recommendations into commands: checks the gates, then the brake, then the budget."""

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
    """The commands to carry out, and the blocked recommendations with their reasons."""

    commands: tuple[Command, ...]
    blocked: AllBlocked


Choose = Callable[[Sequence[Recommendation]], Sequence[Recommendation]]
"""Chooses, among recommendations that exclude each other, those to carry out together."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision depends on except the recommendations.

    Attributes:
        inventory: the fleet as it is now.
        history: earlier commands, outcomes and directives.
        settings: the policy.
        now_s: time of the decision, epoch seconds.
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
    """Decide which recommendations automation carries out.

    It selects only among changes that it may make: a recommendation that only a person can carry out does not keep
    automation from an alternative.

    Args:
        recommendations: the best plan for people.
        situation: fleet, history, policy and time.
        alternatives: recommendations that exclude some of these and are worth less.
        choose: chooses those to carry out together.
    """
    settings, now_s = situation.settings, situation.now_s
    passed, blocked = _gate(recommendations, situation)
    also, _ = _gate(alternatives, situation)
    passed = sorted(choose([*passed, *also]), key=_rank)
    most = max(settings.brake_floor, int(settings.brake_share * len(situation.inventory.workloads)))
    if len(passed) > most:
        detail = (
            f"{len(passed)} of {len(situation.inventory.workloads)} workloads would change at once; the limit is {most}"
        )
        return Decision((), (*blocked, *(_blocked(item, Reason.BRAKE_ENGAGED, detail) for item in passed)))
    left = max(0, settings.budget.disruptions - situation.history.spent(now_s=now_s, per_s=settings.budget.per_s))
    detail = f"the budget of {settings.budget.disruptions} disruptions in {settings.budget.per_s} s is used up"
    over = [_blocked(item, Reason.BUDGET_EXHAUSTED, detail) for item in passed[left:]]
    return Decision(tuple(command(item, actor=POLICY, now_s=now_s) for item in passed[:left]), (*blocked, *over))


def approve(
    recommendation: Recommendation, history: History, settings: DecideSettings, *, actor: str, now_s: int
) -> Command | Blocked:
    """Decide what a person's `gpuwise apply` does: it is the consent that mode, risk or confidence requires.

    The enactor reads the protections of the target from the cluster just before the effect.

    Args:
        recommendation: the recommendation to apply.
        history: earlier commands, outcomes and directives.
        settings: the policy.
        actor: the person.
        now_s: when, epoch seconds.
    """
    refusal = _advice(recommendation) or _first(gates.PEOPLE, Question(recommendation, history, settings, now_s))
    if refusal is not None:
        return _blocked(recommendation, *refusal)
    return command(recommendation, actor=actor, now_s=now_s)


def blockers(recommendations: Iterable[Recommendation], situation: Situation) -> tuple[Blocked, ...]:
    """The blockers that keep a person's `gpuwise apply` from open recommendations, according to the inventory.

    Args:
        recommendations: the open recommendations; those without a blocker are not in the result.
        situation: fleet, history, policy and time.
    """
    targets = situation.inventory.by_ref()
    refusals = ((item, _blocker(item, targets.get(item.workload), situation)) for item in recommendations)
    return tuple(_blocked(item, *refusal) for item, refusal in refusals if refusal is not None)


def _blocker(item: Recommendation, target: Workload | None, situation: Situation) -> gates.Refusal | None:
    if (advice := _advice(item)) is not None:
        return advice
    about = Question(item, situation.history, situation.settings, situation.now_s)
    lasting = _first(gates.LASTING, about)
    if lasting is not None:
        return lasting
    if target is None:
        return Reason.TARGET_GONE, "the inventory no longer has this object"
    namespace = situation.inventory.namespaces.get(target.ref.namespace)
    return _first(gates.LASTING_TARGET, TargetQuestion(about, target, namespace, situation.inventory.taken_s))


def command(recommendation: Recommendation, *, actor: str, now_s: int) -> Command:
    """The command that carries out a recommendation; replaying the same instant gives the same id."""
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
        return Reason.TARGET_GONE, "the inventory no longer has this object"
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
    return Reason.KIND_NOT_SUPPORTED, "gpuwise does not change nodes: the node's operator has to carry this out"


def _first(checks: Iterable[Callable[[Q], gates.Refusal | None]], question: Q) -> gates.Refusal | None:
    return next((refusal for check in checks if (refusal := check(question)) is not None), None)


def _blocked(item: Recommendation, reason: Reason, detail: str) -> Blocked:
    return Blocked(item.workload, STAGE, reason, detail, recommendation_id=item.id)
