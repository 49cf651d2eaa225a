import importlib.util
import itertools
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus

from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings

from .conftest import CHART, ROOT

ALERTS = CHART / "files" / "alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
# Metrics of Prometheus itself that the rules may use.
NOT_OURS = {"up"}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "helm" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def queries(board: dict[str, Any]) -> dict[str, str]:
    """Each panel's query, with the variables replaced as by Grafana."""
    return {
        panel["title"]: target["expr"].replace("$namespace", ".+")
        for panel in board["panels"]
        for target in panel.get("targets", [])
    }


DASHBOARD: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text())


@NEEDS_PROMETHEUS
def test_promtool_accepts_the_rules():
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMETHEUS
def test_the_rules_fire_when_they_should_and_only_then():
    tests = Path(__file__).parent / "alerts_test.yaml"
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_unit_test_that_fires_it():
    tests = yaml.safe_load((Path(__file__).parent / "alerts_test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_has_a_summary_a_description_and_a_runbook(rule: dict[str, Any]):
    assert re.fullmatch(r"Gpuwise[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"https://gpuwise.dev/runbook#{rule['alert'].lower()}"
    assert f"\n## {rule['alert']}\n" in (ROOT / "docs" / "runbook.md").read_text()


def test_rules_and_panels_use_existing_metrics():
    known = set(re.findall(r"`(gpuwise_\w+)`", (ROOT / "docs" / "metrics.md").read_text())) | NOT_OURS
    expressions = itertools.chain((rule["expr"] for rule in RULES), queries(DASHBOARD).values())
    used = {name for expr in expressions for name in re.findall(r"\b(gpuwise_\w+|up)\b", expr)}
    assert used <= known
    assert len(used) > 10


def test_the_dashboard_is_generated_by_its_script():
    assert (CHART / "files" / "dashboard.json").read_text() == script("dashboard").build()


def test_the_metrics_document_is_generated_by_its_script():
    assert (ROOT / "docs" / "metrics.md").read_text() == script("metrics_document").build()


def test_the_dashboard_has_a_stable_uid_its_variables_and_panels_that_do_not_overlap():
    assert DASHBOARD["uid"] == "gpuwise-gpu-money"
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "namespace"]
    assert "Why did nothing happen?" in queries(DASHBOARD)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


@NEEDS_PROMETHEUS
def test_prometheus_answers_each_panels_query(start_prometheus: StartPrometheus):
    """With two devices and a report, so that joins and label sets are tested, and not only the parser."""
    device = 'device_uuid="GPU-{0}",gpu="{0}",node="a",namespace="research",pod="p-{0}",container="main"'
    ours = re.findall(r"\| `(gpuwise_\w+)` \| \w+ \| ([^|]*) \|", (ROOT / "docs" / "metrics.md").read_text())
    lines = []
    for name, labels in ours:
        sets = [device.format(0), device.format(1)] if labels.startswith("device labels") else [_labels(labels, "x")]
        if name.startswith("gpuwise_fleet"):
            sets = [_labels(labels, value) for value in ("used", "idle", "outside", "unallocated")]
        lines += [f"# TYPE {name} unknown", *(f"{name}{{{one}}} 0.5 1780000000" for one in sets)]
    url = start_prometheus(series="\n".join([*lines, ""]))
    with PrometheusClient(PrometheusSettings(url)) as client:
        for title, query in queries(DASHBOARD).items():
            at = {"start_s": 1_780_000_000.0, "end_s": 1_780_000_060.0, "step_s": 60}
            assert client.range(query, **at), f"{title}: no data for {query}"
        for rule in RULES:
            client.range(rule["expr"], start_s=1_780_000_000.0, end_s=1_780_000_060.0, step_s=60)


def _labels(names: str, value: str) -> str:
    return ",".join(f'{name}="{value}"' for name in re.findall(r"`(\w+)`", names))
