"""The report of one team: its part of each number, and nothing of other teams; budgets are the same wherever shown."""

import json
import pickle
from dataclasses import replace

import pytest
from tests.finops.recorded import BUSY, IDLE, MONDAY, WEEK_H, Fleet, at
from tests.finops.test_report import recommendation

from gpuwise import weekly
from gpuwise.cli import each_team
from gpuwise.finops.settings import Budget, FinopsSettings
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.changes import ScaleTo
from gpuwise.model.codec import to_json
from gpuwise.model.command import FLEET, Command, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.cost import CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.usage import DAY_S, Window
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.report import render_html, render_markdown, write_report
from gpuwise.schedule.in_process import InProcess
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordedUsage

BUDGETS = (
    Budget("of red", 5_000.0, "team", "red-team"),
    Budget("of blue", 5_000.0, "team", "blue-team"),
    Budget("all", 90_000.0, "fleet"),
)


@pytest.fixture
def loop(tmp_path):
    """Two teams with a card each; the first one is idle for half of the week. Another cluster has days of its own."""
    fleet = Fleet(tmp_path)
    fleet.node("n0", gpus=2)
    for space in ("red", "blue"):
        fleet.namespace(space, team=f"{space}-team")
        fleet.deployment(f"{space}-app", namespace=space)
    for hours, values in (((0, 84), BUSY), ((84, WEEK_H), IDLE)):
        fleet.pod("red-0", "n0", hours=hours, owner="red-app" if values is BUSY else None, device="GPU-1",
                  values=values, started_h=-500)  # fmt: skip
    fleet.pod("blue-0", "n0", hours=(0, WEEK_H), owner="blue-app", namespace="blue", device="GPU-2")
    fleet.report()  # writes the files
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        ledger.belongs_to("another")
        days = [MONDAY + number * DAY_S for number in range(-20, 7)]
        price = Price("A100-80GB", None, None, None, 4.0)
        rows = [CostRow(day_s, Owner("red", "Job/x", team="red-team"), price, GpuSeconds(used=36_000.0))
                for day_s in days]  # fmt: skip
        ledger.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in days], rows)
        yield Pipeline(
            KubernetesInventory(RecordedObjects(tmp_path / "inventory.json")),
            RecordedUsage(tmp_path),
            read_prices(tmp_path / "prices.csv"),
            InProcess(),
            ProfileFile,
            ledger,
            LoopSettings("test", WEEK_H, fleet.step_s, 100, finops=FinopsSettings(budgets=BUDGETS)),
        )


def made(loop, team=None):
    now_s = at(WEEK_H) + 3 * 3_600
    window = Window(at(0), at(WEEK_H), loop.settings.step_s)
    week = weekly.read_week(loop, window, week="2026-W47", now_s=now_s, team=team)
    return week.report if team is None else weekly.of_team(loop, week, team)


def test_a_team_sees_its_part_and_nothing_of_the_others(loop, tmp_path):
    whole, red = made(loop), made(loop, "red-team")
    [part] = [one for one in whole.teams if one.team == "red-team"]
    assert red.teams == (part,)
    assert red.bill.capacity_usd == pytest.approx(part.cost_usd) == pytest.approx(WEEK_H * 4)
    assert red.bill.idle_usd == pytest.approx(part.idle_usd)
    assert [one.name for one in red.budgets] == ["of red"]
    assert (red.trend[-1].week, red.trend[-1].usd) == ("2026-W47", pytest.approx(part.cost_usd))
    assert sum(red.hours.idle_gpu_h) == pytest.approx(part.idle_gpu_h)
    assert sum(red.activity.gpu_h) == pytest.approx(part.allocated_gpu_h)
    for view in (to_json(red), render_html(red), render_markdown(red)):
        assert "red-team" in view
        assert "blue" not in view
    assert "blue" in to_json(whole)
    # Its files are not those of the fleet.
    assert {one.name for one in write_report(red, tmp_path / "out").html.parent.iterdir()}.isdisjoint(
        one.name for one in write_report(whole, tmp_path / "whole").html.parent.iterdir()
    )


@pytest.mark.parametrize(("days", "listed"), [(6, True), (8, False)])
def test_findings_of_a_pass_more_than_a_week_later_are_not_those_of_the_week(loop, days, listed):
    found_s = at(WEEK_H) + days * DAY_S
    ref = WorkloadRef("red", "Deployment", "red-app", "uid-red-app")
    loop.ledger.belongs_to("test")
    loop.ledger.record_run(
        found_s,
        [replace(recommendation(1, ref, 100.0), created_s=found_s)],
        [Blocked(ref, "Idle", Reason.TOO_YOUNG, "its pods are 1 h old")],
    )
    report = made(loop)
    assert bool(report.recommendations) is bool(report.blocked) is listed
    assert any("are not listed" in note for note in report.quality.notes) is not listed
    assert (report.predicted_usd_month, report.cash_usd_month) == ((100.0, 0.0) if listed else (None, None))
    assert {one.saving_usd_month is None for one in report.teams} == {not listed}


