"""Plan selection: chooses the best set among recommendations that exclude each other."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gpuwise.model.recommendation import Recommendation

_MOST_WORK = 100_000
"""Nodes of branch and bound for one group, times its items. A limit of time would make the plan depend on the machine
(I20)."""


def best_plan(recommended: Sequence[Recommendation]) -> list[Recommendation]:
    """Choose the recommendations with the highest total saving of which no two count the same GPU time.

    Each recommendation claims workloads, nodes and free slices; of those with the same claim at most one is chosen, and
    none beside those that share the claim. Every GPU-hour is counted once, so the savings of a plan never exceed the
    bill, and every free slice is given once (`targets`). Those that share a claim were planned together, where each
    counts a node of its own, or need the same node to stay. Recommendations that exclude others are chosen together,
    with an integer program unless one claim is common to all (set packing; HiGHS proves the optimum, unless it reaches
    the limit of its search).

    Args:
        recommended: all recommendations.

    Returns:
        The chosen ones, largest saving first.
    """
    ordered = sorted(recommended, key=rank)
    chosen: list[Recommendation] = []
    for group in _groups(ordered):
        chosen += [group[0]] if _exclusive(group) else _packed(group)
    return sorted(chosen, key=rank)


def rank(item: Recommendation) -> tuple[float, float, int, str]:
    """Sort by the highest saving; ties by the higher low end, then by the lower risk."""
    return -item.saving.usd_month, -item.saving.low_usd_month, item.risk, item.id


def _groups(items: Sequence[Recommendation]) -> Iterable[list[Recommendation]]:
    """Groups of items that are connected by claims, in the items' order (union-find)."""
    parents: dict[str, str] = {}
    alone = {claim for item in items for claim in item.claims}

    def root(claim: str) -> str:
        while (parent := parents.setdefault(claim, claim)) != claim:
            parents[claim] = parents[parent]  # path halving
            claim = parent
        return claim

    for item in items:
        for claim in (*item.claims, *alone.intersection(item.shared_claims)):
            parents[root(claim)] = root(item.claims[0])
    groups: dict[str, list[Recommendation]] = {}
    for item in items:
        groups.setdefault(root(item.claims[0]) if item.claims else item.id, []).append(item)
    return groups.values()


def _exclusions(items: Sequence[Recommendation]) -> tuple[list[int], list[int]]:
    """The indices (item, rule) of the items of each rule: of the items of a rule at most one can be chosen.

    A claim is a rule for the items that claim it alone, and another one for these and each item that shares it.
    """
    alone: dict[str, list[int]] = {}
    sharing: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        for claim in item.claims:
            alone.setdefault(claim, []).append(row)
        for claim in item.shared_claims:
            sharing.setdefault(claim, []).append(row)
    rules = [[*rows, *more] for claim, rows in alone.items() for more in ([row] for row in sharing.get(claim, ()))]
    rules += [rows for claim, rows in alone.items() if claim not in sharing]
    return [row for rows in rules for row in rows], [rule for rule, rows in enumerate(rules) for _ in rows]


def _exclusive(group: Sequence[Recommendation]) -> bool:
    """Whether all items have the same claim, so that only one of them can be chosen."""
    return bool(set.intersection(*(set(item.claims) for item in group))) or len(group) == 1


def _packed(group: Sequence[Recommendation]) -> list[Recommendation]:
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - takes 1 s, and few plans need it
    from scipy.sparse import csr_array  # noqa: PLC0415

    rows, columns = _exclusions(group)
    claims = csr_array((np.ones(len(rows)), (columns, rows)), shape=(max(columns) + 1, len(group)))
    # A change that saves no money may still save energy: the small constant puts it into the plan if it excludes no
    # better one. Among equal savings the higher low end wins.
    worth = np.array([item.saving.usd_month + 1e-6 * (1 + item.saving.low_usd_month) for item in group])
    solved = milp(
        -worth,
        constraints=LinearConstraint(claims, ub=1.0),
        integrality=np.ones(len(group), dtype=np.int64),
        bounds=Bounds(0, 1),
        options={"node_limit": _MOST_WORK // len(group)},
    )
    greedy = _first_come(group)
    if solved.x is None:
        return greedy
    found = [item for item, taken in zip(group, solved.x, strict=True) if taken > 0.5]
    return max(_first_come([*found, *group]), greedy, key=_saved)


def _first_come(group: Sequence[Recommendation]) -> list[Recommendation]:
    """The items in their order, each unless an earlier one excludes it."""
    chosen: list[Recommendation] = []
    claimed: set[str] = set()
    shared: set[str] = set()
    for item in group:
        if claimed.isdisjoint((*item.claims, *item.shared_claims)) and shared.isdisjoint(item.claims):
            chosen.append(item)
            claimed.update(item.claims)
            shared.update(item.shared_claims)
    return chosen


def _saved(plan: Sequence[Recommendation]) -> float:
    return sum(item.saving.usd_month for item in plan)


def claimed_by(plan: Iterable[Recommendation]) -> dict[str, list[Recommendation]]:
    """The recommendations of a plan by each of their claims, shared ones included."""
    found: dict[str, list[Recommendation]] = {}
    for item in plan:
        for claim in (*item.claims, *item.shared_claims):
            found.setdefault(claim, []).append(item)
    return found


def superseded_by(item: Recommendation, chosen: Mapping[str, Sequence[Recommendation]]) -> Recommendation:
    """The recommendation of the plan that excludes an alternative.

    Args:
        item: a recommendation that was not chosen.
        chosen: the plan, by claim.
    """
    alone = (one for claim in item.claims for one in chosen.get(claim, ()))
    shared = (one for claim in item.shared_claims for one in chosen.get(claim, ()) if claim in one.claims)
    return min((*alone, *shared), key=rank)
