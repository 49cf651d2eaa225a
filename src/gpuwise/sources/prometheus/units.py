"""From raw values to base units, and what a metric's HELP text says of its unit.

A name alone is not unit-safe: early headers of dcgm-exporter 4.9 carry percent in GPU_UTIL_RATIO.
"""

import re
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import LAST_KERNEL, METRICS, MIB, MetricName
from gpuwise.sources.prometheus.samples import in_base_units

_PERCENT = re.compile(r"%|\bpercent|\b0 ?(-|to) ?100\b", re.IGNORECASE)
_MEBI = re.compile(r"\bMiB\b")

# 2**32 - 1 s are 136 years; no kernel was launched so long ago.
_LONGEST_ELAPSED_S = 1e9


def metrics_of(client: PrometheusClient, present: Collection[str]) -> tuple[MetricName, ...]:
    """The metrics that there are, in order of preference, with the unit that their HELP text states.

    Args:
        client: which Prometheus.
        present: names that have data.
    """
    return tuple(
        _as_stated(client, metric) if _unit_is_open(metric) else metric for metric in METRICS if metric.name in present
    )


def _unit_is_open(metric: MetricName) -> bool:
    return metric.perhaps_percent or metric.name == "DCGM_FI_DEV_FB_USED_BYTES"


def _as_stated(client: PrometheusClient, metric: MetricName) -> MetricName:
    """The unit by HELP where all exporters that are scraped state the same odd one, else as the name has it."""
    try:
        texts = client.help_texts(metric.name)
    except SourceError:
        # Not every server that speaks the query API keeps metadata. Values then tell, as they do without a HELP text;
        # an outage shows at the next request.
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
    """A signal's values, and the steps whose value was dropped as a sentinel or for want of a unit.

    Args:
        raw: as sent, shape (window.steps,).
        metric: which.
        window: the grid.
    """
    if metric.name == LAST_KERNEL:
        known = (raw >= 0.0) & (raw <= _LONGEST_ELAPSED_S)
        values = np.where(known, (raw < window.step_s).astype(np.float64), np.nan)
    else:
        values = in_base_units(raw, metric)
    return values, np.isnan(values) & ~np.isnan(raw)
