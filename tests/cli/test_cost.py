"""`gpuwise cost`, `budget` and `anomalies` as a user types them: sums, exit statuses, hostile names, mistakes."""

import csv
import io
import json
from contextlib import closing
from dataclasses import replace

import pytest
from tests.command import ran
from tests.finops.test_budgets import NOW_S, TODAY, daily, row, steady

from gpuwise.cli.serve import cost_document
from gpuwise.config import Config, LedgerConfig
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Owner
from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S

HOSTILE = ('=cmd|"/c calc"!A1', "[red]x[/red]", "a\nb", "`|<b>", "naïve 🦙")
BUDGETS = """
finops:
  budgets:
    - {name: research, by: team, value: ml, usd: 5000}
    - {name: everything, by: fleet, usd: 1000000}
"""


@pytest.fixture
def ledger(tmp_path):
    """90 days of team ml, and one day of teams with hostile names."""
    path = tmp_path / "ledger.db"
    known = [TODAY - back * DAY_S for back in range(90, 0, -1)]
    costs = [*daily(steady), *(row(TODAY - DAY_S, 1.0, team=name) for name in HOSTILE)]
    price = costs[0].price
    costs += [CostRow(day_s, NOBODY, price, GpuSeconds(unallocated=36_000.0)) for day_s in known]
    with closing(SqliteLedger(path)) as opened:
        opened.belongs_to("uid-1")
        opened.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in known], costs)
    return path


def asked(name, ledger, tmp_path, *arguments):
    return ran(name, "--ledger", str(ledger), "--now", str(NOW_S), *arguments, home=tmp_path)


def test_the_lines_of_each_form_sum_to_the_same_total(ledger, tmp_path):
    as_json, as_csv, table = (asked("cost", ledger, tmp_path, "-o", form) for form in ("json", "csv", "table"))
    document = json.loads(as_json.stdout)
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert document["total_usd"] == round(sum(one["usd"] for one in document["lines"]), 2)
    assert document["total_usd"] == round(sum(float(one["usd"]) for one in rows), 2)
    assert f"{document['total_usd']:,.2f}" in table.stdout
    assert document["total_usd"] == 15 * 200 + 7 * 100 + 5 * 2 + 22 * 20


def test_names_reach_every_form_as_text(ledger, tmp_path):
    document = json.loads(asked("cost", ledger, tmp_path, "-o", "json").stdout)
    assert set(HOSTILE) <= {one["team"] for one in document["lines"]}
    rows = csv.DictReader(io.StringIO(asked("cost", ledger, tmp_path, "-o", "csv").stdout))
    assert {f"'{HOSTILE[0]}", *HOSTILE[1:]} <= {one["team"] for one in rows}
    assert "[red]x[/red]" in asked("cost", ledger, tmp_path).stdout


def test_the_days_are_dates_in_order(ledger, tmp_path):
    found = json.loads(asked("cost", ledger, tmp_path, "--by", "day", "--window", "30d", "-o", "json").stdout)
    days = [one["day"] for one in found["lines"]]
    assert (days[0], days[-1]) == ("2026-10-25", "2026-11-22")
    assert days == sorted(days)


def test_a_spread_moves_the_cost_of_what_no_pod_had(ledger, tmp_path):
    found = json.loads(asked("cost", ledger, tmp_path, "--spread", "even", "-o", "json").stdout)
    lines = {one["team"] or one["kind"]: one for one in found["lines"]}
    assert (lines["unallocated"]["usd"], lines["unallocated"]["gpu_h"]) == (0, 220)
    assert sum(one["shared_usd"] for one in found["lines"]) == pytest.approx(440)


