"""The kinds of panels that the dashboards consist of."""

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
"""Columns of Grafana's grid."""
DOLLARS, RATIO, WATTS, BYTES, SECONDS, COUNT = "currencyUSD", "percentunit", "watt", "bytes", "s", "short"
"""Grafana's names of units."""

Panel = stat.Panel | bargauge.Panel | table.Panel | timeseries.Panel | statetimeline.Panel


def _query(expr: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend).ref_id("A")


def number(
    title: str, expr: str, unit: str, description: str, *, missing: str = "no data", width: int = WIDTH // 6
) -> stat.Panel:
    """Return one number.

    Args:
        title: what it is.
        expr: the query.
        unit: Grafana's name of the unit.
        description: what exactly it counts.
        missing: text if the query returns nothing.
        width: columns of the grid; the widths of a line of panels add up to all of them.
    """
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(missing)
        .with_target(_query(expr).instant())
        .height(4)
        .span(width)
    )


def bars(title: str, expr: str, legend: str, unit: str, description: str) -> bargauge.Panel:
    """Return a bar for each series."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .with_target(_query(expr, legend).instant())
        .height(8)
        .span(WIDTH // 2)
    )


def lines(title: str, expr: str, legend: str, unit: str, description: str) -> timeseries.Panel:
    """Return a line for each series."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .with_target(_query(expr, legend).range())
        .height(8)
        .span(WIDTH // 2)
    )


def stacked(title: str, expr: str, legend: str, unit: str, description: str) -> timeseries.Panel:
    """Return stacked areas, for series whose sum has a meaning."""
    stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL)
    return lines(title, expr, legend, unit, description).min(0).stacking(stacking).fill_opacity(40)


def rows(title: str, expr: str, unit: str, description: str, *, missing: str = "nothing") -> table.Panel:
    """Return a table with a row for each series."""
    hide = dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(missing)
        .with_target(_query(expr).instant().format(PromQueryFormat.TABLE))
        .with_transformation(hide)
        .height(8)
        .span(WIDTH // 2)
    )


def states(title: str, expr: str, legend: str, names: dict[str, str], description: str) -> statetimeline.Panel:
    """Return the state of each series over time.

    Args:
        title: what it is.
        expr: the query.
        legend: label of a series.
        names: name of each value.
        description: what the states mean.
    """
    options = {value: dashboard.ValueMappingResult(text=text) for value, text in names.items()}
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("none")
        .mappings([dashboard.ValueMap(options=options)])
        .with_target(_query(expr, legend).range())
        .height(8)
        .span(WIDTH // 2)
    )
