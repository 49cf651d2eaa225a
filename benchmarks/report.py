"""The weekly report's history for 100,000 GPUs and 5,000 teams over 13 weeks, against limits of CPU time and memory.

The history has a row for each of 10,000 workloads and 30 pools of unallocated time on each of 91 days; 20 teams have a
lasting step. A new process makes the report as a pass does: from what scoring yields of the week, on disk, the bill by
day, team and workload, the hours of the week and the activity; from the ledger's database 13 weeks, 500 budgets with
their forecasts, the steps of all teams with their causes, the savings of 500 actions; then it renders HTML, Markdown
and JSON with all teams and workloads. CPU seconds are divided by `machine_factor`. Scoring the week is not part of it:
the benchmark `scan` measures that. The figures:

report_cpu_s      CPU seconds
report_peak_gib   peak resident memory
report_html_mb    size of the HTML
report_history_mb size of the database

Then it makes the reports of all teams, in the same process: `gpuwise report --each-team` with one worker.

report_teams_cpu_s    CPU seconds for the HTML, Markdown and JSON of all teams, after the report of the fleet
report_teams_peak_gib peak resident memory until then
"""

import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from benchmarks.measure import at_most, in_a_process_of_its_own, machine_factor, remark, scaled

from gpuwise import spending, weekly
from gpuwise.finops import Period, compile_report
from gpuwise.finops.hours import hours_of_week
from gpuwise.finops.settings import Budget, FinopsSettings
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.billed import ScoredUse
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Inventory, Node, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.packed import pack
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import DayUse, Stay
from gpuwise.model.report import WeeklyReport
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.report import render_html, render_json, render_markdown
from gpuwise.schedule.in_process import InProcess
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings
from gpuwise.weekly import hour_of_week

GOALS = {
    "report_cpu_s": at_most(60.0),
    "report_peak_gib": at_most(2.0),
    "report_html_mb": at_most(3.0),
    "report_teams_cpu_s": at_most(60.0),
    "report_teams_peak_gib": at_most(2.0),
}

WORKLOADS, TEAMS, DAYS = scaled(10_000, least=100), scaled(5_000, least=50), 91
_GPUS_EACH = 10
_END_S = 1_795_392_000  # Monday 2026-11-23 00:00 UTC
_STEPS, _BUDGETS, _ACTIONS, _POOLS, _SHARD = 20, 500, 500, 30, 100
_H = 3_600.0


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        _write(path)
        found = in_a_process_of_its_own("benchmarks.report", path)
        size_mb = path.stat().st_size / 1e6
    remark(
        f"report: {WORKLOADS:,} workloads of {TEAMS:,} teams, {DAYS} days; {found['steps']:.0f} steps in cost, "
        f"{found['cpu_s']:.1f} s of CPU time, and {found['teams_cpu_s']:.1f} s for the reports of the teams"
    )
    return {
        "report_cpu_s": found["cpu_s"] / machine_factor(),
        "report_peak_gib": found["peak_gib"],
        "report_html_mb": found["html_mb"],
        "report_history_mb": size_mb,
        "report_teams_cpu_s": found["teams_cpu_s"] / machine_factor(),
        "report_teams_peak_gib": found["teams_peak_gib"],
    }


def _name(number: int) -> tuple[str, str]:
    return f"space-{number % 200}", f"Deployment/service-{number}"


def _write(path: Path) -> None:
    """Ten GPUs for each workload, 16 to 22 hours a day on working days and a third less on the others."""
    draw = np.random.default_rng(20_261_127)
    level = draw.uniform(16.0, 22.0, WORKLOADS)
    price = Price("H100-80GB", None, "eu-west-1", None, 3.0)
    with SqliteLedger(path) as ledger:
        for back in range(DAYS, 0, -1):
            day_s = _END_S - back * DAY_S
            share = (1.0 if (day_s // DAY_S + 3) % 7 < 5 else 0.65) * draw.normal(1.0, 0.03, WORKLOADS)
            rows = []
            for number in range(WORKLOADS):
                team = number % TEAMS
                grown = 1.6 if team < _STEPS and back <= 10 else 1.0
                hours = min(24.0, level[number] * share[number] * grown) * _GPUS_EACH
                owner = Owner(*_name(number), team=f"team-{team}", phase="inference")
                rows.append(CostRow(day_s, owner, price, GpuSeconds(used=0.7 * hours * _H, idle=0.3 * hours * _H)))
            free = GpuSeconds(unallocated=WORKLOADS * 2 * _H / _POOLS)
            rows += [CostRow(day_s, NOBODY, price._replace(zone=f"zone-{pool}"), free) for pool in range(_POOLS)]
            ledger.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True)], rows)


def _actions() -> tuple[list[Intent], list[Outcome]]:
    intents, outcomes = [], []
    for number in range(min(_ACTIONS, WORKLOADS)):
        namespace, name = _name(number)
        ref = WorkloadRef(namespace, *name.split("/"), f"uid-{number}")
        at_s = _END_S - (40 + number % 20) * DAY_S
        intents.append(Intent(Command(f"a-{number}", f"r-{number}", ref, ScaleTo(1), "policy"), at_s, "1", {}, {}))
        outcomes.append(Outcome(f"a-{number}", at_s, OutcomeStatus.APPLIED, None, ""))
    return intents, outcomes