@pytest.mark.parametrize("days", [None, 8], ids=["no pass", "a pass that found nothing, more than a week later"])
def test_without_a_pass_of_its_time_the_findings_of_a_week_are_not_known(loop, days):
    loop.ledger.belongs_to("test")
    if days is not None:
        ref = WorkloadRef("red", "Deployment", "red-app", "uid-red-app")
        loop.ledger.record_run(at(WEEK_H) + days * DAY_S, [], [Blocked(ref, "Idle", Reason.TOO_YOUNG, "1 h old")])
    report = made(loop)
    assert (report.predicted_usd_month, report.recommendations, report.blocked) == (None, (), ())
    assert any("are not listed" in note for note in report.quality.notes)


def applied(ledger, number, ref):
    """An action in the week that is worth $100 a month."""
    order = Command(f"a-{number}", f"r-{number}", ref, ScaleTo(0), "policy", recommendation(number, ref, 100.0))
    ledger.record_intent(Intent(order, at(50), "7", {}, {}), limits=[Limit(FLEET, 10, 3_600)])
    ledger.record_outcome(Outcome(f"a-{number}", at(51), OutcomeStatus.APPLIED, None, ""))


def test_actions_on_deleted_and_on_re_created_workloads_stay_those_of_the_team(loop):
    """A workload of red-team was deleted, another one created again: the team has both of its actions, as the fleet has
    the three of all."""
    loop.ledger.belongs_to("test")
    applied(loop.ledger, 1, WorkloadRef("red", "Deployment", "gone", "uid-gone"))
    applied(loop.ledger, 2, WorkloadRef("red", "Deployment", "red-app", "uid-of-before"))
    applied(loop.ledger, 3, WorkloadRef("blue", "Deployment", "gone", "uid-gone-too"))
    whole, red = made(loop), made(loop, "red-team")
    assert (len(whole.actions), whole.applied_usd_month, len(whole.measured)) == (3, 300.0, 3)
    assert sorted(one.intent.command.id for one in red.actions) == ["a-1", "a-2"]
    assert red.applied_usd_month == 200.0
    assert sorted(one.workload for one in red.measured) == ["red/Deployment/gone", "red/Deployment/red-app"]


def test_the_table_of_the_fleet_and_the_reports_of_teams_agree_after_a_team_was_renamed(loop):
    """One workload exists and its team has another name now, the other one is deleted and keeps that of the ledger."""
    named = WorkloadRef("red", "Deployment", "red-app", "uid-red-app")
    gone = WorkloadRef("red", "Deployment", "gone", "uid-gone")
    loop.ledger.belongs_to("test")
    found = [recommendation(1, named, 100.0, "crimson-team"), recommendation(2, gone, 10.0, "blue-team")]
    loop.ledger.record_run(at(WEEK_H), [replace(one, created_s=at(WEEK_H)) for one in found], [])
    whole = made(loop)
    assert {one.id: one.owner for one in whole.recommendations} == {"r-1": "red-team", "r-2": "blue-team"}
    assert {one.team: one.saving_usd_month for one in whole.teams} == {"red-team": 100.0, "blue-team": 10.0}
    # A workload that is deleted blocks its recommendation, and the reason is in the report that has that one.
    assert [one.recommendation_id for one in whole.blockers] == ["r-2"]
    for team, usd, ids in (("red-team", 100.0, ["r-1"]), ("blue-team", 10.0, ["r-2"])):
        part = made(loop, team)
        assert [one.recommendation_id for one in part.blockers] == [one for one in ids if one == "r-2"]
        assert [one.id for one in part.recommendations] == ids
        assert {one.team: one.saving_usd_month for one in part.teams} == {team: usd}


WINDOW = Window(at(0), at(WEEK_H), 300)


def week_of(loop):
    return weekly.read_week(loop, WINDOW, week="2026-W47", now_s=at(WEEK_H) + 3 * 3_600)


def test_the_report_of_each_team_is_the_one_that_is_made_for_it_alone(loop):
    parts = weekly.team_parts(loop, week_of(loop))
    found = {one.team: one.report for one in weekly.team_reports(loop, parts, views=False, kept=frozenset(TEAMS))}
    assert list(found) == list(TEAMS)
    for team, one in found.items():
        alone = made(loop, team)
        # The first one adds the week to the history, so only the later ones have the same head.
        assert replace(one, ledger_head=None) == replace(alone, ledger_head=None)


def test_a_task_gets_plain_data_without_a_ledger_or_a_path_and_compiles_the_same(loop, tmp_path):
    parts = weekly.team_parts(loop, week_of(loop))
    sent = pickle.dumps(parts)
    for absent in (b"sqlite", b"Ledger", b"Pipeline", b"ProfileFile", str(tmp_path).encode(), b"n0-of-nobody"):
        assert absent not in sent
    for part, copy in zip(parts, pickle.loads(sent), strict=True):
        assert weekly.team_report(copy) == weekly.team_report(part)


