"""Measured savings: a month replayed with what went wrong on purpose."""

from dataclasses import replace

import numpy as np
import pytest
from tests.finops.test_budgets import TODAY, history, row
from tests.finops.test_report import recommendation

from gpuwise import spending
from gpuwise.finops.counterfactual import LONG_D, Demand, compare
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.cost import Measures
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.usage import DAY_S

APPLIED, UNDONE = OutcomeStatus.APPLIED, OutcomeStatus.UNDONE
HOUR = 3_600


def action(number, name, back, usd_month=6_000.0):
    """An action at noon, so many days ago, with its recommendation."""
    ref, at_s = WorkloadRef("apps", "Deployment", name, f"uid-{name}"), TODAY - back * DAY_S + 12 * HOUR
    because = recommendation(number, ref, usd_month)
    command = Command(f"a-{number}", because.id, ref, ScaleTo(0), "policy", because)
    return Intent(command, at_s, "1", {}, {}), Outcome(f"a-{number}", at_s + 60, APPLIED, None, "")


def used(name, hours, *, days=60):
    """Rows of a workload; hours by how many days ago."""
    return [row(TODAY - back * DAY_S, hours(back), name=name) for back in range(days, 0, -1) if hours(back)]


def measured(rows, *actions, extra=(), days=90):
    intents = [intent for intent, _ in actions]
    outcomes = sorted([*(outcome for _, outcome in actions), *extra], key=lambda one: one.at_s)
    found = spending.measured(history(rows, days=days), intents, outcomes, TODAY)
    return {one.action: one for one in found}


def test_a_stop_saves_what_the_same_weekdays_cost_before():
    """100 hours of 2 dollars on each day, none since: 20 whole days of 200 dollars."""
    found = measured(used("train", lambda back: 100.0 if back > 20 else 0.0), action(1, "train", 21))["a-1"]
    assert (found.days, found.saved_usd) == (20, pytest.approx(4_000))
    assert found.predicted_usd == pytest.approx(6_000 / (730 / 24) * 20)
    assert found.low_usd == found.high_usd == pytest.approx(4_000)