def _period() -> Period:
    """What scoring yields of the week: each workload has ten cards, idle by night and at noon, on disk as in a pass."""
    start_s = _END_S - 7 * DAY_S
    nodes = [
        Node(f"node-{one}", named("H100-80GB"), "H100", _GPUS_EACH, {}, CapacityType.ON_DEMAND, "eu-west-1")
        for one in range(WORKLOADS)
    ]
    midnights = range(start_s, _END_S, DAY_S)
    idle_s = tuple(at for day_s in midnights for at in (day_s, day_s + 21_600, day_s + 43_200, day_s + 46_800))
    workloads, profiles, window = [], ProfileFile(), Window(start_s, _END_S, 60)
    nothing = score_series(UsageSeries(WorkloadRef("", "", "", ""), window, ()), ScoreSettings())
    shard = []
    for number in range(WORKLOADS):
        namespace, name = _name(number)
        ref, node = WorkloadRef(namespace, *name.split("/"), f"uid-{number}"), f"node-{number}"
        labels = {"team": f"team-{number % TEAMS}"}
        workloads.append(Workload(ref, WorkloadClass.ENDPOINT, 1, None, labels, {}, (), 0))
        held, idle = _GPUS_EACH * DAY_S, _GPUS_EACH * 25_200
        days = tuple(DayUse(day_s, node, "H100-80GB", held, idle, held - idle) for day_s in midnights)
        stays = tuple(
            Stay(f"GPU-{number}-{card}", node, "H100-80GB", 1.0, start_s, _END_S, idle_s) for card in range(_GPUS_EACH)
        )
        billed = replace(
            nothing.billed, workload=ref, allocated_gpu_s=7.0 * held, days=days, stays=stays, activity=0.4,
            coverage={Signal.SM_ACTIVITY: 1.0}, activity_tenths=(0.3, *[0.0] * 8, 0.7),
            sampled_gpu_s=dict.fromkeys(midnights, float(held)),
        )  # fmt: skip
        shard.append(ScoredUse(replace(nothing.profile, workload=ref), billed))
        if len(shard) == _SHARD or number == WORKLOADS - 1:
            profiles.add(pack(shard))
            shard.clear()
    inventory = Inventory(_END_S, {one.name: one for one in nodes}, tuple(workloads), {})
    prices = PriceBook({("H100-80GB", CapacityType.ON_DEMAND): 3.0}, "none")
    return Period(inventory, profiles.billed, prices, start_s, _END_S, _END_S)


def main() -> None:
    period, actions = _period(), _actions()
    budgets = [Budget(f"budget {one}", 30_000.0, "team", f"team-{one}") for one in range(_BUDGETS)]
    began_s = time.process_time()
    report = compile_report(period, name="2026-W47", recommendations=(), blocked=(), actions=(), cluster="bench")
    clock = partial(hour_of_week, zone=UTC)
    report = replace(report, hours=hours_of_week(period, clock))
    with SqliteLedger(Path(sys.argv[1])) as ledger:
        history = ledger.costs()
        report = replace(
            report,
            trend=spending.weeks(history, _END_S),
            budgets=spending.budgets(history, budgets, (), _END_S - 1),
            anomalies=spending.anomalies(history, "team", _END_S - 28 * DAY_S, _END_S),
            measured=spending.measured(history, *actions, _END_S),
        )
    html = render_html(report)
    render_markdown(report)
    render_json(report)
    cpu_s = time.process_time() - began_s
    assert report.hours is not None
    assert abs(sum(report.hours.idle_gpu_h) - report.bill.idle_gpu_s / _H) < 1.0
    found = {"cpu_s": cpu_s, "peak_gib": _peak_gib(), "html_mb": len(html.encode()) / 1e6}
    teams_cpu_s = _teams(period, report, budgets)
    found |= {"teams_cpu_s": teams_cpu_s, "teams_peak_gib": _peak_gib(), "steps": len(report.anomalies)}
    print(json.dumps(found))


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def _teams(period: Period, report: WeeklyReport, budgets: list[Budget]) -> float:
    """CPU seconds for the reports of all teams."""
    settings = SimpleNamespace(finops=FinopsSettings(budgets=tuple(budgets)))
    survey = SimpleNamespace(inventory=period.inventory)
    began_s, made, size = time.process_time(), 0, 0
    with SqliteLedger(Path(sys.argv[1])) as ledger:
        loop = SimpleNamespace(
            ledger=ledger, settings=settings, executor=InProcess(), period=lambda *_: period, progress=lambda *_: None
        )
        for one in weekly.team_reports(loop, weekly.team_parts(loop, weekly.Week(report, survey, ())), views=True):
            made, size = made + 1, size + len(one.pages.html)
    assert made == TEAMS
    cpu_s = time.process_time() - began_s
    print(f"{made} reports, {size / made / 1e3:.0f} kB of HTML each", file=sys.stderr)
    return cpu_s


if __name__ == "__main__":
    main()
