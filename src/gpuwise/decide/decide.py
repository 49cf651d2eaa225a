"""Turns recommendations into commands: the policies, then the brake, then the budgets."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gpuwise.decide.approvals import approvers
from gpuwise.decide.budgets import limits
from gpuwise.decide.history import History
from gpuwise.decide.policies import BRAKE, BUDGETS, CHECKS, FOR_PEOPLE, LASTING, refusal
from gpuwise.decide.question import Question, Situation
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import POLICY, Command, Limit
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import AllBlocked, Blocked, Recommendation

STAGE = "decide"


@dataclass(frozen=True, slots=True)
class Decision:
    """The commands to carry out, and the blocked recommendations with their reasons."""

    commands: tuple[Command, ...]
    blocked: AllBlocked


Choose = Callable[[Sequence[Recommendation]], Sequence[Recommendation]]
"""Chooses, among recommendations that exclude each other, those to carry out together."""


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
    settings = situation.settings
    passed, blocked = _pass(recommendations, situation)
    also, _ = _pass(alternatives, situation)
    passed = sorted(choose([*passed, *also]), key=_rank)
    most = max(settings.brake_floor, int(settings.brake_share * len(situation.targets)))
    if len(passed) > most:
        detail = f"{len(passed)} of {len(situation.targets)} workloads would change at once; the limit is {most}"
        braked = (_blocked(item, BRAKE.name, Reason.BRAKE_ENGAGED, detail) for item in passed)
        return Decision((), (*blocked, *braked))
    commands, over = _spend(passed, situation)
    return Decision(commands, (*blocked, *over))


def decide_checked(
    recommendations: Sequence[Recommendation],
    situation: Situation,
    *,
    alternatives: Sequence[Recommendation] = (),
    choose: Choose = tuple,
    check: Callable[[Command], Blocked | None] | None = None,
) -> Decision:
    """Decide, and decide again without the commands that the enactor would refuse, so that they use no budget.

    Args:
        recommendations: the best plan for people.
        situation: fleet, history, policy and time.
        alternatives: as in `decide`.
        choose: as in `decide`.
        check: returns why the enactor would refuse a command; called once per recommendation. None checks nothing.
    """
    refused = dict(situation.refused)
    checked: set[str] = set()
    while True:
        decision = decide(
            recommendations, replace(situation, refused=refused), alternatives=alternatives, choose=choose
        )
        unchecked = [one for one in decision.commands if one.recommendation_id not in checked]
        if check is None or not unchecked:
            return decision
        for order in unchecked:
            checked.add(order.recommendation_id)
            if (blocked := check(order)) is not None:
                refused[order.recommendation_id] = blocked


def _spend(items: Iterable[Recommendation], situation: Situation) -> tuple[tuple[Command, ...], tuple[Blocked, ...]]:
    """Give the budgets to the first recommendations, and block those whose budgets are used up."""
    used: Counter[str] = Counter()
    commands, blocked = [], []
    for item in items:
        budgets = limits(q := Question(item, situation))
        spent = (situation.history.spent(one, now_s=situation.now_s) + used[one.scope] for one in budgets)
        over = next((one for one, number in zip(budgets, spent, strict=True) if number >= one.disruptions), None)
        if over is not None:
            detail = f"the budget of {over} is used up"
            blocked.append(_blocked(item, BUDGETS.name, Reason.BUDGET_EXHAUSTED, detail))
            continue
        used.update(one.scope for one in budgets)
        commands.append(_command(q, limits=budgets))
    return tuple(commands), tuple(blocked)


def approve(
    recommendation: Recommendation,
    history: History,
    settings: DecideSettings,
    *,
    actor: str,
    now_s: int,
    authenticated: bool = False,
    nodes: bool = False,
) -> Command | Blocked:
    """Decide what a person's `gpuwise apply` does: it is the consent that mode, risk or confidence requires.

    The enactor reads the protections of the target from the cluster just before the effect.

    Args:
        recommendation: the recommendation to apply.
        history: earlier commands, outcomes and directives.
        settings: the policy.
        actor: the person.
        now_s: when, epoch seconds.
        authenticated: whether the cluster authenticated the person.
        nodes: whether gpuwise may change nodes.
    """
    situation = Situation(None, history, settings, now_s, nodes=nodes)
    q = Question(recommendation, situation, actor, authenticated)
    found = refusal(q, FOR_PEOPLE)
    if found is not None:
        return _blocked(recommendation, *found)
    return _command(q, limits=limits(q))


def blockers(recommendations: Iterable[Recommendation], situation: Situation) -> tuple[Blocked, ...]:
    """The blockers that keep a person's `gpuwise apply` from open recommendations, according to the inventory.

    Args:
        recommendations: the open recommendations; those without a blocker are not in the result.
        situation: fleet, history, policy and time.
    """
    found = ((item, refusal(Question(item, situation), LASTING)) for item in recommendations)
    return tuple(_blocked(item, *why) for item, why in found if why is not None)


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


def _command(q: Question, *, limits: tuple[Limit, ...]) -> Command:
    made = command(q.recommendation, actor=q.actor or POLICY, now_s=q.situation.now_s)
    return replace(made, limits=limits, approved_by=tuple(sorted(approvers(q))))


def _rank(item: Recommendation) -> tuple[float, str]:
    return -item.saving.usd_month, item.id


def _pass(items: Iterable[Recommendation], situation: Situation) -> tuple[list[Recommendation], list[Blocked]]:
    passed, blocked = [], []
    for item in sorted(items, key=_rank):
        found = refusal(Question(item, situation))
        if found is None:
            passed.append(item)
        else:
            by, *_ = found
            refused = situation.refused.get(item.id) if by == CHECKS else None
            blocked.append(replace(refused, policy=by) if refused is not None else _blocked(item, *found))
    return passed, blocked


def _blocked(item: Recommendation, policy: str, reason: Reason, detail: str) -> Blocked:
    return Blocked(item.workload, STAGE, reason, detail, recommendation_id=item.id, policy=policy)
