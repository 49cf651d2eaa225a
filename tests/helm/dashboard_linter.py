"""The rules of grafana/dashboard-linter that apply to Prometheus dashboards, under their names there.

Source: https://github.com/grafana/dashboard-linter, docs/index.md and the package `lint`, commit 4d0844b of its main
branch. The program itself is in Go and in no package registry that the tests use. The rules for Loki do not apply.
Where a rule of the linter checks only some types of panels, this one checks all of them. `target-counter-agg-rule`
checks selectors with matchers, too. `target-promql-rule` and `template-label-promql-rule` need a real Prometheus: see
test_dashboards.py.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Board = dict[str, Any]
Problems = Iterator[str]

# What each expression may select: a metric's name and matchers whose values contain no brace.
SELECTOR = re.compile(r"(?<![\w:$])([a-zA-Z_:][\w:]*)?\{([^{}]*)\}")
_VARIABLE = re.compile(r"^(label_values)\((.+), (\w+)\)$")
UNITS = {
    "none", "short", "percentunit", "currencyUSD", "bytes", "Bps", "watt", "kwatth", "celsius", "hertz", "s", "cps",
}  # fmt: skip
"""The units in use; all of them are in the linter's list, which is that of Grafana's valueFormats/categories.ts."""


def panels(board: Board) -> Iterator[dict[str, Any]]:
    """All panels except the rows' titles."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def targets(board: Board) -> Iterator[tuple[str, str]]:
    """The title of each panel, with each of its queries."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def _variables(board: Board, kind: str) -> list[dict[str, Any]]:
    return [one for one in board["templating"]["list"] if one["type"] == kind]


def template_datasource(board: Board) -> Problems:
    """template-datasource-rule."""
    sources = _variables(board, "datasource")
    if [(one["name"], one["label"], one["query"]) for one in sources] != [("datasource", "Data source", "prometheus")]:
        yield "it must have one data source variable, named datasource and labelled Data source"


def _template(board: Board, name: str) -> Problems:
    found = [one for one in board["templating"]["list"] if one["name"] == name]
    if not found:
        yield f"the variable {name} is missing"
        return
    (one,) = found
    if one["type"] != "query" or one["datasource"]["uid"] not in {"$datasource", "${datasource}"}:
        yield f"{name} must be a query to $datasource"
    if one["label"] != name.title():
        yield f"{name} must be labelled {name.title()}"
    if not one.get("multi"):
        yield f"{name} must be a multi select"
    if one.get("allValue") != ".+":
        yield f"allValue of {name} must be .+"


def template_job(board: Board) -> Problems:
    """template-job-rule."""
    yield from _template(board, "job")


def template_instance(board: Board) -> Problems:
    """template-instance-rule."""
    yield from _template(board, "instance")


def template_label(board: Board) -> Problems:
    """template-label-promql-rule, except that the selector is valid PromQL."""
    for one in _variables(board, "query"):
        if not _VARIABLE.match(one["query"]):
            yield f"{one['name']}: {one['query']} is not label_values(SELECTOR, LABEL)"


def template_on_time_change_reload(board: Board) -> Problems:
    """template-on-time-change-reload-rule."""
    for one in _variables(board, "query"):
        if one["refresh"] != 2:
            yield f"{one['name']} must be refreshed on time range change"


def panel_datasource(board: Board) -> Problems:
    """panel-datasource-rule."""
    for panel in panels(board):
        if panel.get("datasource", {}).get("uid") not in {"$datasource", "${datasource}"}:
            yield f"{panel['title']} does not use the data source variable"


def panel_title_description(board: Board) -> Problems:
    """panel-title-description-rule."""
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel.get('title') or panel.get('id')} has no title or no description"


def panel_units(board: Board) -> Problems:
    """panel-units-rule, which excepts panels with value mappings."""
    for panel in panels(board):
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if defaults.get("unit") not in UNITS and not defaults.get("mappings"):
            yield f"{panel['title']} has no unit, or the unknown unit {defaults.get('unit')}"


def panel_no_targets(board: Board) -> Problems:
    """panel-no-targets-rule."""
    for panel in panels(board):
        if not panel.get("targets"):
            yield f"{panel['title']} has no query"


def target_rate_interval(board: Board) -> Problems:
    """target-rate-interval-rule."""
    for title, expr in targets(board):
        if re.search(r"\bi?rate\([^()]*\[(?!\$__rate_interval\])", expr):
            yield f"{title}: a rate must be over $__rate_interval"
        if re.search(r"(?<!rate)(?<!increase)\([^()]*\[\$__rate_interval\]", expr):
            yield f"{title}: $__rate_interval is used outside of a rate"


def _matcher(board: Board, name: str) -> Problems:
    for title, expr in targets(board):
        for metric, matchers in SELECTOR.findall(expr):
            if f'{name}=~"${name}"' not in matchers.split(","):
                yield f'{title}: {metric} has no matcher {name}=~"${name}"'


def target_job(board: Board) -> Problems:
    """target-job-rule."""
    yield from _matcher(board, "job")


def target_instance(board: Board) -> Problems:
    """target-instance-rule."""
    yield from _matcher(board, "instance")


def target_counter_agg(board: Board) -> Problems:
    """target-counter-agg-rule."""
    for title, expr in targets(board):
        rest = re.sub(r"\b(?:rate|irate|increase)\(\w+\{[^{}]*\}\[[^\]]*\]\)", "", expr)
        for metric in re.findall(r"\b\w+_total\b", rest):
            yield f"{title}: {metric} is not aggregated with rate, irate or increase"


def uneditable(board: Board) -> Problems:
    """uneditable-dashboard."""
    if board.get("editable", True):
        yield "it must not be editable"


RULES: dict[str, Callable[[Board], Problems]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}

EXCLUSIONS = {
    ("target-counter-agg-rule", "XID errors"): "a code's counter starts with its first error, and has no increase then",
    ("target-counter-agg-rule", "Remapped memory rows"): "the count of the board's lifetime is what decides an RMA",
    (
        "target-counter-agg-rule",
        "Impossible values",
    ): "a signal's counter starts with its first value, as for XID errors",
    ("target-counter-agg-rule", "Passes that alerts asked for"): "single events; the count since the start is shown",
}
"""Panels that break a rule on purpose, with the reason, as in the linter's file .lint."""