def test_weekends_are_compared_with_weekends():
    """Three days after the action, a Friday, a Saturday and a Sunday: 200 + 100 + 100 dollars, not 3 of the mean."""

    def hours(back):
        weekend = ((TODAY - back * DAY_S) // DAY_S + 3) % 7 >= 5
        return 0.0 if back <= 3 else 50.0 if weekend else 100.0

    assert measured(used("train", hours), action(1, "train", 4))["a-1"].saved_usd == pytest.approx(400)


def test_a_demand_that_doubled_is_no_saving():
    """Half of the pods are gone, and each of the others works twice as long: the cost is as before."""
    found = measured(used("train", lambda _: 100.0), action(1, "train", 21))["a-1"]
    assert found.saved_usd == pytest.approx(0.0)
    assert found.predicted_usd > 3_000


def test_a_workload_that_costs_more_has_a_negative_saving():
    found = measured(used("train", lambda back: 100.0 if back > 20 else 150.0), action(1, "train", 21))["a-1"]
    assert found.saved_usd == pytest.approx(-2_000)


def test_after_an_undo_no_day_counts():
    """Ten whole days without cost, then it was undone at noon."""
    undo = Outcome("a-1", TODAY - 10 * DAY_S + 12 * HOUR, UNDONE, None, "")
    hours = lambda back: 0.0 if 11 <= back <= 20 else 100.0  # noqa: E731
    found = measured(used("train", hours), action(1, "train", 21), extra=[undo])["a-1"]
    assert (found.days, found.saved_usd, found.ended) == (10, pytest.approx(2_000), "undone")


def test_each_hour_counts_for_one_of_two_successive_actions():
    """From 100 to 60 hours 30 days ago, and to 0 hours 10 days ago: 19 days of 80, 9 days of 120 dollars."""

    def hours(back):
        return 100.0 if back > 30 else 60.0 if back > 10 else 0.0

    found = measured(used("train", hours), action(1, "train", 31), action(2, "train", 10))
    first, second = found["a-1"], found["a-2"]
    assert (first.days, first.ended, first.saved_usd) == (20, "followed by a-2", pytest.approx(20 * 80))
    assert (second.days, second.saved_usd) == (9, pytest.approx(9 * 120))


def test_what_cannot_be_measured_says_why():
    too_new = measured(used("train", lambda back: 100.0, days=5), action(1, "train", 3), days=5)["a-1"]
    today = measured(used("train", lambda back: 100.0), action(1, "train", 1))["a-1"]
    assert too_new.saved_usd is None
    assert "7 days" in too_new.why_none
    assert (today.saved_usd, today.days) == (None, 0)
    assert "no whole day" in today.why_none


def test_an_action_that_was_never_applied_is_no_saving():
    intent, outcome = action(1, "train", 21)
    failed = replace(outcome, status=OutcomeStatus.FAILED)
    assert spending.measured(history(used("train", lambda _: 100.0)), [intent], [failed], TODAY) == ()


def test_noise_widens_the_interval():
    steady = measured(used("train", lambda back: 100.0 if back > 20 else 0.0), action(1, "train", 21))["a-1"]
    noisy = measured(
        used("train", lambda back: 100.0 + 20.0 * (-1) ** (back // 7) if back > 20 else 0.0), action(1, "train", 21)
    )["a-1"]
    assert noisy.high_usd - noisy.low_usd > steady.high_usd - steady.low_usd
    assert noisy.low_usd < noisy.saved_usd < noisy.high_usd


def worked(name, hours, demand, *, days=60, **more):
    """Rows with the requests of each day; hours and requests by how many days ago."""
    rows = used(name, hours, days=days)
    backs = [(TODAY - one.day_s) // DAY_S for one in rows]
    return [replace(one, measures=Measures(requests=demand(back))) for one, back in zip(rows, backs, strict=True)]


def fewer(number, back, name="serve"):
    """An action that leaves two replicas."""
    intent, outcome = action(number, name, back)
    return replace(intent, command=replace(intent.command, change=ScaleTo(2))), outcome


def wave(back):
    """A demand between 800 and 1,200 requests, which repeats in 5 days."""
    return 1_000.0 + 100.0 * (back % 5 - 2)


def test_a_demand_that_doubled_is_no_negative_saving():
    """The cost was a tenth of the requests; the action saves a quarter, then the demand doubles."""
    demand = lambda back: wave(back) * (2.0 if back <= 20 else 1.0)  # noqa: E731
    hours = lambda back: 0.1 * demand(back) * (0.75 if back <= 20 else 1.0)  # noqa: E731
    found = measured(worked("serve", hours, demand), fewer(1, 21))["a-1"]
    assert found.method == "same days of the week, at the demand (requests)"
    assert found.saved_usd == pytest.approx(20 * 2 * 0.25 * 200, rel=0.01)
    plain = measured(used("serve", hours), fewer(1, 21))["a-1"]
    assert plain.saved_usd < -1_900
    assert plain.method == "same days of the week; demand: not measured"


def test_a_demand_that_vanished_is_no_saving():
    """Nine of ten requests stay away and the cost follows them, as it did before: the action saved nothing."""
    demand = lambda back: wave(back) * (0.1 if back <= 20 else 1.0)  # noqa: E731
    found = measured(worked("serve", lambda back: 0.1 * demand(back), demand), fewer(1, 21))["a-1"]
    assert found.saved_usd == pytest.approx(0.0, abs=1.0)
    assert measured(used("serve", lambda back: 0.1 * demand(back)), fewer(1, 21))["a-1"].saved_usd > 3_000


def test_a_cost_that_did_not_follow_the_demand_is_not_adjusted():
    """The same pods at any demand: half of them gone is half of the cost saved, also at a tenth of the demand."""
    demand = lambda back: wave(back) * (0.1 if back <= 20 else 1.0)  # noqa: E731
    found = measured(worked("serve", lambda back: 50.0 if back <= 20 else 100.0, demand), fewer(1, 21))["a-1"]
    assert found.saved_usd == pytest.approx(20 * 100)


@pytest.mark.parametrize("factor", [0.2, 2.0])
def test_how_cost_follows_demand_must_have_been_seen(factor):
    """A demand that never moved before says nothing of how the cost follows it."""
    demand = lambda back: 1_000.0 * (factor if back <= 20 else 1.0)  # noqa: E731
    found = measured(worked("serve", lambda back: 0.1 * demand(back), demand), fewer(1, 21))["a-1"]
    assert (found.saved_usd, found.low_usd, found.high_usd) == (None, None, None)
    assert found.why_none == "the demand (requests) moved, and how the cost follows it was not observed before"


def test_a_stopped_workload_has_no_demand():
    found = measured(worked("train", lambda back: 100.0 if back > 20 else 0.0, wave), action(1, "train", 21))["a-1"]
    assert found.saved_usd == pytest.approx(4_000)
    assert found.method == "same days of the week; demand: a stopped workload shows none"


def test_a_demand_that_is_known_on_few_days_is_not_used():
    few = measured(worked("serve", lambda _: 100.0, lambda back: wave(back) if back < 30 else None), fewer(1, 21))
    gaps = measured(worked("serve", lambda _: 100.0, lambda back: None if back == 3 else wave(back)), fewer(1, 21))
    assert few["a-1"].method.endswith("; demand: requests of 8 days before are known, 14 are needed")
    assert gaps["a-1"].method.endswith("; demand: requests of 1 days after are not known")
    assert few["a-1"].saved_usd == gaps["a-1"].saved_usd == pytest.approx(0.0)


def test_a_plain_trend_goes_on():
    """One hour more a day for 60 days, and no effect: without the trend the action would have cost money."""
    found = measured(used("train", lambda back: 160.0 - back, days=90), fewer(1, 15, "train"))["a-1"]
    assert found.saved_usd == pytest.approx(0.0, abs=1.0)
    assert found.method == "same days of the week, with the trend before; demand: not measured"


@pytest.mark.parametrize("began", [60, 40])
def test_one_step_or_a_late_start_is_no_trend(began):
    found = measured(used("train", lambda back: 100.0 if back > began else 200.0, days=90), action(1, "train", 21))
    assert "trend" not in found["a-1"].method
    started = measured(used("train", lambda _: 100.0, days=began), action(1, "train", 21))["a-1"]
    assert "trend" not in started.method


def test_an_earlier_day_keeps_its_saving_when_later_days_come():
    """The saving of n days is a sum over them: weeks that were printed do not change."""
    draw = np.random.default_rng(5)
    noise, demand = draw.normal(0, 5, 91), draw.normal(1_000, 100, 91)
    rows = worked("serve", lambda back: 0.1 * demand[back] + noise[back], lambda back: demand[back], days=90)
    [intent], [outcome] = ([one] for one in fewer(1, 21))
    costs = history(rows)
    until = [TODAY - back * DAY_S for back in (13, 6, 0)]
    first, second, third = (spending.measured(costs, [intent], [outcome], at)[0].saved_usd for at in until)
    ended = Outcome("a-1", TODAY - 6 * DAY_S, UNDONE, None, "")
    assert spending.measured(costs, [intent], [outcome, ended], TODAY)[0].saved_usd == pytest.approx(second)
    assert len({first, second, third}) == 3


@pytest.mark.parts  # 1,000 draws, 8 s
def test_without_an_effect_the_interval_contains_0_as_often_as_it_says():
    """1,000 workloads whose demand moves and whose cost follows it in part, with noise; the action does nothing."""
    inside, known_of = {"demand": 0, "plain": 0}, {"demand": 0, "plain": 0}
    for seed in range(1_000):
        draw = np.random.default_rng(seed)
        level, follows, days = draw.uniform(0.4, 2.5), draw.uniform(0.2, 1.0), int(draw.integers(3, 28))
        demand = draw.normal(1_000.0, draw.uniform(50.0, 150.0), LONG_D + days)
        demand[LONG_D:] *= level
        cost = 200.0 * (1 - follows) + 0.2 * follows * demand + draw.normal(0, 8.0, LONG_D + days)
        steady = 200.0 + draw.normal(0, 8.0, LONG_D + days)
        of = Demand("requests", demand[:LONG_D], demand[LONG_D:])
        none = replace(of, why_none="not measured")
        for name, usd, amounts in (("demand", cost, of), ("plain", steady, none)):
            found = compare(usd[:LONG_D], usd[LONG_D:], amounts, gap_d=LONG_D)
            if found.saved_usd is not None:
                known_of[name] += 1
                inside[name] += found.low_usd <= 0.0 <= found.high_usd
    assert known_of["demand"] >= 800
    assert inside["demand"] >= 0.9 * known_of["demand"]
    assert known_of["plain"] == 1_000
    assert inside["plain"] >= 0.9 * 1_000


@pytest.mark.parametrize("days", [9, 15])
def test_days_before_the_workload_existed_are_no_days_without_cost(days):
    """It was made at noon of a day, and costs 200 dollars on each whole day until its stop 6 days ago."""
    hours = lambda back: 50.0 if back == 6 + days else 100.0 if 6 < back < 6 + days else 0.0  # noqa: E731
    found = measured(used("train", hours), action(1, "train", 6))["a-1"]
    assert found.saved_usd == pytest.approx(5 * 200)
    assert measured(used("train", lambda back: 100.0 if 5 < back < 12 else 0.0), action(1, "train", 5))[
        "a-1"
    ].why_none.startswith("the cost history has fewer than 7 days of the workload")


@pytest.mark.parametrize("back", [8, 10, 14, 21])
def test_a_step_before_the_action_is_no_saving_of_it(back):
    """Somebody cut it from 400 to 100 dollars; then it was stopped: 100 dollars are saved on each day."""
    before = np.full(LONG_D, 400.0)
    before[-back:] = 100.0
    unknown = Demand("requests", np.full(LONG_D, np.nan), np.full(7, np.nan), "a stopped workload shows none")
    found = compare(before, np.zeros(7), unknown, gap_d=LONG_D + 1)
    assert found.saved_usd == pytest.approx(700.0)
    assert "since its cost changed" in found.method
    before[-back:-5] = 400.0
    assert "fewer than 7 days" in compare(before, np.zeros(7), unknown, gap_d=LONG_D + 1).why_none


def test_a_demand_that_was_never_seen_is_no_saving():
    demand = Demand("requests", np.zeros(LONG_D), np.full(7, 10.0))
    found = compare(np.full(LONG_D, 100.0), np.full(7, 50.0), demand, gap_d=LONG_D)
    assert (found.saved_usd, "not observed before" in found.why_none) == (None, True)


def test_a_trend_without_noise_is_not_certain_to_go_on():
    unknown = Demand("requests", np.full(LONG_D, np.nan), np.full(28, np.nan), "not measured")
    found = compare(np.arange(LONG_D) * 10.0 + 100.0, np.zeros(28), unknown, gap_d=LONG_D)
    assert "with the trend" in found.method
    assert found.high_usd - found.low_usd > 0.1 * found.saved_usd
