"""Series by range queries, which every server with Prometheus' API supports."""

from collections.abc import Iterator, Sequence

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import quoted
from gpuwise.sources.prometheus.samples import on_grid, ranges
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
                # Range functions drop the metric name, so each name needs its own query.
                query = f"{selection.reduce}_over_time({_selector(name, selection)}[{window.step_s}s])"
                for series in ranges(self._client, query, window, slices):
                    yield GridSeries({"__name__": name} | dict(series.labels), on_grid(series, window))


def _selector(name: str, selection: Selection) -> str:
    matchers = (f"{matcher.label}{matcher.match}{quoted(matcher.value)}" for matcher in selection.matchers)
    return f"{{{','.join((f'__name__={quoted(name)}', *matchers))}}}"
