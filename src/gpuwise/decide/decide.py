"""From recommendations to commands: through the gates, under the brake, within the budget."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gpuwise.decide import gates
from gpuwise.decide.gates import Situation
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Command
from gpuwise.model.inventory import Inventory, Workload
from gpuwise.model.recommendation import Hold, Reason, Recommendation

STAGE = "decide"


@dataclass(frozen=True, slots=True)
class Decision:
    """What will be done, and what will not, and why."""

    commands: tuple[Command, ...]
    holds: tuple[Hold, ...]


def decide(
    recommendations: Sequence[Recommendation],
    inventory: Inventory,
    history: History,
    settings: DecideSettings,
    *,
    now_s: int,
) -> Decision:
    """Decide what automation does about some recommendations.

    Args:
        recommendations: at most one a workload.
        inventory: the fleet as it is now.
        history: what was done and said before.
        settings: the policy.
        now_s: when, epoch seconds.
    """
    passed, holds = _gate(recommendations, Situation(inventory, history, settings, now_s))
    most = max(settings.brake_floor, int(settings.brake_share * len(inventory.workloads)))
    if len(passed) > most:
        detail = f"{len(passed)} changes at once among {len(inventory.workloads)} workloads, {most} are believed"
        return Decision((), (*holds, *(_hold(item, Reason.BRAKE_ENGAGED, detail) for item in passed)))
    left = max(0, settings.budget.disruptions - history.spent(now_s=now_s, per_s=settings.budget.per_s))
    detail = f"{settings.budget.disruptions} disruptions in {settings.budget.per_s} s are spent: the next run goes on"
    over = [_hold(item, Reason.BUDGET_EXHAUSTED, detail) for item in passed[left:]]
    return Decision(tuple(command(item, actor="policy", now_s=now_s) for item in passed[:left]), (*holds, *over))


def approve(
    recommendation: Recommendation,
    inventory: Inventory,
    history: History,
    settings: DecideSettings,
    *,
    actor: str,
    now_s: int,
) -> Command | Hold:
    """Decide what a person's apply does: every gate but those that stand for consent.

    Args:
        recommendation: what they applied.
        inventory: the fleet as it is now.
        history: what was done and said before.
        settings: the policy.
        actor: who.
        now_s: when, epoch seconds.
    """
    situation = Situation(inventory, history, settings, now_s)
    target = inventory.by_ref().get(recommendation.workload)
    refusal = _refusal(recommendation, target, situation, (*gates.SAFETY, gates.off))
    if refusal is not None:
        return _hold(recommendation, *refusal)
    return command(recommendation, actor=actor, now_s=now_s)


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


def _gate(items: Iterable[Recommendation], situation: Situation) -> tuple[list[Recommendation], list[Hold]]:
    targets = situation.inventory.by_ref()
    passed, holds = [], []
    for item in sorted(items, key=lambda r: (-r.saving.usd_month, r.id)):
        refusal = _refusal(item, targets.get(item.workload), situation, (*gates.SAFETY, *gates.CONSENT))
        if refusal is None:
            passed.append(item)
        else:
            holds.append(_hold(item, *refusal))
    return passed, holds


def _refusal(
    item: Recommendation, target: Workload | None, situation: Situation, checks: Iterable[gates.Gate]
) -> gates.Refusal | None:
    if item.workload.kind == "Node":
        return Reason.KIND_NOT_SUPPORTED, f"{item.change.kind} is advice: who runs the node carries it out"
    if target is None:
        return Reason.TARGET_GONE, "the inventory has no such object any more"
    question = gates.Question(item, target, situation)
    return next((refusal for check in checks if (refusal := check(question)) is not None), None)


def _hold(item: Recommendation, reason: Reason, detail: str) -> Hold:
    return replace(Hold(item.workload, STAGE, reason, detail), recommendation_id=item.id)
