"""The PromQL query that shows the samples behind a number."""

import re
from collections.abc import Collection, Mapping

from gpuwise.model.declared import work_metric
from gpuwise.model.inventory import Workload
from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.pod_names import patterns
from gpuwise.sources.prometheus.names import (
    LIMITS,
    METRICS,
    POD_LABELS,
    REQUEST_METRICS,
    Counting,
    Family,
    quoted,
    selector,
    translated,
)

_FUNCTIONS = {"max": "max_over_time(", "mean": "avg_over_time("}
_QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)")


def query(
    workload: Workload, evidence: Evidence, present: Collection[str], window: Window, matchers: Mapping[str, str]
) -> str | None:
    """Build an instant query that returns one number per device, from the preferred metric.

    Counters of requests and of declared work are shown as their increase.

    Args:
        workload: the workload.
        evidence: the number to cite.
        present: names of the available metrics.
        window: the window that was read.
        matchers: labels that every series must have.
    """
    name = work_metric(workload) if evidence.signal is Signal.WORK else _metric(evidence.signal, present)
    if name is None:
        return None
    pods = quoted("|".join(dict.fromkeys(patterns(workload, free=False))))
    space = quoted(workload.ref.namespace)
    # Prometheus 2 includes both ends of a range, Prometheus 3 excludes the left one. Evaluated one millisecond earlier,
    # both include the samples from the window's start on, and none at its end, which belong to the next window.
    over = f"[{window.seconds}s] @ {window.end_s - 0.001:.3f})"
    begin = "increase(" if evidence.signal is Signal.WORK else _function(name, evidence.statistic)
    ways = (
        f"{name}{{{way.namespace}={space},{way.pod}=~{pods}{selector(matchers)}}}"
        for way in POD_LABELS
        if translated(way.pod)  # Prometheus 2 parses no other
    )
    return " or ".join(f"{begin}{way}{over}" for way in ways)


def _metric(signal: Signal | None, present: Collection[str]) -> str | None:
    # Of the limits in force, only dcgm-exporter's rows name the pod.
    of_pods = (*METRICS, *(metric for metric in LIMITS if metric.family is Family.DCGM))
    gpu_metrics = (metric.name for metric in of_pods if metric.signal is signal)
    names = REQUEST_METRICS if signal is Signal.REQUESTS else gpu_metrics
    return next((name for name in names if name in present), None)


def _function(name: str, statistic: str) -> str:
    requests = REQUEST_METRICS.get(name)
    if requests is not None and requests.counting in {Counting.ANSWERED, Counting.WORK}:
        return "increase("
    at = _QUANTILE.fullmatch(statistic)
    return f"quantile_over_time({float(at[1]) / 100:g}, " if at else _FUNCTIONS.get(statistic, "count_over_time(")
