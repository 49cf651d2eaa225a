"""Charts answer a question, their numbers are beside them as text, and long lists end with the sum of the rest."""

import re
from dataclasses import replace

import pytest
from tests.report.conftest import action, ref, team
from tests.report.test_views import Page

from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.report import Bill, BudgetStatus, CostAnomaly, MeasuredSaving
from gpuwise.model.use import Activity, HoursOfWeek
from gpuwise.report import charts, flow, pattern_wording, render_html, render_markdown
from gpuwise.report.extracts import Extracts

NIGHTS = HoursOfWeek(
    tuple(10.0 if at % 24 in range(8, 20) else 5.0 for at in range(168)),
    tuple(0.0 if at % 24 in range(8, 20) else 5.0 for at in range(168)),
)


def rects(svg):
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<rect[^>]*>", svg)]


def test_each_step_begins_where_the_one_before_ended(report):
    """$168,400 less 16,000 unallocated, 3,185 outside and 37,015 idle is 112,200 used."""
    steps = flow.steps(report)
    assert [(one.name, one.size) for one in steps] == [
        ("whole", 168_400.0), ("unallocated", 16_000.0), ("outside", 3_185.0), ("idle", 37_015.0), ("used", 112_200.0)
    ]  # fmt: skip
    assert [one.left for one in steps] == [0.0, 152_400.0, 149_215.0, 112_200.0, 0.0]
    whole = steps[0].size
    bars = [rects(charts.step_bar(one, whole))[0] for one in steps]
    ends = [float(one["x"]) + float(one["width"]) for one in bars]
    assert ends[1:] == pytest.approx([100.0, *(float(one["x"]) for one in bars[1:-1])], abs=0.02)


def test_without_prices_the_steps_are_hours(report):
    unpriced = replace(report, bill=Bill(36e6, 18e6, 9e6, 0.0, 9e6, 0.0, 0.0, 0.0, 0.0, 0.0, 36e6))
    assert [one.amount.replace("\u00a0", " ") for one in flow.steps(unpriced)] == [
        "10,000 GPU-h", "\N{MINUS SIGN}2,500 GPU-h", "\N{MINUS SIGN}2,500 GPU-h", "5,000 GPU-h"
    ]  # fmt: skip


def test_the_heat_map_is_darkest_where_most_is_idle():
    cells = rects(charts.heat_map(NIGHTS, "title"))
    assert len(cells) == 168
    dark = [float(one["fill-opacity"]) for one in cells]
    assert {at % 24 for at, one in enumerate(dark) if one == 1.0} == {*range(8), *range(20, 24)}
    assert min(dark) == pytest.approx(0.12)


def test_hours_that_hardly_differ_look_alike():
    even = HoursOfWeek((10.0,) * 168, tuple(3.0 + 0.1 * (at % 2) for at in range(168)))
    dark = {float(one["fill-opacity"]) for one in rects(charts.heat_map(even, "title"))}
    assert max(dark) - min(dark) < 0.1


def test_hours_in_which_nothing_was_allocated_are_no_idle_hours():
    nothing = HoursOfWeek((0.0,) * 168, (0.0,) * 168)
    assert {float(one["fill-opacity"]) for one in rects(charts.heat_map(nothing, "title"))} == {0.0}
    half = HoursOfWeek((5.0, *[0.0] * 167), (5.0, *[0.0] * 167))
    assert "Mon 00:00: 50\u00a0% idle" in charts.heat_map(half, "title")
    assert "Sun 23:00: nothing allocated" in charts.heat_map(half, "title")


def test_the_sentences_beside_the_charts():
    text = pattern_wording.idle_hours(NIGHTS).replace("\u00a0", " ")
    assert text == (
        "Idle share of the allocated time: 0 % on working days from 8 to 20, 50 % on those from 20 to 8, "
        "25 % at weekends."
    )
    assert pattern_wording.idle_range(NIGHTS).replace("\u00a0", " ") == "Lightest: 0 % idle; darkest: 50 %."
    found = Activity((50.0, *[0.0] * 8, 150.0), 20.0)
    assert pattern_wording.activity(found).replace("\u00a0", " ") == (
        "200 GPU-h were measured: 25 % below 10 % activity, 75 % at 50 % or more; 20 GPU-h were not measured."
    )
    assert "No activity was measured" in pattern_wording.activity(Activity((0.0,) * 10, 5.0))


def test_the_numbers_of_both_charts_are_on_the_page(report):
    shown = replace(report, hours=NIGHTS, activity=Activity((50.0, *[0.0] * 8, 150.0), 20.0))
    text = Page(render_html(shown)).text.replace("\u00a0", " ")
    assert text.count("50 %\n") + text.count("50 %") >= 12 * 7  # a row of the table for each hour of the day
    assert "150 GPU-h" in text
    for view in (text, render_markdown(shown).replace("\u00a0", " ")):
        assert "75 % at 50 % or more" in view
        assert "at weekends" in view


def budget(number, state):
    return BudgetStatus(
        f"b{number}", "team t", "2026-11", 100.0, 50.0, 0, 1.0, 90.0, 80.0, 95.0, "", None, state
    )  # fmt: skip


def test_long_lists_end_with_the_sum_of_the_rest(report):
    long = replace(
        report,
        teams=tuple(team(f"t{at}", 1, 100.0, 10.0, 0.0) for at in range(5_000)),
        budgets=(*(budget(at, "within") for at in range(5_000)), budget(9_999, "over")),
        anomalies=tuple(CostAnomaly("team t", 0, 1.0, 2.0, 30.0, "more GPU time", None, "", 1.0) for _ in range(500)),
        actions=tuple(action(at, ref("a", "Deployment", f"w{at}"), OutcomeStatus.APPLIED, 1.0) for at in range(500)),
        measured=tuple(
            MeasuredSaving(f"a-{at}", "a/Deployment/w", ScaleTo(0), 0, 3, 5.0, 4.0, 3.0, 5.0) for at in range(500)
        ),
    )
    found = Extracts.of(long)
    assert found.teams.rest == "4970 more teams cost $497,000 together, of which $49,700 idle"
    assert (found.budgets.rows[0].state, found.budgets.rest) == ("over", "4971 more: $248,550 of $497,100 spent")
    none = tuple(replace(one, actual_usd=None) for one in long.budgets)
    assert Extracts.of(replace(long, budgets=none)).budgets.rest == "4971 more: nothing recorded"
    assert found.steps.rest == "492 smaller ones: +$14,760 a month together"
    assert found.actions.rest == "480 more"
    assert found.measured.rest == "480 more have saved $1,920 together"
    html, markdown = render_html(long), render_markdown(long)
    assert len(html.encode()) < 300_000
    for view in (Page(html).text, markdown):
        for one in (found.teams, found.budgets, found.steps, found.actions, found.measured):
            assert one.rest.replace("+", "") in view.replace("+", "").replace("\\", "")


def test_savings_that_cannot_be_measured_yet_are_counted(report):
    why = "no whole day after it is in the cost history yet"
    none = MeasuredSaving("a-1", "a/Deployment/w", ScaleTo(0), 0, 0, 5.0, None, None, None, why_none=why)
    ended = replace(none, action="a-2", ended="undone")
    found = Extracts.of(replace(report, measured=(none, none, ended))).measured
    assert [one.action for one in found.rows] == ["a-2"]
    assert found.rest == f"2 not measured: {why}"
    text = Page(render_html(replace(report, measured=(none,)))).text
    assert f"1 not measured: {why}." in text
