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
    _number("Cost of the week", "sum(gpuwise_fleet_cost_usd)", _DOLLARS, "Every GPU, held or not."),
    _number("of it idle", 'gpuwise_fleet_cost_usd{class="idle"}', _DOLLARS, "Held by a pod, and idle by every signal."),
    _number("of it held by nobody", 'gpuwise_fleet_cost_usd{class="unallocated"}', _DOLLARS, "No pod, no known work."),
    _number(
        "Could be saved a month",
        "sum(gpuwise_recommended_saving_usd_per_month)",
        _DOLLARS,
        "What the open recommendations are worth.",
    ),
    _number(
        "Saved a month",
        "gpuwise_realised_saving_usd_per_month",
        _DOLLARS,
        "What was applied in the week and not undone is worth.",
    ),
    _number(
        "of it measured", "gpuwise_data_coverage_ratio", "percentunit", "What is not measured is never called idle."
    ),
    _bars(
        "Idle money by team",
        "sort_desc(topk(15, gpuwise_team_idle_cost_usd))",
        "{{team}}",
        "Price of the GPUs that a team held idle in the week.",
    ),
    _stacked(
        "Where the week went",
        "gpuwise_fleet_gpu_seconds",
        "{{class}}",
        "s",
        "GPU time of the week before each report, by what became of it.",
    ),
)
ACTIONS: tuple[Panel, ...] = (
    _rows(
        "What to do",
        "sort_desc(gpuwise_recommended_saving_usd_per_month)",
        _DOLLARS,
        "Worth of the open recommendations a month, by finding; `gpuwise scan` lists them.",
    ),
    _rows(
        "Why did nothing happen?",
        "sort_desc(sum by (stage, reason) (gpuwise_blocked))",
        "short",
        "What was held back, by the step that held it and its reason; `gpuwise explain` tells of each.",
    ),
)
NOW: tuple[Panel, ...] = (
    _lines(
        "Activity by namespace",
        'avg by (namespace) (gpuwise_gpu_sm_activity_ratio{namespace=~"$namespace"}'
        ' or on (device_uuid) gpuwise_gpu_utilization_ratio{namespace=~"$namespace"})',
        "{{namespace}}",
        "percentunit",
        "SM activity where the GPU has it, else the share of time that any kernel ran.",
    ),
    _stacked(
        "Devices held by namespace",
        'count by (namespace) (count by (namespace, device_uuid) (gpuwise_gpu_info{namespace=~"$namespace"}))',
        "{{namespace}}",
        "short",
        "GPUs and MIG instances; a shared one counts once in each namespace.",
    ),
    _stacked(
        "Power by node",
        "sum by (node) (max by (node, device_uuid) (gpuwise_gpu_power_watts))",
        "{{node}}",
        "watt",
        "Draw of whole boards.",
    ),
    _lines(
        "Memory in use by namespace",
        'sum by (namespace) (gpuwise_gpu_memory_used_bytes{namespace=~"$namespace"})',
        "{{namespace}}",
        "bytes",
        "A server that reserves its cache fills the card whatever it needs.",
    ),
)
TRUST: tuple[Panel, ...] = (
    _lines(
        "Share of held GPU time that was measured",
        "gpuwise_data_coverage_ratio",
        "coverage",
        "percentunit",
        "What is not measured is never called idle.",
    ),
    _lines(
        "Age of the oldest sample by node",
        "time() - min by (node) (gpuwise_gpu_sample_timestamp_seconds)",
        "{{node}}",
        "s",
        "Grows while a call into the driver hangs.",
    ),
)


def build() -> str:
    """The dashboard as JSON text."""
    board = (
        builders.Dashboard("gpuwise: where does the GPU money go?")
        .uid("gpuwise-gpu-money")
        .description("What the fleet's GPUs cost, what of it is idle, what to do about it, and why nothing was done.")
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
