"""Measured savings: a month replayed with what went wrong on purpose."""

from dataclasses import replace

import pytest
from tests.finops.test_budgets import TODAY, history, row
from tests.finops.test_report import recommendation

from gpuwise import spending
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
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
