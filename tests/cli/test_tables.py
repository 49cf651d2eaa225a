"""Every table fits 80 columns and shows the longest names that Kubernetes allows in full."""

from dataclasses import fields, replace

import pytest
from tests.report.conftest import sample_report

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.backtest.contract import Decisions, Figure, Played, Result
from gpuwise.cli import backtest, replay, show
from gpuwise.cli.console import out
from gpuwise.cli.plan import show_plan
from gpuwise.cli.run import show_run
from gpuwise.decide.decide import Decision, command
from gpuwise.model.command import POLICY, Outcome, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.report import Bill
from gpuwise.model.usage import Window
from gpuwise.pipeline import Run, Survey
from gpuwise.replay import Replay, Sighting

WIDTH = 80
TEAM = "team-with-a-name-of-63-letters-which-is-what-a-label-can-hold-x"
LONG = WorkloadRef("a-namespace-of-63-letters-" + "n" * 37, "StatefulSet", "fine-tune-" + "llama-" * 8 + "405b", "u")
USUAL = WorkloadRef("search-production", "Deployment", "semantic-ranking-frontend-v2-canary", "v")
MOMENT = 1_794_787_200
NONE = Decisions((), ())


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setattr(out, "width", WIDTH)


@pytest.fixture
def report():
    """The sample with long names, in which one recommendation of each finding is open."""
    sample = sample_report()
    first = sample.recommendations[0]
    items = [
        replace(first, id=f"r-{number:010d}", workload=(LONG, USUAL)[number % 2], finding=finding, owner=TEAM)
        for number, finding in enumerate(Finding)
    ]
    owned = [
        Blocked(item.workload, "decide", Reason.MANAGED_BY_OTHER, f"owned by ArgoCD/{TEAM}", (), item.id)
        for item in items[:6]
    ]
    costs = [replace(cost, workload=str(LONG), team=TEAM) for cost in sample.workloads]
    blocked = [Blocked(LONG, "decide", code, "why " * 30, (), "r-1") for code in Reason]
    return replace(
        sample, recommendations=tuple(items), blockers=tuple(owned), workloads=tuple(costs), blocked=tuple(blocked)
    )


def fitting(text):
    """Lines of a table, each within the width; commands are for copying, and never wrap."""
    lines = text.splitlines()
    prose = [line for line in lines if "gpuwise undo" not in line]
    assert [line for line in prose if len(line) > WIDTH] == []
    return lines


def names_are_whole(lines, *refs):
    """Joined, the lines of a name are the name; a name that fits is on one line."""
    assert str(USUAL) in [line.strip() for line in lines] or USUAL not in refs
    joined = "".join(line.strip() for line in lines)
    assert all(str(ref) in joined for ref in refs)
    # A long name breaks only at its slashes.
    if LONG in refs:
        assert LONG.name in [line.strip() for line in lines] or any(
            line.strip().startswith(LONG.name) for line in lines
        )


def decision(report):
    orders = tuple(command(item, actor=POLICY, now_s=MOMENT) for item in report.recommendations[:3])
    return Decision(orders, report.blocked)


def test_scan(report, capsys):
    show.table(report)
    text = capsys.readouterr().out
    names_are_whole(fitting(text), LONG, USUAL)
    for title in (
        "Do these first (",
        "Advice: you carry these out (",
        "Allocated but idle (",
        "Blocked, by reason",
    ):
        assert title in text
    before, _, after = text.partition("Advice: you carry these out")
    assert "owned by ArgoCD" not in before
    assert "Owned by ArgoCD" in after
    assert "requests more GPU than it uses" in text
    assert "GPUOverprovisioned" not in text


@pytest.mark.parametrize("selection", [None, "namespace red"])
def test_scan_without_any_measurement(report, capsys, selection):
    """No sum of a time that nobody measured: neither $0 idle nor 0 %."""
    unknown = {"unknown_gpu_s": 7_200.0, "unknown_usd": 8.0, "capacity_gpu_s": 7_200.0, "capacity_usd": 8.0}
    bill = Bill(**dict.fromkeys((field.name for field in fields(Bill)), 0.0) | unknown)
    show.table(replace(report, bill=bill, selection=selection, recommendations=(), workloads=()))
    shown = capsys.readouterr().out
    assert "measured" in shown
    assert "$0" not in shown
    assert "%" not in shown


def test_scan_of_a_selection(report, capsys):
    show.table(replace(report, selection=f"namespaces {LONG.namespace}, {USUAL.namespace}"))
    fitting(capsys.readouterr().out.partition("\n")[2])


def test_plan(report, capsys):
    show_plan(decision(report))
    text = capsys.readouterr().out
    names_are_whole(fitting(text), LONG, USUAL)
    assert "Planned (3)" in text
    for code in Reason:
        assert f"({code.value})" in text.replace("\n  ", " ")
    assert text.count("next: gpuwise ") == len(Reason)


def test_plan_groups_what_is_blocked(report, capsys):
    held = tuple(
        Blocked(USUAL, "decide", Reason.RECOMMEND_ONLY, "mode recommend", (), f"r-{number}") for number in range(28)
    )
    show_plan(Decision((), (*held, Blocked(LONG, "decide", Reason.PROTECTED, "do-not-disrupt", (), "r-99"))))
    lines = fitting(capsys.readouterr().out)
    at = lines.index("Blocked (29)")
    assert lines[at + 1 : at + 5] == [
        "  28: its mode is recommend: a person may apply it (RecommendOnly)",
        f"      {USUAL}",
        "      mode recommend",
        "      next: gpuwise apply r-0",
    ]
    assert "      next: gpuwise explain r-99" in lines


def test_run(report, capsys):
    made = decision(report)
    applied, refused, dry = (one.id for one in made.commands)
    outcomes = (
        Outcome(applied, MOMENT, OutcomeStatus.APPLIED, None, "replicas 2 to 0"),
        Outcome(refused, MOMENT, OutcomeStatus.NOT_APPLIED, Reason.DENIED_BY_ADMISSION, "because " * 30),
        Outcome(dry, MOMENT, OutcomeStatus.WOULD_APPLY, None, "replicas 2 to 0"),
    )
    nothing = Survey(Window(0, 3600, 300), Inventory(0, {}, (), {}), {}, (), ())
    show_run(Run(nothing, made, outcomes))
    lines = fitting(capsys.readouterr().out)
    names_are_whole(lines, LONG, USUAL)
    assert f"  undo: gpuwise undo {applied}" in lines
    assert "a policy, webhook or quota of the cluster denied it" in " ".join(" ".join(lines).split())


def test_replay(report, capsys):
    seen = [Sighting(item, MOMENT, MOMENT, 3) for item in report.recommendations]
    seen += [Sighting(item, MOMENT, MOMENT, 3) for item in report.blocked]
    replay._table(Replay(report, tuple(seen), 3600))
    text = capsys.readouterr().out
    table, _, _ = text.partition("\nAllocated ")
    names_are_whole(fitting(table), LONG, USUAL)


def test_backtest(capsys):
    figures = {f"figure_number_{number}_usd": Figure(1234.5678, 1200.0, 1300.0) for number in range(9)}
    played = {
        "gpuwise": Played(figures, 12.5, NONE),
        "a_baseline_with_a_long_name_of_its_own": Played(figures, 0.5, NONE),
    }
    result = Result(BACKTESTS[0].name, "a-label", played, dict.fromkeys(figures, 0.5))
    show.put(backtest._table(BACKTESTS[0], result))
    lines = fitting(capsys.readouterr().out)
    assert "figure_number_8_usd 1235 (1200 to 1300)" in " ".join(" ".join(lines).split())
