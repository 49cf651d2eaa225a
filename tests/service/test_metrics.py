import subprocess
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.prometheus_server import NEEDS_PROMETHEUS

from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation, Saving
from gpuwise.model.report import Action, Bill, BudgetStatus, DataQuality, TeamCost, WeeklyReport
from gpuwise.service.loop import LoopWatch
from gpuwise.service.metrics import UNCLAIMED, FleetCollector

REF = WorkloadRef("research", "Deployment", "notebook", "uid-1")


def recommendation(finding: Finding, usd_month: float) -> Recommendation:
    return Recommendation(
        id="r-0123456789",
        workload=REF,
        owner="research",
        finding=finding,
        reasons=(Reason.NO_ACTIVITY,),
        change=ScaleTo(0),
        saving=Saving(usd_month, usd_month, usd_month, 730),
        risk=1,
        confidence=0.9,
        coverage=0.95,
        evidence=(),
        restart_needed=True,
        rollback_possible=True,
        effort="Low",
        created_s=0,
        expires_s=1,
        etag="e",
    )


def action(status: OutcomeStatus | None) -> Action:
    command = Command("a-0123456789", "r-0123456789", REF, ScaleTo(0), "policy")
    outcome = None if status is None else Outcome(command.id, 1, status, None, "")
    return Action(Intent(command, 0, "7", {}, {}), outcome, None)


REPORT = WeeklyReport(
    schema="1",
    week="2026-W20",
    start_s=1_778_457_600,
    end_s=1_779_062_400,
    generated_s=1_779_070_000,
    cluster="prod",
    bill=Bill(1000.0, 600.0, 300.0, 20.0, 80.0, 10.0, 6.0, 3.0, 0.2, 0.8, 0.0),
    days=(),
    teams=(TeamCost("research", 2, 100, 80, 500.0, 400.0, 90.0), TeamCost(None, 1, 1, 0, 5.0, 0.0, 0.0)),
    workloads=(),
    recommendations=(
        recommendation(Finding.IDLE, 70.0),
        recommendation(Finding.IDLE, 30.0),
        recommendation(Finding.GPU_OVERPROVISIONED, 5.0),
    ),
    blocked=(
        Blocked(REF, "idle", Reason.BUSY, ""),
        Blocked(REF, "decide", Reason.PAUSED, ""),
        Blocked(REF, "idle", Reason.BUSY, ""),
    ),
    actions=(action(OutcomeStatus.APPLIED), action(None)),
    predicted_usd_month=105.0,
    realised_usd_month=42.0,
    quality=DataQuality(3, 2, 0.875, 0, ()),
    price_source="test",
    budgets=(
        BudgetStatus(
            "research",
            "team research",
            "2026-05",
            5_000.0,
            4_100.0,
            1_779_062_400,
            180.0,
            5_600.0,
            5_100.0,
            6_100.0,
            "",
            1_779_500_000,
            "breach",
            (0.5, 0.8),
            2.0,
        ),
    ),
)
BUDGET = {"budget": "research", "subject": "team research"}


def value(report: WeeklyReport | None, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: report))
    return registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("gpuwise_fleet_gpu_seconds", {"class": "idle"}, 300.0),
        ("gpuwise_fleet_gpu_seconds", {"class": "unallocated"}, 80.0),
        ("gpuwise_fleet_gpu_seconds", {"class": "outside"}, 20.0),
        ("gpuwise_fleet_cost_usd", {"class": "outside"}, 0.2),
        ("gpuwise_fleet_cost_usd", {"class": "used"}, 6.0),
        ("gpuwise_team_cost_usd", {"team": "research"}, 500.0),
        ("gpuwise_team_cost_usd", {"team": UNCLAIMED}, 5.0),
        ("gpuwise_team_idle_cost_usd", {"team": "research"}, 400.0),
        ("gpuwise_recommendations", {"finding": "Idle"}, 2.0),
        ("gpuwise_recommended_saving_usd_per_month", {"finding": "Idle"}, 100.0),
        ("gpuwise_recommended_saving_usd_per_month", {"finding": "GPUOverprovisioned"}, 5.0),
        ("gpuwise_realised_saving_usd_per_month", {}, 42.0),
        ("gpuwise_blocked", {"stage": "idle", "reason": "Busy"}, 2.0),
        ("gpuwise_blocked", {"stage": "decide", "reason": "Paused"}, 1.0),
        ("gpuwise_actions", {"status": "applied"}, 1.0),
        ("gpuwise_actions", {"status": "in-flight"}, 1.0),
        ("gpuwise_budget_usd", BUDGET, 5_000.0),
        ("gpuwise_budget_actual_usd", BUDGET, 4_100.0),
        ("gpuwise_budget_forecast_usd", BUDGET | {"bound": "low"}, 5_100.0),
        ("gpuwise_budget_forecast_usd", BUDGET | {"bound": "expected"}, 5_600.0),
        ("gpuwise_budget_forecast_usd", BUDGET | {"bound": "high"}, 6_100.0),
        ("gpuwise_budget_threshold_reached_ratio", BUDGET, 0.8),
        ("gpuwise_budget_breach_timestamp_seconds", BUDGET, 1_779_500_000.0),
        ("gpuwise_budget_unpriced_gpu_seconds", BUDGET, 7_200.0),
        ("gpuwise_data_coverage_ratio", {}, 0.875),
        ("gpuwise_report_timestamp_seconds", {}, 1_779_070_000.0),
    ],
)
def test_each_number_of_the_report_is_exported(name: str, labels: dict[str, str], expected: float):
    assert value(REPORT, name, **labels) == expected


def test_the_classes_sum_to_the_capacity():
    classes = ("used", "idle", "outside", "unallocated")
    seconds = [value(REPORT, "gpuwise_fleet_gpu_seconds", **{"class": name}) for name in classes]
    assert sum(filter(None, seconds)) == REPORT.bill.capacity_gpu_s


def test_without_a_report_only_the_build_info_is_exported():
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: None))
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert names == {"gpuwise_build_info"}


def test_unknown_coverage_has_no_series():
    unknown = replace(REPORT, quality=replace(REPORT.quality, coverage=None))
    assert value(unknown, "gpuwise_data_coverage_ratio") is None


def test_a_budget_without_a_forecast_has_no_series_of_it():
    one = replace(REPORT.budgets[0], forecast_usd=None, low_usd=None, high_usd=None, breach_s=None, alerts=())
    early = replace(REPORT, budgets=(one,))
    assert value(early, "gpuwise_budget_actual_usd", **BUDGET) == 4_100.0
    for name in ("forecast_usd", "breach_timestamp_seconds", "threshold_reached_ratio"):
        bounds = [{"bound": bound} for bound in ("low", "expected", "high")] if name == "forecast_usd" else [{}]
        assert {value(early, f"gpuwise_budget_{name}", **BUDGET, **bound) for bound in bounds} == {None}


def test_no_saving_is_zero_not_absent():
    assert value(replace(REPORT, realised_usd_month=0.0), "gpuwise_realised_saving_usd_per_month") == 0.0


@NEEDS_PROMETHEUS
def test_promtool_finds_no_problem():
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: REPORT))
    watch = LoopWatch(600)
    registry.register(watch)
    with watch.step("score"):
        pass
    text = generate_latest(registry)
    linted = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")
