"""Writes the chart's Grafana dashboard: `python helm/dashboard.py`.

One dashboard, one question: where does the GPU money go?
"""

import json
from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DASHBOARD_FILE = Path(__file__).parent / "gpuwise" / "files" / "dashboard.json"

_DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24  # columns of Grafana's grid
_DOLLARS = "currencyUSD"

Panel = stat.Panel | bargauge.Panel | table.Panel | timeseries.Panel


def _query(expr: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id("A")


def _number(title: str, expr: str, unit: str, description: str) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(unit)
        .no_value("no report yet")
        .with_target(_query(expr).instant())
        .height(4)
        .span(_WIDTH // 6)
    )


def _bars(title: str, expr: str, legend: str, description: str) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(_DOLLARS)
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .with_target(_query(expr, legend).instant())
        .height(8)
        .span(_WIDTH // 2)
    )


def _lines(title: str, expr: str, legend: str, unit: str, description: str) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(unit)
        .min(0)
        .with_target(_query(expr, legend).range())
        .height(8)
        .span(_WIDTH // 2)
    )


def _stacked(title: str, expr: str, legend: str, unit: str, description: str) -> timeseries.Panel:
    stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL)
    return _lines(title, expr, legend, unit, description).stacking(stacking).fill_opacity(40)


def _rows(title: str, expr: str, unit: str, description: str) -> table.Panel:
    hide_time = dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(unit)
        .no_value("nothing")
        .with_target(_query(expr).instant().format(PromQueryFormat.TABLE))
        .with_transformation(hide_time)
        .height(8)
        .span(_WIDTH // 2)
    )


MONEY: tuple[Panel, ...] = (
    _number("Weekly cost", "sum(gpuwise_fleet_cost_usd)", _DOLLARS, "Cost of all GPUs, allocated or not."),
    _number(
        "Idle cost",
        'gpuwise_fleet_cost_usd{class="idle"}',
        _DOLLARS,
        "Cost of the time in which GPUs were allocated to a pod and every signal showed them idle.",
    ),
    _number(
        "Unallocated cost",
        'gpuwise_fleet_cost_usd{class="unallocated"}',
        _DOLLARS,
        "Cost of the time in which GPUs were not allocated to a pod and are known to have been free.",
    ),
    _number(
        "Possible savings per month",
        "sum(gpuwise_recommended_saving_usd_per_month)",
        _DOLLARS,
        "Sum of the savings of all open recommendations.",
    ),
    _number(
        "Realised savings per month",
        "gpuwise_realised_saving_usd_per_month",
        _DOLLARS,
        "Savings of the week's applied changes that the cluster still has.",
    ),
    _number(
        "Coverage",
        "gpuwise_data_coverage_ratio",
        "percentunit",
        "Share of the allocated GPU time that has an activity sample. Time without a sample never counts as idle.",
    ),
    _bars(
        "Idle cost by team",
        "sort_desc(topk(15, gpuwise_team_idle_cost_usd))",
        "{{team}}",
        "Cost of the idle time of each team's allocated GPUs in the week.",
    ),
    _stacked(
        "GPU time of the week by use",
        "gpuwise_fleet_gpu_seconds",
        "{{class}}",
        "s",
        "GPU time of the week before each report: used, idle, outside Kubernetes, unallocated, unknown, or stranded.",
    ),
)
ACTIONS: tuple[Panel, ...] = (
    _rows(
        "What to do",
        "sort_desc(gpuwise_recommended_saving_usd_per_month)",
        _DOLLARS,
        "Savings of the open recommendations per month, by finding; `gpuwise scan` lists them.",
    ),
    _rows(
        "Why did nothing happen?",
        "sort_desc(sum by (stage, reason) (gpuwise_blocked))",
        "short",
        "Changes that were blocked, by the step that blocked them and its reason; `gpuwise explain` shows each one.",
    ),
)
NOW: tuple[Panel, ...] = (
    _lines(
        "Activity by namespace",
        'avg by (namespace) (gpuwise_gpu_sm_activity_ratio{namespace=~"$namespace"}'
        ' or on (device_uuid) gpuwise_gpu_utilization_ratio{namespace=~"$namespace"})',
        "{{namespace}}",
        "percentunit",
        "SM activity where the GPU supports it, otherwise the share of time in which any kernel ran.",
    ),
    _stacked(
        "Allocated devices by namespace",
        'count by (namespace) (count by (namespace, device_uuid) (gpuwise_gpu_info{namespace=~"$namespace"}))',
        "{{namespace}}",
        "short",
        "GPUs and MIG instances; a shared device counts once in each namespace.",
    ),
    _stacked(
        "Power by node",
        "sum by (node) (max by (node, device_uuid) (gpuwise_gpu_power_watts))",
        "{{node}}",
        "watt",
        "Power draw of whole boards.",
    ),
    _lines(
        "Memory in use by namespace",
        'sum by (namespace) (gpuwise_gpu_memory_used_bytes{namespace=~"$namespace"})',
        "{{namespace}}",
        "bytes",
        "Includes memory that is reserved but not needed, such as the preallocated cache of an inference server.",
    ),
)
TRUST: tuple[Panel, ...] = (
    _lines(
        "Coverage: share of the allocated GPU time with an activity sample",
        "gpuwise_data_coverage_ratio",
        "coverage",
        "percentunit",
        "Time without a sample never counts as idle.",
    ),
    _lines(
        "Age of the oldest sample by node",
        "time() - min by (node) (gpuwise_gpu_sample_timestamp_seconds)",
        "{{node}}",
        "s",
        "Increases while a call into the driver hangs.",
    ),
)


def build() -> str:
    """The dashboard as JSON text."""
    board = (
        builders.Dashboard("gpuwise: where does the GPU money go?")
        .uid("gpuwise-gpu-money")
        .description(
            "What the fleet's GPUs cost, how much of it is idle, what to do about it, and why a change was not applied."
        )
        .tags(["gpuwise", "gpu", "cost"])
        .readonly()
        .time("now-7d", "now")
        .refresh("5m")
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            builders.QueryVariable("namespace")
            .label("Namespace")
            .datasource(_DATASOURCE)
            .query("label_values(gpuwise_gpu_info, namespace)")
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".+")
        )
    )
    for title, panels in (("Money", MONEY), ("What to do", ACTIONS), ("Now", NOW), ("Can this be trusted?", TRUST)):
        board = board.with_row(builders.Row(title))
        for panel in panels:
            board = board.with_panel(panel)
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    DASHBOARD_FILE.write_text(build())