TEAMS = ("blue-team", "red-team")


@pytest.fixture
def shared(tmp_path):
    """A card that two teams share for half of the week, and a pod of the first team that is deleted."""
    fleet = Fleet(tmp_path)
    fleet.node("n0", gpus=2)
    for space in ("red", "blue"):
        fleet.namespace(space, team=f"{space}-team")
        fleet.deployment(f"{space}-app", namespace=space)
    fleet.namespace("empty", team="idle-team")
    fleet.pod("red-0", "n0", hours=(0, WEEK_H), owner="red-app", device="GPU-1")
    fleet.pod("blue-0", "n0", hours=(84, WEEK_H), owner="blue-app", namespace="blue", device="GPU-1", values=IDLE)
    fleet.pod("old-0", "n0", hours=(0, 20), namespace="red", device="GPU-2")
    fleet.report()
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        yield Pipeline(
            KubernetesInventory(RecordedObjects(tmp_path / "inventory.json")),
            RecordedUsage(tmp_path),
            read_prices(tmp_path / "prices.csv"),
            InProcess(),
            ProfileFile,
            ledger,
            LoopSettings("test", WEEK_H, fleet.step_s, 1),
        )


def test_the_parts_of_a_shared_card_and_of_deleted_pods_sum_to_the_fleets(shared):
    """Half of the week two pods divide the card: red has 84 + 42 hours of it and 20 of the other card, blue 42."""
    week = week_of(shared)
    parts = weekly.team_parts(shared, week)
    assert [one.team for one in parts] == list(TEAMS)  # a team without any GPU has no report
    blue, red = (weekly.team_report(one) for one in parts)
    assert blue.bill.capacity_gpu_s / 3_600 == pytest.approx(42)
    assert red.bill.capacity_gpu_s / 3_600 == pytest.approx(84 + 42 + 20)
    whole = {one.team: one for one in week.report.teams}
    for one, name in ((blue, "blue-team"), (red, "red-team")):
        assert one.teams == (whole[name],)
        assert one.bill.capacity_usd == pytest.approx(whole[name].cost_usd)
        assert one.bill.idle_usd == pytest.approx(whole[name].idle_usd)
        assert sum(day.idle_gpu_h for day in one.days) == pytest.approx(whole[name].idle_gpu_h)
    assert blue.bill.used_usd + red.bill.used_usd == pytest.approx(week.report.bill.used_usd)


def test_a_team_to_be_sent_a_report_that_has_none_is_told_and_one_that_does_not_exist_is_an_error(shared, capsys):
    week = week_of(shared)
    assert each_team.make(shared, week, None, ("idle-team", "red-team", "reed-team")).keys() == {"red-team"}
    assert "team 'idle-team' had no GPU in these weeks; nothing is sent to it" in capsys.readouterr().err
    assert each_team.unknown(shared, week, ("idle-team", "red-team")) is None
    wrong = each_team.unknown(shared, week, ("reed-team", "zz", "blu-team"))
    assert "belongs to the teams 'blu-team', 'reed-team', 'zz'" in wrong.problem
    assert wrong.hint == "did you mean 'blue-team' and 'red-team'?"


def test_an_unknown_team_is_a_mistake_with_the_known_names(loop):
    with pytest.raises(InputError, match="'green'") as refused:
        made(loop, "green")
    assert refused.value.hint == "teams are 'blue-team', 'red-team'"


def test_a_budget_has_the_same_numbers_wherever_it_is_shown(loop):
    """In the report of a cluster, of a team, and of the command: of both clusters in the database."""
    whole, red = made(loop), made(loop, "red-team")
    command = weekly.budgets(loop.ledger, BUDGETS, at(WEEK_H) - 1)
    assert whole.budgets == command
    assert red.budgets == command[:1]
    assert {one.clusters for one in command} == {2}
    # 22 days of November, of which 20 + 2 days of the other cluster at 10 hours a day, and this week at 24.
    assert command[0].actual_usd == pytest.approx(22 * 10 * 4 + WEEK_H * 4)
    assert json.loads(to_json(command))[0]["clusters"] == 2
    text = render_markdown(whole)
    assert "Of all 2 clusters whose cost is in the ledger's database" in text
    assert "team red-team in 2 clusters" in text.replace("\\", "")


def test_one_cluster_says_that_it_is_one(loop, tmp_path):
    with SqliteLedger(tmp_path / "own.db") as ledger:
        found = made(replace(loop, ledger=ledger))
    assert {one.clusters for one in found.budgets} == {found.spending_clusters} == {1}
    assert "Of the one cluster whose cost" in render_markdown(found)
