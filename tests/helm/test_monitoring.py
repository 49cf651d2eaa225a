"""The chart's rules: promtool's unit tests, the runbook, and each expression on a real Prometheus."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.alertmanager_server import NEEDS_AMTOOL
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus
from tests.service.test_metrics import REPORT

from gpuwise.collect.health import RESET_XIDS
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings

from . import demo_data
from .conftest import CHART, ROOT

FILES = [CHART / "files" / "recording.yaml", CHART / "files" / "alerts.yaml"]
UNIT_TESTS = Path(__file__).parent / "alerts_test.yaml"
GROUPS: list[dict[str, Any]] = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDED = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]
RUNBOOK = ROOT / "docs" / "runbook.md"
RUNBOOK_URL = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["runbookUrl"]
# Metrics of Prometheus itself that the rules may use.
NOT_OURS = {"up"}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "helm" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@NEEDS_PROMETHEUS
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_promtool_accepts_the_rules(path: Path):
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMETHEUS
def test_the_rules_fire_when_they_should_and_only_then():
    done = subprocess.run(["promtool", "test", "rules", UNIT_TESTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_unit_test_that_fires_it_and_one_that_does_not():
    tests = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_the_unit_tests_evaluate_every_group_in_its_order():
    """Without an order, an alert may see the recorded values of the minute before."""
    assert yaml.safe_load(UNIT_TESTS.read_text())["group_eval_order"] == [group["name"] for group in GROUPS]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_has_a_summary_a_description_and_a_runbook(rule: dict[str, Any]):
    assert re.fullmatch(r"Gpuwise[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK_URL}#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_the_runbook_has_cause_consequence_and_steps_of_each_alert(rule: dict[str, Any]):
    section = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"docs/runbook.md has no section {rule['alert']}"
    assert re.fullmatch(
        r"\n\*\*Cause\.\*\* .+\n\n\*\*Consequence\.\*\* .+\n\n\*\*Steps\.\*\*\n\n1\. .+\n", section[1], re.DOTALL
    )


def test_the_runbook_describes_every_recorded_series():
    text = RUNBOOK.read_text()
    assert [rule["record"] for rule in RECORDED if f"| `{rule['record']}` |" not in text] == []


def _codes(text: str) -> set[str]:
    """The codes of a cell or of an expression: "63, 92", "144 to 150" or "63|92"."""
    found = set(re.findall(r"\b\d+\b", text))
    for first, last in re.findall(r"(\d+) to (\d+)", text):
        found |= {str(code) for code in range(int(first), int(last) + 1)}
    return found


def _selected(name: str) -> set[str]:
    (rule,) = (rule for rule in ALERTS if rule["alert"] == name)
    return _codes(" ".join(re.findall(r'xid[=!]~"([^"]*)"', rule["expr"])))


def test_the_alerts_sort_xid_codes_as_the_runbook_does():
    table = re.findall(r"^\| ([^|]+) \| (Gpuwise\w+) \| [^|]+ \|$", RUNBOOK.read_text(), re.MULTILINE)
    of = {name: {code for cell, alert in table if alert == name for code in _codes(cell)} for _, name in table}
    critical, application = _selected("GpuwiseXidCritical"), _selected("GpuwiseXidApplication")
    assert (of["GpuwiseXidCritical"], of["GpuwiseXidApplication"]) == (critical, application)
    assert {"13", "31", "43", "45"} <= application
    assert critical.isdisjoint(application)
    assert of["GpuwiseGpuLost"] == {"79"}
    # Every other code is a warning, those that no catalogue knows yet as well.
    assert _selected("GpuwiseXidWarning") == critical | application | {"79"}
    assert of["GpuwiseXidWarning"].isdisjoint(critical | application)


def test_each_xid_after_which_the_exporter_asks_for_a_drain_is_critical():
    assert RESET_XIDS - {"79"} == _selected("GpuwiseXidCritical")


def test_rules_use_existing_metrics():
    known = set(re.findall(r"`(gpuwise_\w+)`", (ROOT / "docs" / "metrics.md").read_text())) | NOT_OURS
    recorded = {rule["record"] for rule in RECORDED}
    used: set[str] = set()
    for rule in (*RECORDED, *ALERTS):
        names = set(re.findall(r"(?<![\w:])(?:\w+:)?(?:gpuwise_\w+|up)(?::\w+)?\b", rule["expr"]))
        assert {name for name in names if ":" in name} <= recorded
        used |= {name for name in names if ":" not in name}
    assert used <= known
    assert len(used) > 15


def test_the_metrics_document_is_generated_by_its_script():
    assert (ROOT / "docs" / "metrics.md").read_text() == script("metrics_document").build()


@NEEDS_PROMETHEUS
def test_a_real_prometheus_evaluates_each_rule(start_prometheus: StartPrometheus):
    """With what the demo exports, so that joins and label sets are tested, and not only the parser."""
    url = start_prometheus(series=demo_data.openmetrics(demo_data.exporter_series(), demo_data.service_series(REPORT)))
    with PrometheusClient(PrometheusSettings(url)) as client:
        at = {"start_s": float(demo_data.START_S), "end_s": float(demo_data.END_S), "step_s": 10}
        found = {rule.get("record") or rule["alert"]: client.range(rule["expr"], **at) for rule in (*RECORDED, *ALERTS)}
    # Alerts that use a recorded series find nothing here; tests/e2e/test_alertmanager.py has them.
    assert [rule["record"] for rule in RECORDED if not found[rule["record"]]] == []
    assert found["GpuwiseDataCoverageLow"] == []


@NEEDS_AMTOOL
def test_amtool_accepts_the_example_of_alertmanagers_configuration():
    example = ROOT / "examples" / "alertmanager.yaml"
    done = subprocess.run(["amtool", "check-config", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_names_existing_alerts():
    text = (ROOT / "examples" / "alertmanager.yaml").read_text()
    named = set(re.findall(r"\bGpuwise\w+\b(?!\.)", text))
    assert named <= {rule["alert"] for rule in ALERTS}
    assert len(named) > 5


def test_the_document_shows_the_receiver_of_the_example():
    (block,) = re.findall(r"```yaml\n(receivers:\n.*?)```", (ROOT / "docs" / "alerting.md").read_text(), re.DOTALL)
    (shown,) = yaml.safe_load(block)["receivers"]
    receivers = yaml.safe_load((ROOT / "examples" / "alertmanager.yaml").read_text())["receivers"]
    (used,) = (one for one in receivers if one["name"] == shown["name"])
    shown["webhook_configs"][0]["http_config"]["authorization"].setdefault("type", "Bearer")
    assert shown == used
