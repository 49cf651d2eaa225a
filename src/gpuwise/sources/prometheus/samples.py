"""Convert the series of a range query to arrays on the window's grid: NaN is a missing or impossible value."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, Series
from gpuwise.sources.prometheus.refusals import TooMuchAsked
from gpuwise.sources.prometheus.slices import Slices

_TICK_S = 0.001


def ranges(client: PrometheusClient, query: str, window: Window, slices: Slices | None = None) -> Iterator[Series]:
    """Evaluate a query once per step of the window, in slices that the server can handle.

    Step i is evaluated one millisecond (Prometheus' resolution) before its end. A query over `[step]` then covers
    [start + i step, start + (i + 1) step) exactly, because Prometheus 3 excludes the left end of a range. Prometheus 2
    includes it and covers one millisecond of the previous step, which can only make a step busier.

    Args:
        client: client of the server.
        query: PromQL.
        window: the grid.
        slices: slice length that earlier queries have shown to work.

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
            series = client.range(
                query, start_s=start_s + window.step_s - _TICK_S, end_s=end_s - _TICK_S, step_s=window.step_s
            )
        except TooMuchAsked:
            if steps == 1:
                raise
            slices.shorten(steps)
        else:
            slices.succeeded()
            done += steps
            yield from series


def on_grid(series: Series, window: Window) -> NDArray[np.float64]:
    """Put a series on the window's grid, shape (window.steps,), NaN where it has no sample.

    Raises:
        SourceError: a sample does not belong to a requested step.
    """
    steps = (series.at_s + _TICK_S - window.start_s) / window.step_s - 1
    index = np.rint(steps)
    with np.errstate(invalid="ignore"):
        off_s = np.abs(steps - index) * window.step_s
    # Not `off_s >= tolerance`: a NaN time must be rejected, too.
    if not np.all((off_s < _TICK_S) & (index >= 0) & (index < window.steps)):
        raise SourceError(
            "Prometheus sent samples for times that were not requested",
            hint="set --prometheus to the server itself, not to a proxy that changes queries",
        )
    grid = np.full(window.steps, np.nan)
    np.fmax.at(grid, index.astype(np.intp), series.values)
    return grid
