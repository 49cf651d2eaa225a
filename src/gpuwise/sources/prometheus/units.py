"""Convert raw values to base units, with the unit in a metric's HELP text.

The name of a metric is not sufficient: early versions of dcgm-exporter 4.9 export percent as GPU_UTIL_RATIO.
"""

import re
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import METRICS, MIB, MetricName
from gpuwise.sources.prometheus.samples import in_base_units

_PERCENT = re.compile(r"%|\bpercent|\b0 ?(-|to) ?100\b", re.IGNORECASE)
_MEBI = re.compile(r"\bMiB\b")

# A value such as 2**32 - 1 s, 136 years, is not a real time since the last kernel.
_LONGEST_ELAPSED_S = 1e9


def metrics_of(client: PrometheusClient, present: Collection[str]) -> tuple[MetricName, ...]:
    """Return the available metrics in order of preference, with the unit of their HELP text.

    Args:
        client: client of the server.
        present: names of metrics with data.
    """
    return tuple(
        _as_stated(client, metric) if _unit_is_open(metric) else metric for metric in METRICS if metric.name in present
    )


def _unit_is_open(metric: MetricName) -> bool:
    return metric.perhaps_percent or metric.name == "DCGM_FI_DEV_FB_USED_BYTES"


def _as_stated(client: PrometheusClient, metric: MetricName) -> MetricName:
    """Return the unit of the HELP text if all scraped exporters state the same unusual one, else that of the name."""
    try:
        texts = client.help_texts(metric.name)
    except SourceError:
        # Not every server with the query API keeps metadata. The values then decide, as without a HELP text. An outage
        # shows at the next request.
        return metric
    if not texts:
        return metric
    if metric.perhaps_percent and all(_PERCENT.search(text) for text in texts):
        return replace(metric, scale=0.01, perhaps_percent=False)
    if not metric.perhaps_percent and all(_MEBI.search(text) for text in texts):
        return replace(metric, scale=MIB)
    return metric


def to_base_units(
    raw: NDArray[np.float64], metric: MetricName, window: Window
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a signal's values, and the steps in which a value was dropped: a sentinel, or a value of unknown unit.

    Args:
        raw: raw values, shape (window.steps,).
        metric: the metric.
        window: the grid.
    """
    if metric.signal is Signal.KERNEL_ACTIVITY:
        known = (raw >= 0.0) & (raw <= _LONGEST_ELAPSED_S)
        values = np.where(known, (raw < window.step_s).astype(np.float64), np.nan)
    else:
        values = in_base_units(raw, metric)
    return values, np.isnan(values) & ~np.isnan(raw)
