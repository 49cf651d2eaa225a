"""How many requests reached a workload, from the metrics of the servers people run."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import Workload
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import Window
from gpuwise.store.prometheus_devices import PodKey, chunks, pod_key
from gpuwise.store.prometheus_http import PrometheusClient
from gpuwise.store.prometheus_names import POD_LABELS, selectors
from gpuwise.store.prometheus_samples import on_grid, ranges


@dataclass(frozen=True, slots=True)
class RequestMetric:
    """One server's metric of its requests.

    Attributes:
        name: as Prometheus has it.
        counter: it counts requests that were answered; otherwise it is a gauge of those being answered.
    """

    name: str
    counter: bool


REQUEST_METRICS = (
    RequestMetric("vllm:num_requests_running", counter=False),
    RequestMetric("vllm:request_success_total", counter=True),
    RequestMetric("nv_inference_request_success", counter=True),
    RequestMetric("tgi_request_count", counter=True),
)


def requests_by_pod(
    client: PrometheusClient, metrics: Collection[RequestMetric], pods: Mapping[str, Collection[str]], window: Window
) -> dict[PodKey, NDArray[np.float64]]:
    """Requests per second of each pod that reports any, on the grid.

    A request that is being answered during a step counts as one of that step, so that a long one leaves no gap.

    Raises:
        SourceError: any of the answers is not whole.
    """
    parts: dict[PodKey, list[NDArray[np.float64]]] = defaultdict(list)
    for metric in metrics:
        for namespace, names in pods.items():
            for some in chunks(names):
                grids: dict[PodKey, NDArray[np.float64]] = {}
                for series in ranges(client, _query(metric, namespace, some, window), window):
                    pod = pod_key(series.labels)
                    if pod is not None:
                        grid = on_grid(series, window)
                        grids[pod] = np.fmax(grids[pod], grid) if pod in grids else grid
                for pod, grid in grids.items():
                    parts[pod].append(grid if metric.counter else grid / window.step_s)
    return {pod: _believable(total(grids)) for pod, grids in parts.items()}


def of_workload(
    workload: Workload, by_pod: Mapping[PodKey, NDArray[np.float64]], window: Window
) -> NDArray[np.float64] | None:
    """Requests per second of all pods of a workload, shape (window.steps,), or None if none of them reports any."""
    running = [pod for pod in workload.pods if pod.node is not None]
    reported = [by_pod.get((workload.ref.namespace, pod.name)) for pod in running]
    if all(rate is None for rate in reported):
        return None
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    rates = []
    for pod, rate in zip(running, reported, strict=True):
        known = np.full(window.steps, np.nan) if rate is None else rate
        rates.append(known if pod.started_s is None else np.where(ends_s <= pod.started_s, 0.0, known))
    return total(rates)


def total(parts: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The sum, where every part is known; where some are not, what is known if it is positive, else NaN.

    A partial sum that shows activity is activity; one that shows none is unknown (thanos#622).
    """
    stacked = np.stack(list(parts))
    known = np.nansum(stacked, axis=0)
    return np.where(np.isfinite(stacked).all(axis=0) | (known > 0.0), known, np.nan)


def _query(metric: RequestMetric, namespace: str, pods: list[str], window: Window) -> str:
    """Per pod, over its models and engines; a rate needs two samples, hence two steps."""
    by = ",".join(label for way in POD_LABELS for label in (way.namespace, way.pod))
    over = "rate({}[{}s])" if metric.counter else "max_over_time({}[{}s])"
    length_s = 2 * window.step_s if metric.counter else window.step_s
    parts = (over.format(selector, length_s) for selector in selectors(metric.name, namespace, pods))
    return f"sum by ({by}) ({' or '.join(parts)})"


def _believable(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((rate >= 0.0) & (rate <= SIGNALS[Signal.REQUESTS].highest), rate, np.nan)
