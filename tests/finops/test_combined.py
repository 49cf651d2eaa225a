"""A report of several clusters: it sums to the reports of each, and what they share counts once."""

import re
from dataclasses import fields, replace

import pytest
from tests.report.conftest import sample_report

from gpuwise.finops.combined import combined
from gpuwise.model.codec import from_json, to_json
from gpuwise.model.errors import InputError
from gpuwise.model.report import Bill, BudgetStatus, CostAnomaly, Kpi, Waste, WasteClass, WeekCost, WeeklyReport
from gpuwise.model.use import Activity, HoursOfWeek
from gpuwise.report import render_html, render_markdown, render_slack, write_report

BUDGET = BudgetStatus("research", "team ml", "2026-11", 100.0, 50.0, 10, 1.0, 90.0, 80.0, 95.0, "", None, "within")
STEP = CostAnomaly("team ml", 0, 1.0, 2.0, 30.0, "more GPU time", None, "", 1.0)


def of_cluster(name, **changes):
    week = WeekCost("2026-W47", 1_794_787_200, 7, 168_400.0, 37_015.0, 16_000.0, 0.0, 46_111.0, 0.0)
    filled = replace(
        sample_report(),
        cluster=name,
        hours=HoursOfWeek((1.0,) * 168, (2.0,) * 168),
        activity=Activity((1.0,) * 10, 3.0),
        trend=(week,),
    )
    return replace(filled, **changes)


def test_money_and_time_sum_to_those_of_the_clusters():
    east, west = of_cluster("east"), of_cluster("west", predicted_usd_month=7.0)
    both = combined([east, west])
    for field in fields(Bill):
        if not field.name.startswith("capacity"):
            assert getattr(both.bill, field.name) == 2 * getattr(east.bill, field.name)
    names = ("used", "idle", "outside", "unallocated", "unknown", "stranded")
    assert sum(getattr(both.bill, f"{name}_usd") for name in names) == both.bill.capacity_usd
    assert sum(getattr(both.bill, f"{name}_gpu_s") for name in names) == both.bill.capacity_gpu_s
    assert both.predicted_usd_month == east.predicted_usd_month + 7.0
    assert [day.used_gpu_h for day in both.days] == [2 * day.used_gpu_h for day in east.days]
    assert {one.team: one.cost_usd for one in both.teams} == {one.team: 2 * one.cost_usd for one in east.teams}
    assert (both.trend[0].usd, both.trend[0].days) == (336_800.0, 7)
    assert (both.hours.idle_gpu_h[0], both.activity.gpu_h[9], both.activity.unknown_gpu_h) == (4.0, 2.0, 6.0)
    assert len(both.recommendations) == 2 * len(east.recommendations)
    assert both.quality.workloads == 2 * east.quality.workloads
    assert [one.cluster for one in both.clusters] == ["east", "west"]


def test_a_workload_has_the_name_of_its_cluster_in_each_view():
    both = combined([of_cluster("east"), of_cluster("west")])
    assert {one.workload.namespace.partition("/")[0] for one in both.recommendations} == {"east", "west"}
    html, markdown, slack = render_html(both), render_markdown(both), str(render_slack(both))
    for view in (html, markdown, slack):
        assert "east/sandbox" in view
        assert "west/sandbox" in view
    for view in (html, markdown):
        assert "Clusters" in view
    assert from_json(WeeklyReport, to_json(both)) == both


def test_savings_that_one_cluster_does_not_know_are_not_known_in_all():
    east = of_cluster("east")
    unknown = tuple(replace(one, saving_usd_month=None) for one in east.teams)
    late = of_cluster("west", predicted_usd_month=None, cash_usd_month=None, recommendations=(), teams=unknown)
    both = combined([east, late])
    assert (both.predicted_usd_month, both.cash_usd_month) == (None, None)
    assert [one.saving_usd_month for one in both.clusters if one.cluster == "east"] == [east.predicted_usd_month]
    assert {one.saving_usd_month for one in both.teams} == {None}
    assert "the recommendations of some clusters are no longer known" in render_html(both)


def test_the_cash_of_an_earlier_version_is_not_known_where_there_may_be_some():
    east = of_cluster("east", cash_usd_month=50.0)
    assert combined([east, of_cluster("west", cash_usd_month=None)]).cash_usd_month is None
    nothing = of_cluster("west", cash_usd_month=None, predicted_usd_month=0.0, recommendations=())
    assert combined([east, nothing]).cash_usd_month == 50.0


def test_budgets_of_one_database_count_once_and_the_newest_counts():
    shared = replace(BUDGET, clusters=2)
    newer = replace(shared, actual_usd=60.0, until_s=20)
    parts = [
        of_cluster(name, budgets=(budget,), anomalies=(STEP,), spending_clusters=2)
        for name, budget in (("east", newer), ("west", shared))
    ]
    both = combined(parts)
    assert both.budgets == (newer,)
    assert both.anomalies == (STEP,)


def test_budgets_of_databases_of_their_own_have_the_name_of_the_cluster():
    both = combined([of_cluster(name, budgets=(BUDGET,), anomalies=(STEP,)) for name in ("east", "west")])
    assert [one.name for one in both.budgets] == ["east: research", "west: research"]
    assert [one.subject for one in both.anomalies] == ["east: team ml", "west: team ml"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cluster": "east"}, "two reports are of cluster 'east'"),
        ({"week": "2026-W46"}, "different values of week"),
        ({"time_zone": "Asia/Kolkata"}, "different values of time_zone"),
        ({"selection": "team ml"}, "different values of selection"),
    ],
)
def test_reports_that_do_not_belong_together_are_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        combined([of_cluster("east"), replace(of_cluster("west"), **changes)])


def test_classes_of_waste_sum_and_name_the_largest_owners():
    parts = [
        of_cluster(
            name, cash_usd_month=5.0, waste=(Waste(WasteClass.OVERSIZED, 2, 30.0, 60.0, (("a", usd), ("b", 10.0))),)
        )
        for name, usd in (("east", 20.0), ("west", 5.0))
    ]
    both = combined(parts)
    assert both.waste == (Waste(WasteClass.OVERSIZED, 4, 60.0, 120.0, (("a", 25.0), ("b", 20.0))),)
    assert both.cash_usd_month == 10.0


def test_hostile_names_of_a_cluster_and_a_team_stay_text(tmp_path):
    hostile = '<script>alert(1)</script>|[x](http://evil) ../../"=cmd'
    parts = [of_cluster(name, selection=f"team {hostile}") for name in (hostile, "west")]
    both = combined(parts)
    html, markdown = render_html(both), render_markdown(both)
    assert "<script>" not in html
    assert "[x](http" not in markdown.replace("\\[", "")
    found = write_report(both, tmp_path).html
    assert found.parent == tmp_path
    assert re.fullmatch(r"gpuwise-clusters-2026-W47-[a-z0-9-]+\.html", found.name)
    other = combined([replace(one, selection="team b") for one in parts])
    assert write_report(other, tmp_path).html != found


def test_what_does_not_add_up_is_left_out():
    """KPIs are shares, and a week that one cluster lacks is not complete."""
    week = WeekCost("2026-W19", 1_778_457_600, 7, 10.0, 1.0, 1.0, 0.0, 10.0, 0.0)
    kpi = Kpi("idle share", 0.2, "of the cost")
    both = combined([of_cluster("east", trend=(week,), kpis=(kpi,)), of_cluster("west", trend=(), kpis=(kpi,))])
    assert both.kpis == ()
    assert [(one.usd, one.days) for one in both.trend] == [(10.0, 0)]
