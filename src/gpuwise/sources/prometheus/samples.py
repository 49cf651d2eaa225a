"""Convert the series of a range query to arrays on the window's grid: NaN is a missing or impossible value."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, Series
from gpuwise.sources.prometheus.refusals import TooLong, TooMuchAsked
from gpuwise.sources.prometheus.series import Reduce
from gpuwise.sources.prometheus.slices import Slices

# Servers send times in milliseconds, some after a rounding of their own.
_TOLERANCE_S = 0.002


def ranges(client: PrometheusClient, query: str, window: Window, slices: Slices | None = None) -> Iterator[Series]:
    """Evaluate a query at the end of each step of the window, in slices that the server can handle.

    Windows start at a multiple of their step, and so every evaluation is at one. VictoriaMetrics and the query
    front ends of Thanos and Cortex round start and end of a range to multiples of the step, which then changes nothing.

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
            series = client.range(query, start_s=start_s + window.step_s, end_s=end_s, step_s=window.step_s)
        except TooMuchAsked as error:
            if steps == 1:
                raise
            if isinstance(error, TooLong):
                slices.limit(steps)
            else:
                slices.shorten(steps)
        else:
            slices.succeeded()
            done += steps
            yield from series


def on_grid(series: Series, window: Window, reduce: Reduce = Reduce.MAX) -> NDArray[np.float64] | None:
    """Put a series on the window's grid, shape (window.steps,), NaN where a step is unknown.

    A sample at time t is the reduced value of (t - step, t]. At the end of a step it is the value of that step. A
    server that evaluates at other times covers a step only together with the next sample: the busier of both then
    counts, and a step with one of the two is unknown. Samples of other steps than the window's are not used.

    Args:
        series: the samples.
        window: the grid.
        reduce: how the query reduces a step.

    Returns:
        None if the samples cover no step of the window.

    Raises:
        SourceError: a sample has no time.
    """
    if not np.isfinite(series.at_s).all():
        raise not_requested("a time that is not a number")
    busier = np.fmin if reduce is Reduce.MIN else np.fmax
    at, index = np.unique(_in_steps(series, window), return_inverse=True)
    values = np.full(at.size, np.nan)
    busier.at(values, index, series.values)
    ends = np.arange(1, window.steps + 1)
    before, after = np.searchsorted(at, ends, side="right") - 1, np.searchsorted(at, ends, side="left")
    covered = np.flatnonzero((before >= 0) & (after < at.size))
    before, after = before[covered], after[covered]
    close = at[after] - at[before] <= 1.0 + _TOLERANCE_S / window.step_s
    if not close.any():
        return None
    both = (np.minimum if reduce is Reduce.MIN else np.maximum)(values[before], values[after])
    grid = np.full(window.steps, np.nan)
    grid[covered[close]] = both[close]
    return grid


def not_requested(detail: str) -> SourceError:
    """Return the error of samples that cannot be used because of their times."""
    return SourceError(
        f"Prometheus sent samples for times that were not requested: {detail}",
        hint="set --prometheus to the server itself, not to a proxy that changes queries",
    )


def _in_steps(series: Series, window: Window) -> NDArray[np.float64]:
    """Return the times of samples in steps since the window's start, exact at the end of a step."""
    at = (series.at_s - window.start_s) / window.step_s
    nearest = np.rint(at)
    return np.where(np.abs(at - nearest) * window.step_s <= _TOLERANCE_S, nearest, at)
