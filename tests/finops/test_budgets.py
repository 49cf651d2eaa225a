"""Budgets, lasting steps and the trend, from a cost history on a real database."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.finops.test_report import recommendation

from gpuwise import spending
from gpuwise.finops.settings import Budget
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import FreeNode
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.moment import month_of
from gpuwise.model.usage import DAY_S
from gpuwise.report.charts import budget_bar

NOW_S = 1_795_392_000 + 43_200  # Monday 2026-11-23 12:00 UTC
TODAY = NOW_S - NOW_S % DAY_S
_, MONTH, NEXT_MONTH = month_of(NOW_S)
PRICE = Price("H100-80GB", None, "eu-west-1", None, 2.0)


def row(day_s, hours, team="ml", name="train", price=PRICE):
    owner = Owner("apps", f"Deployment/{name}", team=team)
    return CostRow(day_s, owner, price, GpuSeconds(used=hours * 3600.0))


def history(rows, *, days=90, missing=()):
    """Closed days until yesterday, with these rows, and a node with 10 unallocated GPU-hours a day."""
    known = [TODAY - back * DAY_S for back in range(days, 0, -1) if back not in missing]
    closed = [CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in known]
    free = [CostRow(day_s, NOBODY, PRICE, GpuSeconds(unallocated=36_000.0)) for day_s in known]
    ledger = SqliteLedger(Path(":memory:"))
    ledger.costs().record(closed, [*(one for one in rows if one.day_s in known), *free])
    return ledger.costs()


def daily(hours, *, days=90, **row_of):
    """Rows of each day; hours by how many days ago."""
    return [row(TODAY - back * DAY_S, hours(back), **row_of) for back in range(days, 0, -1)]


def steady(back):
    """100 hours on working days, 50 on the others: 200 and 100 dollars."""
    return 100.0 if ((TODAY - back * DAY_S) // DAY_S + 3) % 7 < 5 else 50.0


def only(costs, budget, recommendations=()):
    [found] = spending.budgets(costs, [budget], recommendations, NOW_S)
    return found


def test_a_steady_month_is_forecast_to_its_end():
    """November 2026 has 21 working days and 9 others: 21 x 200 + 9 x 100 = 5,100 dollars, of which 3,700 in 22 days."""
    found = only(history(daily(steady)), Budget("ml", 5_000.0, "team", "ml"))
    assert found.actual_usd == pytest.approx(15 * 200 + 7 * 100)
    assert found.forecast_usd == pytest.approx(5_100, rel=0.02)
    assert found.low_usd <= found.forecast_usd <= found.high_usd
    assert (found.month, found.state, found.alerts) == ("2026-11", "breach", ())
    assert MONTH + 28 * DAY_S <= found.breach_s < NEXT_MONTH
    assert found.burn_usd_day == pytest.approx((5 * 200 + 2 * 100) / 7)


@pytest.mark.parametrize(
    ("usd", "state", "alerts"),
    [(20_000.0, "within", ()), (4_000.0, "breach", (0.8,)), (3_000.0, "over", (0.8, 1.0))],
)
def test_where_a_budget_stands(usd, state, alerts):
    found = only(history(daily(steady)), Budget("ml", usd, "team", "ml"))
    assert (found.state, found.alerts) == (state, alerts)
    if state == "over":
        assert found.breach_s < TODAY


def test_a_step_in_one_teams_use_moves_that_teams_date_alone_and_is_one_anomaly_with_its_cause():
    """From ten days ago on, `big` has 100 hours more each day: 200 dollars a day, 6,088 a month."""
    before = [*daily(steady), *daily(steady, team="web", name="chat")]
    step = [row(TODAY - back * DAY_S, 100.0, name="big") for back in range(10, 0, -1)]
    asked = [Budget("ml", 6_500.0, "team", "ml"), Budget("web", 6_500.0, "team", "web")]
    was = spending.budgets(history(before), asked, (), NOW_S)
    now = spending.budgets(history([*before, *step]), asked, (), NOW_S)
    assert [one.state for one in was] == ["within", "within"]
    assert [one.state for one in now] == ["breach", "within"]
    assert TODAY <= now[0].breach_s < NEXT_MONTH
    assert now[1] == was[1]

    [found] = spending.anomalies(history([*before, *step]), "team", NOW_S - 28 * DAY_S, NOW_S)
    assert (found.subject, found.since_s) == ("team ml", TODAY - 10 * DAY_S)
    assert (found.cause, found.workload, found.place) == (
        "more GPU time", "apps/Deployment/big", "H100-80GB in eu-west-1"
    )  # fmt: skip
    assert found.usd_month == pytest.approx(200 * 365.25 / 12, rel=0.15)
    assert spending.anomalies(history(before), "team", NOW_S - 28 * DAY_S, NOW_S) == ()


def test_a_step_that_another_one_followed_is_explained_by_its_own_days():
    """200 dollars a day, 600 for ten days from the 25th day back on, and 20 since: 400 more, then 580 less."""
    rows = daily(lambda back: 100.0 if back > 25 else 300.0 if back > 15 else 10.0)
    down, up = spending.anomalies(history(rows), "team", NOW_S - 28 * DAY_S, NOW_S)
    assert [one.since_s for one in (up, down)] == [TODAY - 25 * DAY_S, TODAY - 15 * DAY_S]
    assert (up.cause, up.before_usd_day, up.after_usd_day) == ("more GPU time", 200.0, 600.0)
    assert (down.cause, down.before_usd_day, down.after_usd_day) == ("less GPU time", 600.0, 20.0)


def test_another_price_is_named_as_the_cause():
    higher = replace_price(3.0)
    rows = [row(TODAY - back * DAY_S, 100.0, price=higher if back <= 10 else PRICE) for back in range(90, 0, -1)]
    [found] = spending.anomalies(history(rows), "team", NOW_S - 28 * DAY_S, NOW_S)
    assert (found.cause, found.part) == ("another price", pytest.approx(1.0))


def replace_price(usd):
    return PRICE._replace(usd_per_gpu_h=usd)


def test_recommendations_about_the_subject_that_keep_the_month_within_its_budget():
    def of(number, name, usd):
        return recommendation(number, WorkloadRef("apps", "Deployment", name, "u"), usd)

    others = of(1, "chat", 9_000.0)
    found = only(
        history(daily(steady)),
        Budget("ml", 5_000.0, "team", "ml"),
        [others, of(2, "train", 300.0), of(3, "train", 600.0), of(4, "train", 50.0)],
    )
    assert found.remedies == ("r-3",)
    assert found.remedies_usd == pytest.approx(600 * 7.5 / (730 / 24))


@pytest.mark.parametrize("by", ["fleet", "unallocated"])
def test_the_bill_of_the_fleet_falls_only_where_a_node_goes(by):
    stopped = recommendation(1, WorkloadRef("apps", "Deployment", "chat", "u"), 9_000.0)
    freed = replace(recommendation(2, WorkloadRef("", "Node", "node-0", "n"), 600.0), change=FreeNode(()))
    pods = daily(steady)
    free = [CostRow(one.day_s, NOBODY, one.price, GpuSeconds(unallocated=36e5)) for one in pods]
    found = only(history([*pods, *free]), Budget("all", 100.0, by), [stopped, freed])
    assert found.remedies == (freed.id,)


def test_without_enough_history_there_is_no_forecast_and_it_says_why():
    found = only(history(daily(steady, days=5), days=5), Budget("ml", 5_000.0, "team", "ml"))
    assert (found.forecast_usd, found.state) == (None, "unknown")
    assert "14" in found.why_none


def test_days_that_are_missing_are_not_days_without_cost():
    whole = only(history(daily(steady)), Budget("ml", 5_000.0, "team", "ml"))
    some = only(history(daily(steady), missing=(30, 31, 40)), Budget("ml", 5_000.0, "team", "ml"))
    assert some.forecast_usd == pytest.approx(whole.forecast_usd, rel=0.03)


@pytest.mark.parametrize("days", [90, 17])
def test_days_of_the_month_that_are_missing_are_estimated_and_not_free(days):
    """22 days of November are over. Ten of them, or the five before a history of 17 days, are not in the history."""
    missing = range(6, 16) if days == 90 else ()
    found = only(history(daily(steady, days=days), days=days, missing=missing), Budget("ml", 4_900.0, "team", "ml"))
    assert found.forecast_usd == pytest.approx(5_100, rel=0.03)
    assert (found.state, found.low_usd < 4_500, found.high_usd > 5_100) == ("breach", True, True)


def test_what_no_pod_was_allocated_has_a_budget_and_the_whole_bill():
    costs = history(daily(steady))
    assert only(costs, Budget("free", 100.0, "unallocated")).actual_usd == pytest.approx(22 * 20)
    assert only(costs, Budget("all", 100.0, "fleet")).actual_usd == pytest.approx(22 * 20 + 3_700)


def test_time_without_a_price_is_told_and_not_counted_as_free():
    rows = [row(TODAY - DAY_S, 10.0, price=replace_price(None)), *daily(steady)]
    found = only(history(rows), Budget("ml", 5_000.0, "team", "ml"))
    assert (found.unpriced_gpu_h, found.actual_usd) == (pytest.approx(10.0), pytest.approx(3_700))


def test_a_budget_by_an_unknown_key_is_refused_by_name():
    with pytest.raises(InputError, match="'squad'"):
        only(history([]), Budget("x", 1.0, "squad", "a"))


def test_the_last_13_weeks_and_how_much_of_each_is_known():
    weeks = spending.weeks(history(daily(steady)), TODAY)
    assert [one.days for one in weeks] == [6, *[7] * 12]
    assert (weeks[0].week, weeks[-1].week) == ("2026-W35", "2026-W47")
    assert {round(one.usd) for one in weeks if one.days == 7} == {5 * 200 + 2 * 100 + 7 * 20}
    assert all(one.unallocated_usd == pytest.approx(one.days * 20) for one in weeks)


def test_the_forecast_ignores_the_part_of_today_that_is_known_so_far():
    costs = history(daily(steady))
    ledger_day = CostDay(TODAY, TODAY, NOW_S, closed=False)
    before = only(costs, Budget("ml", 5_000.0, "team", "ml"))
    costs.record([ledger_day], [row(TODAY, 25.0)])
    after = only(costs, Budget("ml", 5_000.0, "team", "ml"))
    assert after.forecast_usd == pytest.approx(before.forecast_usd)
    assert after.actual_usd == pytest.approx(before.actual_usd + 50)
    assert after.until_s == NOW_S


@pytest.mark.parametrize(("last", "spent"), [(22, 0.0), (23, None)], ids=["nothing was spent", "not recorded"])
def test_a_month_of_which_nothing_is_recorded_has_no_cost(last, spent):
    """On the 23rd of November: a history that ends on the 1st has a day of the month, one that ends before has none."""
    costs = history(daily(steady), missing=range(1, last))
    found = only(costs, Budget("art", 100.0, "team", "art"))
    assert found.actual_usd == spent
    assert ("nothing recorded" in budget_bar(found)) is (spent is None)


def test_a_forecast_is_never_below_what_was_spent():
    costs = history(daily(steady))
    costs.record([CostDay(TODAY, TODAY, NOW_S, closed=False)], [row(TODAY, 5_000.0)])
    found = only(costs, Budget("ml", 50_000.0, "team", "ml"))
    assert found.forecast_usd >= found.actual_usd
    assert np.isfinite(found.high_usd)
