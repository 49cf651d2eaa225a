"""From the series of a range query to arrays on the window's grid: NaN is what was not sampled or cannot be."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import SIGNALS
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, Series
from gpuwise.sources.prometheus.names import MetricName
from gpuwise.sources.prometheus.refusals import TooMuchAsked
from gpuwise.sources.prometheus.slices import Slices

_TICK_S = 0.001


def ranges(client: PrometheusClient, query: str, window: Window, slices: Slices | None = None) -> Iterator[Series]:
    """Evaluate a query once per step of the window, in slices that the server bears.

    Step i is evaluated one millisecond, Prometheus' resolution, before its end. A query over `[step]` then covers
    [start + i step, start + (i + 1) step) exactly, since Prometheus 3 leaves the left end of a range out. Prometheus 2
    includes it and sees one millisecond of the step before, which can only make a step busier.

    Args:
        client: which Prometheus.
        query: PromQL.
        window: the grid.
        slices: what earlier queries have shown of how much the server bears.

    Raises:
        SourceError: as the client's.
    """
    slices = slices or Slices.for_steps_of(window.step_s)
    done = 0
    while done < window.steps:
        steps = min(slices.steps, window.steps - done)
        start_s = window.start_s + done * window.step_s
        end_s = start_s + steps * window.step_s
        try:
            answer = client.range(
                query, start_s=start_s + window.step_s - _TICK_S, end_s=end_s - _TICK_S, step_s=window.step_s
            )
        except TooMuchAsked:
            if steps == 1:
                raise
            slices.shorten(steps)
        else:
            slices.succeeded()
            done += steps
            yield from answer


def on_grid(series: Series, window: Window) -> NDArray[np.float64]:
    """A series on the window's grid, shape (window.steps,), NaN where it has no sample.

    Raises:
        SourceError: a sample is not of a step that was asked for.
    """
    steps = (series.at_s + _TICK_S - window.start_s) / window.step_s - 1
    index = np.rint(steps)
    with np.errstate(invalid="ignore"):
        off_s = np.abs(steps - index) * window.step_s
    # Not `off_s >= tolerance`: a NaN time must be refused too.
    if not np.all((off_s < _TICK_S) & (index >= 0) & (index < window.steps)):
        raise SourceError(
            "Prometheus sent samples of times that were not asked for",
            hint="ask it directly, without a rewriting proxy",
        )
    grid = np.full(window.steps, np.nan)
    np.fmax.at(grid, index.astype(np.intp), series.values)
    return grid


def in_base_units(grid: NDArray[np.float64], metric: MetricName) -> NDArray[np.float64]:
    """Raw values in the signal's base unit; what no board can have is NaN."""
    values = _ratio(grid) if metric.perhaps_percent else grid * metric.scale
    believable = (values >= 0.0) & (values <= SIGNALS[metric.signal].highest)
    return np.where(believable, values, np.nan)


def _ratio(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """A series that is named a ratio: percent if any value is more than 1.

    In a series that was percent at some time, 0.9 may be 0.9 % or, after the exporter's upgrade, 90 %. That is unknown.
    """
    percent = (grid > 1.0) & (grid <= 100.0)
    if not percent.any():
        return grid
    return np.where(percent, grid / 100.0, np.where(grid == 0.0, 0.0, np.nan))
