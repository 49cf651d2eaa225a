"""The best plan, compared with every possible plan."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.changes import ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation, Saving
from gpuwise.recommend import selection
from gpuwise.recommend.proposal import Proposal, complete
from gpuwise.recommend.selection import best_plan, claimed_by, superseded_by


def worth(number: int, usd: float, claims: tuple[str, ...], *, low: float = 0.0, risk: int = 0) -> Recommendation:
    target = WorkloadRef("a", "Deployment", f"w-{number}", f"uid-{number}")
    saving = Saving(usd, low, usd, 0.0)
    proposal = Proposal(Finding.IDLE, (Reason.NO_ACTIVITY,), ScaleTo(0), saving, risk, 1.0, ())
    return complete(proposal, target, owner=None, confidence=1.0, now_s=0, lifetime_s=1, claims=claims)


def compatible(items) -> bool:
    claims = [claim for item in items for claim in item.claims]
    return len(claims) == len(set(claims))


def total(items) -> float:
    return sum(item.saving.usd_month for item in items)


claims = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True).map(tuple)


@given(st.lists(st.tuples(st.integers(0, 100), claims), max_size=8))
def test_no_two_recommendations_share_a_claim_and_no_plan_is_worth_more(drawn):
    items = [worth(number, float(usd), claimed) for number, (usd, claimed) in enumerate(drawn)]
    chosen = best_plan(items)
    assert compatible(chosen)
    plans = [plan for size in range(len(items) + 1) for plan in combinations(items, size) if compatible(plan)]
    assert total(chosen) == pytest.approx(max(map(total, plans)))
    taken = claimed_by(chosen)
    for item in items:
        assert item in chosen or superseded_by(item, taken) in chosen


def test_ties_are_broken_by_the_low_end_then_by_the_risk():
    unsure, sure = worth(0, 10.0, ("a",)), worth(1, 10.0, ("a",), low=5.0)
    assert best_plan([unsure, sure]) == [sure]
    risky, safe = worth(2, 10.0, ("b",), risk=3), worth(3, 10.0, ("b",), risk=1)
    assert best_plan([risky, safe]) == [safe]
    # The same with an integer program.
    tied = [worth(4, 10.0, ("c", "d")), worth(5, 10.0, ("c", "e"), low=5.0), worth(6, 1.0, ("d", "e"))]
    assert best_plan(tied) == [tied[1]]


@given(st.lists(st.tuples(st.integers(0, 100), claims), max_size=12))
def test_a_search_that_reaches_its_limit_gives_a_plan_to_which_nothing_can_be_added(drawn):
    items = [worth(number, float(usd), claimed) for number, (usd, claimed) in enumerate(drawn)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(selection, "_MOST_WORK", 0)
        chosen = best_plan(items)
    assert compatible(chosen)
    taken = claimed_by(chosen)
    assert all(item in chosen or superseded_by(item, taken) in chosen for item in items)


def sharing(number: int, usd: float, shared: tuple[str, ...]) -> Recommendation:
    return replace(worth(number, usd, (f"node-{number}",)), shared_claims=shared)


@given(
    st.lists(st.tuples(st.integers(0, 100), claims), max_size=4),
    st.lists(st.tuples(st.integers(0, 100), claims), max_size=4),
)
def test_those_that_share_a_claim_exclude_only_those_that_claim_it_alone(alone, shared):
    items = [worth(number, float(usd), claimed) for number, (usd, claimed) in enumerate(alone)]
    items += [sharing(10 + number, float(usd), claimed) for number, (usd, claimed) in enumerate(shared)]

    def possible(plan) -> bool:
        claimed = [claim for item in plan for claim in item.claims]
        return len(claimed) == len(set(claimed)) and not {one for item in plan for one in item.shared_claims} & set(
            claimed
        )

    chosen = best_plan(items)
    assert possible(chosen)
    plans = [plan for size in range(len(items) + 1) for plan in combinations(items, size) if possible(plan)]
    assert total(chosen) == pytest.approx(max(map(total, plans)))
    taken = claimed_by(chosen)
    assert all(item in chosen or superseded_by(item, taken) in chosen for item in items)
