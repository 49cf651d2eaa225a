"""Convert raw values to base units, with the unit that a metric's name, HELP text and values show.

The name of a metric is not sufficient: early versions of dcgm-exporter 4.9 export percent as GPU_UTIL_RATIO, and Open
Data Hub exports DCGM_FI_DEV_GPU_UTIL as a ratio.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import SIGNALS
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import METRICS, MetricName, Unit, selector

Grid = NDArray[np.float64]

_PERCENT = re.compile(r"%|\bpercent|\b0 ?(-|to) ?100\b", re.IGNORECASE)
_MEBI = re.compile(r"\bMiB\b")

# For units that the name leaves open: the one that all HELP texts must state, by its pattern. A collector that rescales
# percent leaves the HELP text as it was, so it decides nothing for PERCENT_OR_RATIO.
_STATED: Mapping[Unit, tuple[re.Pattern[str], Unit]] = {
    Unit.RATIO_OR_PERCENT: (_PERCENT, Unit.PERCENT),
    Unit.BYTES_OR_MIB: (_MEBI, Unit.MIB),
}
_FACTORS = {Unit.PERCENT: 0.01, Unit.MIB: 2.0**20}

# A value such as 2**32 - 1 s, 136 years, is not a real time since the last kernel.
_LONGEST_ELAPSED_S = 1e9


def metrics_of(client: PrometheusClient, present: Collection[str], window: Window) -> tuple[MetricName, ...]:
    """Return the available metrics in order of preference, with the unit of their HELP text or of the fleet's values.

    Args:
        client: client of the server; its matchers select the series.
        present: names of metrics with data.
        window: at whose end the fleet's values are asked for.
    """
    return tuple(_with_unit(client, metric, window) for metric in METRICS if metric.name in present)


def _with_unit(client: PrometheusClient, metric: MetricName, window: Window) -> MetricName:
    if metric.unit in _STATED:
        metric = _as_stated(client, metric)
    if metric.unit is Unit.PERCENT_OR_RATIO:
        metric = _as_valued(client, metric, window)
    return metric


def _as_valued(client: PrometheusClient, metric: MetricName, window: Window) -> MetricName:
    """Return the unit that the values of all devices show in the last week; if it is open, each series decides.

    One idle device shows 0 and at times 1, which decides nothing; the fleet has devices at work. The driver reports
    whole percents, so a value between 0 and 1 is a ratio, unless percents were averaged: then some above 1 are
    fractions, too. The fleet decides first, because a series may show something else in hours that are read later.
    """
    series = f"{metric.name}{{{selector(client.settings.matchers).removeprefix(',')}}}"
    asked = (f"{series} > 1", f"{series} > 0 < 1", f"({series} % 1 > 0) and ({series} > 1)")
    try:
        above, between, averaged = (
            bool(client.instant(f"max_over_time(max({one})[7d:1h] @ {window.end_s})")) for one in asked
        )
    except SourceError:  # as in `_as_stated`
        return metric
    if above and (averaged or not between):
        return replace(metric, unit=Unit.PERCENT)
    return replace(metric, unit=Unit.RATIO) if between and not above else metric


def _as_stated(client: PrometheusClient, metric: MetricName) -> MetricName:
    """Return the unit of the HELP text if all scraped exporters state the same unusual one, else that of the name."""
    try:
        texts = client.help_texts(metric.name)
    except SourceError:
        # Not every server with the query API keeps metadata. The values then decide, as without a HELP text. An outage
        # shows at the next request.
        return metric
    pattern, unit = _STATED[metric.unit]
    return replace(metric, unit=unit) if texts and all(pattern.search(text) for text in texts) else metric


def to_base_units(raw: Grid, metric: MetricName, window: Window) -> tuple[Grid, NDArray[np.bool_]]:
    """Return a signal's values, and the steps in which a value was dropped: a sentinel, or a value of unknown unit.

    Args:
        raw: raw values, shape (window.steps,).
        metric: the metric.
        window: the grid.
    """
    values = _converted(raw, metric.unit, window)
    believable = (values >= 0.0) & (values <= SIGNALS[metric.signal].highest)
    values = np.where(believable, values, np.nan)
    return values, np.isnan(values) & ~np.isnan(raw)


def _converted(raw: Grid, unit: Unit, window: Window) -> Grid:
    match unit:
        case Unit.SECONDS_SINCE:
            known = (raw >= 0.0) & (raw <= _LONGEST_ELAPSED_S)
            return np.where(known, (raw < window.step_s).astype(np.float64), np.nan)
        case Unit.RATIO_OR_PERCENT:
            return _ratio(raw)
        case Unit.PERCENT_OR_RATIO:
            return _percent(raw)
    with np.errstate(over="ignore"):  # a value that overflows is impossible, so it is dropped like any other
        return raw * _FACTORS.get(unit, 1.0)


def _ratio(raw: Grid) -> Grid:
    """Convert a series that is named a ratio: it is percent if any value is above 1.

    If a series was ever in percent, 0.9 may be 0.9 % or, after an upgrade of the exporter, 90 %: such values become
    unknown.
    """
    percent = (raw > 1.0) & (raw <= 100.0)
    if not percent.any():
        return raw
    return np.where(percent, raw / 100.0, np.where(raw == 0.0, 0.0, np.nan))


def _percent(raw: Grid) -> Grid:
    """Convert a series that is named percent: it is a ratio if no value is above 1 and one is between 0 and 1.

    To take percent for a ratio only makes it busier. 1 alone may be 1 % or 100 %: it is unknown without a value that
    decides. If a series has both, its values up to 1 are unknown.
    """
    percent, between = (raw > 1.0) & (raw <= 100.0), (raw > 0.0) & (raw < 1.0)
    if percent.any() and between.any():
        return np.where(percent, raw / 100.0, np.where(raw == 0.0, 0.0, np.nan))
    if percent.any():
        return raw / 100.0
    return raw if between.any() else np.where(raw == 1.0, np.nan, raw)
