"""The dashboards: generated, linted, and each query run on a real Prometheus with what the demo exports."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from helm.dashboards.__main__ import BOARDS, FOLDER, files
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus

from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings

from . import demo_data
from .conftest import ROOT
from .dashboard_linter import EXCLUSIONS, RULES, SELECTOR, panels, targets

WRITTEN: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
each = pytest.mark.parametrize("name", WRITTEN)
KNOWN = set(re.findall(r"^\| `(gpuwise_\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)) | {"up"}
NOT_PLAYED = {"gpuwise_exporter_dropped_values_total"}
"""Metrics of panels for which the test adds series, because the demo never has impossible values."""


def test_the_files_are_generated():
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == files()


def test_uids_are_stable():
    """Links, home dashboards and playlists name them."""
    assert [board.uid for board in BOARDS] == [
        "gpuwise-gpu-money",
        "gpuwise-gpus",
        "gpuwise-workloads",
        "gpuwise-showback",
        "gpuwise-why-nothing",
        "gpuwise-exporter",
    ]
    assert {board["uid"] for board in WRITTEN.values()} == set(WRITTEN)


@each
@pytest.mark.parametrize("rule", RULES)
def test_the_rules_of_dashboard_linter_hold(name: str, rule: str):
    excluded = tuple(f"{title}: " for kind, title in EXCLUSIONS if kind == rule)
    assert [problem for problem in RULES[rule](WRITTEN[name]) if not problem.startswith(excluded or ("\0",))] == []


def test_every_exclusion_is_needed():
    found = {
        (rule, text.partition(":")[0])
        for rule, check in RULES.items()
        for one in WRITTEN.values()
        for text in check(one)
    }
    assert found == set(EXCLUSIONS)


BREAKS: dict[str, Any] = {
    "template-datasource-rule": lambda board: board["templating"]["list"][0].update(name="prometheus"),
    "template-job-rule": lambda board: _variable(board, "job").update(multi=False),
    "template-instance-rule": lambda board: board["templating"]["list"].remove(_variable(board, "instance")),
    "template-label-promql-rule": lambda board: _variable(board, "node").update(query="labels(up)"),
    "template-on-time-change-reload-rule": lambda board: _variable(board, "node").update(refresh=1),
    "panel-datasource-rule": lambda board: _panel(board, "Temperature").update(datasource={"uid": "prometheus"}),
    "panel-title-description-rule": lambda board: _panel(board, "Temperature").update(description=""),
    "panel-units-rule": lambda board: _panel(board, "Temperature")["fieldConfig"]["defaults"].pop("unit"),
    "panel-no-targets-rule": lambda board: _panel(board, "Temperature").update(targets=[]),
    "target-rate-interval-rule": lambda board: _query(board, 'rate(x_total{job=~"$job",instance=~"$instance"}[5m])'),
    "target-job-rule": lambda board: _query(board, 'x{instance=~"$instance"}'),
    "target-instance-rule": lambda board: _query(board, 'x{job=~"$job",instance="$instance"}'),
    "target-counter-agg-rule": lambda board: _query(board, 'sum(x_total{job=~"$job",instance=~"$instance"})'),
    "uneditable-dashboard": lambda board: board.update(editable=True),
}


def _variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in board["templating"]["list"] if one["name"] == name)
    return found


def _panel(board: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = (one for one in panels(board) if one["title"] == title)
    return found


def _query(board: dict[str, Any], expr: str) -> None:
    _panel(board, "Temperature")["targets"][0]["expr"] = expr


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_a_dashboard_that_breaks_it(rule: str):
    board = copy.deepcopy(WRITTEN["gpuwise-gpus"])
    before = list(RULES[rule](board))
    BREAKS[rule](board)
    assert len(list(RULES[rule](board))) > len(before)


@each
def test_the_panels_do_not_overlap_and_have_titles_of_their_own(name: str):
    board = WRITTEN[name]
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert max(x for x, _ in cells) < 24
    assert len(cells) == len(set(cells))
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles))


@each
def test_every_selector_is_of_an_existing_metric_and_has_the_cluster(name: str):
    for title, expr in targets(WRITTEN[name]):
        names = set(re.findall(r"\b(gpuwise_\w+|up)\b", expr))
        suffixes = r"_(?:sum|count|bucket)$"  # of histograms
        assert {re.sub(suffixes, "", one) if "_seconds_" in one else one for one in names} <= KNOWN, title
        assert {metric for metric, _ in SELECTOR.findall(expr)} == names, title
        assert all('cluster=~"$cluster"' in matchers for _, matchers in SELECTOR.findall(expr)), title


def test_the_operations_dashboard_has_the_variables_of_the_issue():
    variables = [one["name"] for one in WRITTEN["gpuwise-gpus"]["templating"]["list"]]
    assert variables == ["datasource", "cluster", "job", "instance", "node", "gpu"]


def replaced(text: str, board: dict[str, Any]) -> str:
    """A query with the variables replaced as Grafana does for "All", at a scrape interval of 15 s."""
    text = text.replace("$__rate_interval", "60s").replace("$__range", f"{demo_data.LENGTH_S}s")
    for variable in sorted(board["templating"]["list"], key=lambda one: -len(one["name"])):
        if variable["type"] == "query":
            text = text.replace(f"${variable['name']}", variable["allValue"])
    assert "$" not in text
    return text


@NEEDS_PROMETHEUS
def test_every_query_finds_rows_in_what_the_demo_exports(
    start_prometheus: StartPrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    service = demo_data.service_series(demo_data.demo_report(tmp_path / "demo", monkeypatch))
    exporter = demo_data.exporter_series()
    limited = demo_data.exporter_series(max_series=100)
    ours = demo_data.by_name()
    shown = {metric for board in WRITTEN.values() for _, expr in targets(board) for metric, _ in SELECTOR.findall(expr)}
    not_played = {metric for metric in shown if metric in ours} - exporter.keys() - limited.keys()
    assert not_played == NOT_PLAYED, "update NOT_PLAYED"
    added = demo_data.synthetic(ours[name] for name in not_played)
    url = start_prometheus(series=demo_data.openmetrics(exporter, limited, service, added))
    end_s = float(demo_data.END_S)
    empty = []
    with PrometheusClient(PrometheusSettings(url)) as client:
        for board in WRITTEN.values():
            for panel in panels(board):
                for target in panel["targets"]:
                    start_s = end_s if target.get("instant") else float(demo_data.START_S)
                    query = replaced(target["expr"], board)
                    if not client.range(query, start_s=start_s, end_s=end_s, step_s=15):
                        empty.append(f"{board['title']}, {panel['title']}: {query}")
            empty += _empty_variables(url, board)
    assert not empty, "no rows:\n" + "\n".join(empty)


def _empty_variables(url: str, board: dict[str, Any]) -> list[str]:
    """Variables without a value, as Grafana asks for them. Only a Prometheus of several clusters has `cluster`."""
    empty = []
    for variable in board["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("query") or "")
        if found is None or variable["name"] == "cluster":
            continue
        selector, label = found.groups()
        given = {"match[]": replaced(selector, board), "start": demo_data.START_S, "end": demo_data.END_S}
        answer = httpx.get(f"{url}/api/v1/label/{label}/values", params=given, timeout=300)
        assert answer.status_code == 200, f"{board['title']}, {variable['name']}: {answer.text}"
        if not answer.json()["data"]:
            empty.append(f"{board['title']}, variable {variable['name']}: {selector}")
    return empty


@each
def test_gpus_of_nodes_with_the_same_name_in_two_clusters_are_not_one(name: str):
    for title, expr in targets(WRITTEN[name]):
        for labels in re.findall(r"by \(([^)]*)\)", expr):
            kept = {one.strip() for one in labels.split(",")}
            assert kept & {"cluster", "device_uuid"} or not {"node", "gpu"} <= kept, title