def test_a_budget_that_will_be_exceeded_is_the_exit_status(ledger, tmp_path):
    config = tmp_path / "gpuwise.yaml"
    config.write_text(BUDGETS)
    table, document = (
        asked("budget", ledger, tmp_path, "--config", str(config), *form) for form in ((), ("-o", "json"))
    )
    assert (table.returncode, document.returncode) == (2, 2)
    assert "will be exceeded" in " ".join(table.stdout.split())
    states = {one["name"]: one["state"] for one in json.loads(document.stdout)}
    assert states == {"research": "breach", "everything": "within"}
    config.write_text(BUDGETS.replace("usd: 5000", "usd: 9000"))
    assert asked("budget", ledger, tmp_path, "--config", str(config)).returncode == 0


def test_a_lasting_step_is_one_line_with_its_cause(ledger, tmp_path):
    assert "No lasting step" in asked("anomalies", ledger, tmp_path).stdout
    with closing(SqliteLedger(ledger)) as opened:
        opened.belongs_to("uid-2")
        days = [TODAY - back * DAY_S for back in range(90, 0, -1)]
        costs = [row(day_s, 100.0 if day_s < TODAY - 9 * DAY_S else 260.0, team="web", name="chat") for day_s in days]
        opened.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in days], costs)
    [found] = json.loads(asked("anomalies", ledger, tmp_path, "-o", "json").stdout)
    assert (found["subject"], found["workload"]) == ("team web", "apps/Deployment/chat")
    assert "more GPU time" in asked("anomalies", ledger, tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "arguments", "problem"),
    [
        ("cost", ("--window", "2026-13"), "--window is '2026-13'"),
        ("cost", ("--window", "2024-01"), "no day of 2024-01"),
        ("cost", ("--by", "team,squad"), "squad"),
        ("cost", ("--ledger", "none.db"), "there is no ledger none.db"),
        ("budget", (), "there is no budget"),
        ("budget", ("--config", "bad.yaml"), "'squad'"),
        ("budget", ("--config", "negative.yaml"), "usd"),
        ("anomalies", ("--ledger", "none.db"), "there is no ledger none.db"),
    ],
)
def test_a_mistake_is_one_line(ledger, tmp_path, command, arguments, problem):
    (tmp_path / "bad.yaml").write_text("finops: {budgets: [{name: a, by: squad, value: x, usd: 5}]}")
    (tmp_path / "negative.yaml").write_text("finops: {budgets: [{name: a, value: x, usd: -5}]}")
    given = [str(tmp_path / one) if one.endswith(".yaml") else one for one in arguments]
    done = asked(command, ledger, tmp_path, *given)
    assert (done.returncode, done.stdout) == (1, "")
    assert problem in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_coverage_of_required_tags_and_who_created_what_lacks_them(ledger, tmp_path):
    config = tmp_path / "gpuwise.yaml"
    config.write_text("finops: {required_tags: {team: [ml], project: []}}")
    options = "--config", str(config), "--window", "30d"
    found = json.loads(asked("tags", ledger, tmp_path, *options, "-o", "json").stdout)
    team, project = found["coverage"]
    assert (team["key"], project["key"], project["usd"]) == ("team", "project", 0)
    assert team["total_usd"] - team["usd"] == len(HOSTILE) * 2
    table = asked("tags", ledger, tmp_path, *options)
    assert "its creator is not known" in table.stdout
    assert "[red]x[/red]" in table.stdout


def test_what_used_no_gpu_for_two_weeks_is_an_orphan_with_its_owner(tmp_path):
    path, known = tmp_path / "ledger.db", [TODAY - back * DAY_S for back in range(40, 0, -1)]
    price = daily(steady)[0].price
    owner = Owner("lab", "Deployment/[red]old[/red]", team="ml", creator="ada")
    busy, idle = GpuSeconds(used=86_400.0), GpuSeconds(idle=86_400.0)
    costs = [CostRow(day_s, owner, price, busy if day_s < TODAY - 20 * DAY_S else idle) for day_s in known]
    with closing(SqliteLedger(path)) as opened:
        opened.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in known], costs)
    config = tmp_path / "gpuwise.yaml"
    config.write_text("finops: {known_owners: {team: [search]}}")
    [found] = json.loads(asked("orphans", path, tmp_path, "--config", str(config), "-o", "json").stdout)
    assert (found["name"], found["idle_d"], found["gone"]) == (["", "lab"], 20, ["team ml"])
    table = asked("orphans", path, tmp_path, "--config", str(config), "--by", "workload").stdout
    assert "lab/Deployment/[red]old[/red]" in table
    assert "team ml, creator ada; idle for 20 days" in " ".join(table.split())
    assert (
        "No namespace is known to have left its GPUs unused" in asked("orphans", path, tmp_path, "--days", "30").stdout
    )


