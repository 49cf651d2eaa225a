"""Series by range queries, which every server with Prometheus' API supports."""

from collections.abc import Iterator, Sequence

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, Series
from gpuwise.sources.prometheus.names import label_name, quoted, translated
from gpuwise.sources.prometheus.refusals import NotEvaluated
from gpuwise.sources.prometheus.samples import not_requested, on_grid, ranges
from gpuwise.sources.prometheus.series import GridSeries, Selection
from gpuwise.sources.prometheus.slices import Slices


class RangeQueries:
    """Implements `SeriesReader` with query_range: the server reduces each step.

    Args:
        client: client of the server.
    """

    def __init__(self, client: PrometheusClient) -> None:
        self._client = client

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """See the port."""
        slices = Slices.for_steps_of(window.step_s)
        for selection in selections:
            for name in selection.names:
                yield from self._of_name(name, selection, window, slices)

    def _of_name(self, name: str, selection: Selection, window: Window, slices: Slices) -> Iterator[GridSeries]:
        """Yield the series of one name: range functions drop the metric name, so each name needs its own query."""
        unplaced, placed = None, False
        for series in self._answered(name, selection, window, slices):
            grid = on_grid(series, window, selection.reduce)
            if grid is None:
                unplaced = series
            else:
                placed = True
                yield GridSeries({"__name__": name} | dict(series.labels), grid)
        if unplaced is not None and unplaced.at_s.size and not placed:
            raise not_requested(f"{unplaced.at_s[0]:.3f} is not a multiple of {window.step_s} s in the window")

    def _answered(self, name: str, selection: Selection, window: Window, slices: Slices) -> Iterator[Series]:
        try:
            yield from ranges(self._client, _query(name, selection, window.step_s), window, slices)
        except NotEvaluated:
            if all(translated(matcher.label) for matcher in selection.matchers):
                raise
            # A server that does not parse such a name has no such label.


def _query(name: str, selection: Selection, step_s: int) -> str:
    """Return the query for one value per step, evaluated at the step's end.

    With the offset of one millisecond, Prometheus' resolution, `[step]` covers [start, end) of the step exactly,
    because Prometheus 3 excludes the left end of a range. Prometheus 2 includes it and covers one millisecond of the
    previous step, which can only make a step busier. To evaluate one millisecond earlier would cover the same, but
    servers that round times would change it.
    """
    return f"{selection.reduce}_over_time({_selector(name, selection)}[{step_s}s] offset 1ms)"


def _selector(name: str, selection: Selection) -> str:
    matchers = (f"{label_name(matcher.label)}{matcher.match}{quoted(matcher.value)}" for matcher in selection.matchers)
    return f"{{{','.join((f'__name__={quoted(name)}', *matchers))}}}"
