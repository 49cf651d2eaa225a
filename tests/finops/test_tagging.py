"""Coverage of the tagging policy, and who created what lacks tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.tagging import Seen, tagged
from gpuwise.model.cost import CostSum, GpuSeconds

DAY_S = 20_000 * 86_400


def of(*keys: str | None, hours: float = 1.0, usd: float | None = 2.0, nobody: bool = False) -> CostSum:
    time, none = GpuSeconds(used=hours * 3600), GpuSeconds()
    money = GpuSeconds(used=hours * (usd or 0.0))
    return CostSum(keys, time, money, time if usd is None else none, nobody=nobody)


def found(sums, required):
    seen = {("", f"{one.keys[1]}/{one.keys[2]}"): Seen(DAY_S, ("ada",)) for one in sums if not one.nobody}
    return tagged(sums, required, seen)


SUMS = [
    of("", "a", "Deployment/chat", "ml", "inference", hours=6.0),
    of("", "a", "Job/tune", None, "training", hours=3.0),
    of("", "b", "Job/new", None, "playing", hours=1.0, usd=None),
    of(None, None, None, None, None, hours=50.0, nobody=True),
]


def test_coverage_is_in_money_and_in_time_of_pods():
    team, phase = found(SUMS, {"team": (), "phase": ("inference", "training")}).coverage
    assert (team.usd, team.total_usd, team.gpu_h, team.total_gpu_h) == (12.0, 18.0, 6.0, 10.0)
    assert (phase.usd, phase.gpu_h) == (18.0, 9.0)


def test_what_lacks_a_tag_is_listed_with_its_creator_first_day_and_cost_the_most_expensive_first():
    tune, new = found(SUMS, {"team": (), "phase": ("inference", "training")}).untagged
    assert (tune.workload, tune.creators, tune.missing, tune.wrong, tune.usd) == (
        "a/Job/tune", ("ada",), ("team",), {}, 6.0,
    )  # fmt: skip
    assert (new.missing, new.wrong, new.usd, new.gpu_h) == (
        ("team",), {"phase": "playing"}, None, 1.0,
    )  # fmt: skip
    assert new.first_day_s == DAY_S


@given(st.lists(st.tuples(st.sampled_from([None, "ml", "x"]), st.floats(0, 100), st.booleans()), max_size=6))
def test_tagged_and_untagged_cost_sum_to_the_cost_of_pods(drawn):
    sums = [of("", "a", f"Job/{at}", team, hours=hours, usd=2.0 if priced else None)
            for at, (team, hours, priced) in enumerate(drawn)]  # fmt: skip
    result = found(sums, {"team": ("ml",)})
    [team] = result.coverage
    assert team.usd + sum(one.usd or 0.0 for one in result.untagged) == pytest.approx(team.total_usd)
    assert team.gpu_h + sum(one.gpu_h for one in result.untagged) == pytest.approx(team.total_gpu_h)
    assert all(one.missing or one.wrong for one in result.untagged)