@pytest.mark.parametrize("command", ["tags", "orphans", "anomalies", "budget"])
def test_without_a_history_it_says_what_to_do(tmp_path, command):
    config = tmp_path / "gpuwise.yaml"
    config.write_text(BUDGETS)
    with closing(SqliteLedger(tmp_path / "ledger.db")):
        pass
    found = asked(command, tmp_path / "ledger.db", tmp_path, "--config", str(config))
    assert found.returncode == 1
    assert "run `gpuwise scan`" in found.stderr


def test_a_month_that_is_not_in_the_history_is_no_spend_of_0(ledger, tmp_path):
    """The history ends in November; in December nothing is recorded yet, and no step can be ruled out."""
    config = tmp_path / "gpuwise.yaml"
    config.write_text(BUDGETS)
    later = "--now", str(NOW_S + 40 * DAY_S), "--config", str(config)
    table = ran("budget", "--ledger", str(ledger), *later, home=tmp_path).stdout
    assert table.count("none recorded") == 2
    assert "$0" not in table
    in_json = json.loads(ran("budget", "--ledger", str(ledger), *later, "-o", "json", home=tmp_path).stdout)
    assert [one["actual_usd"] for one in in_json] == [None, None]
    found = ran("anomalies", "--ledger", str(ledger), *later, home=tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert "has no complete day of the last 28; run `gpuwise scan`" in found.stderr


def test_a_history_too_short_for_steps_is_said(tmp_path):
    with closing(SqliteLedger(tmp_path / "ledger.db")) as opened:
        known = [TODAY - back * DAY_S for back in range(5, 0, -1)]
        days = [CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in known]
        opened.costs().record(days, [row(day_s, 1.0) for day_s in known])
    known = "cost history has 5 complete days; steps are found from 14 on"
    table = asked("anomalies", tmp_path / "ledger.db", tmp_path)
    assert (table.returncode, known in table.stdout) == (0, True)
    found = asked("anomalies", tmp_path / "ledger.db", tmp_path, "-o", "json")
    assert (found.returncode, found.stdout, known in found.stderr) == (1, "", True)


def test_a_cluster_that_stopped_is_said(tmp_path):
    path, known = tmp_path / "ledger.db", [TODAY - back * DAY_S for back in range(20, 0, -1)]
    for uid, days in (("uid-1", known), ("uid-2", known[:-3])):
        with closing(SqliteLedger(path)) as opened:
            opened.belongs_to(uid)
            costs = [row(day_s, 1.0, team="ml") for day_s in days]
            opened.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in days], costs)
    table = asked("cost", path, tmp_path, "--window", "10d").stdout
    assert "3 days are not complete yet" in " ".join(table.split())


def test_the_api_answers_what_the_command_prints(ledger, tmp_path):
    config = replace(Config(), ledger=LedgerConfig(ledger))
    printed = ran(
        "cost", "--ledger", str(ledger), "--by", "team,phase", "--window", "2026-11", "-o", "json", home=tmp_path
    )
    assert cost_document(config, "team,phase", "2026-11", "none") == printed.stdout.rstrip("\n")
    for by, window, spread in (("squad", "2026-11", "none"), ("team", "x", "none"), ("team", "2026-11", "some")):
        with pytest.raises(InputError):
            cost_document(config, by, window, spread)
