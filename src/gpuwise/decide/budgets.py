"""The budgets of disruptions that a change uses."""

from collections.abc import Iterator, Mapping

from gpuwise.decide.question import Question
from gpuwise.decide.settings import DecideSettings, ScopeBudget
from gpuwise.model.changes import FreeNode
from gpuwise.model.command import FLEET, Limit
from gpuwise.model.labels import NODE_POOL_LABELS

_NONE = ScopeBudget(0)
"""A member of a kind of scope that has budgets, without one of its own (karpenter-provider-aws#7026)."""


def limits(q: Question) -> tuple[Limit, ...]:
    """Return the budgets that a change uses: that of the fleet, and those of its namespace, owner and node pools.

    Args:
        q: the recommendation. Without an inventory, the node pools are not known and their budgets are not used.
    """
    policy = q.situation.settings
    found = [Limit(FLEET, policy.budget.disruptions, policy.budget.per_s)]
    for kind, member in _members(q):
        budget = budget_of(policy, kind, member)
        if budget is not None:
            found.append(Limit(f"{kind}/{member}", budget.disruptions, budget.per_s))
    return tuple(found)


def _members(q: Question) -> Iterator[tuple[str, str]]:
    for namespace in _namespaces(q):
        yield "namespace", namespace
    yield "owner", q.recommendation.owner or "none"
    if q.situation.inventory is not None:
        for pool in sorted({_pool(node.marks) for node in q.nodes}) or ["none"]:
            yield "pool", pool


def _namespaces(q: Question) -> list[str]:
    """The namespaces whose pods a change disrupts: of a node, those of the pods that move."""
    change = q.recommendation.change
    if isinstance(change, FreeNode):
        return sorted({workload.split("/")[0] for workload, _, _ in change.moves})
    return [q.ref.namespace] if q.ref.namespace else []


def _pool(marks: Mapping[str, str]) -> str:
    return next((marks[label] for label in NODE_POOL_LABELS if label in marks), "none")


def budget_of(policy: DecideSettings, kind: str, member: str) -> ScopeBudget | None:
    """Return the budget of a member; None if no budget is set for any member of its kind.

    Args:
        policy: the policy.
        kind: namespace, owner or pool.
        member: its name.
    """
    own = policy.budgets.get(f"{kind}/{member}") or policy.budgets.get(f"{kind}/*")
    if own is not None:
        return own
    return _NONE if any(scope.startswith(f"{kind}/") for scope in policy.budgets) else None
