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
from gpuwise.sources.prometheus.names import METRICS, MetricName, Unit

Grid = NDArray[np.float64]

_PERCENT = re.compile(r"%|\bpercent|\b0 ?(-|to) ?100\b", re.IGNORECASE)
_RATIO = re.compile(r"\bratio|\bfraction|\b0(\.0)? ?(-|to) ?1(\.0)?(?!\d|\.\d)", re.IGNORECASE)
_MEBI = re.compile(r"\bMiB\b")

# For each unit that the name leaves open: the unit that all HELP texts must state, by its pattern.
_STATED: Mapping[Unit, tuple[tuple[re.Pattern[str], Unit], ...]] = {
    Unit.RATIO_OR_PERCENT: ((_PERCENT, Unit.PERCENT),),
    Unit.PERCENT_OR_RATIO: ((_RATIO, Unit.RATIO),),
    Unit.BYTES_OR_MIB: ((_MEBI, Unit.MIB),),
}
_FACTORS = {Unit.PERCENT: 0.01, Unit.MIB: 2.0**20}

# A value such as 2**32 - 1 s, 136 years, is not a real time since the last kernel.
_LONGEST_ELAPSED_S = 1e9


def metrics_of(client: PrometheusClient, present: Collection[str]) -> tuple[MetricName, ...]:
    """Return the available metrics in order of preference, with the unit of their HELP text.

    Args:
        client: client of the server.
        present: names of metrics with data.
    """
    return tuple(
        _as_stated(client, metric) if metric.unit in _STATED else metric for metric in METRICS if metric.name in present
    )


def _as_stated(client: PrometheusClient, metric: MetricName) -> MetricName:
    """Return the unit of the HELP text if all scraped exporters state the same unusual one, else that of the name."""
    try:
        texts = client.help_texts(metric.name)
    except SourceError:
        # Not every server with the query API keeps metadata. The values then decide, as without a HELP text. An outage
        # shows at the next request.
        return metric
    for pattern, unit in _STATED[metric.unit]:
        if texts and all(pattern.search(text) for text in texts):
            return replace(metric, unit=unit)
    return metric


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

    The driver reports whole percents. 1 alone may be 1 % or 100 %: it is unknown without a value that decides. If a
    series has both, its values up to 1 are unknown.
    """
    percent, between = (raw > 1.0) & (raw <= 100.0), (raw > 0.0) & (raw < 1.0)
    if percent.any() and between.any():
        return np.where(percent, raw / 100.0, np.where(raw == 0.0, 0.0, np.nan))
    if percent.any():
        return raw / 100.0
    return raw if between.any() else np.where(raw == 1.0, np.nan, raw)
