"""Series by range queries: what every server that speaks Prometheus' API can answer."""

from collections.abc import Iterator, Sequence

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import quoted
from gpuwise.sources.prometheus.samples import on_grid, ranges
from gpuwise.sources.prometheus.series import GridSeries, Selection
from gpuwise.sources.prometheus.slices import Slices


class RangeQueries:
    """Fulfils `SeriesReader` by query_range: the server reduces each step.

    Args:
        client: which Prometheus.
    """

    def __init__(self, client: PrometheusClient) -> None:
        self._client = client

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """See the port."""
        slices = Slices.for_steps_of(window.step_s)
        for selection in selections:
            for name in selection.names:
                # Functions over ranges drop the name, so each name is a query of its own.
                query = f"{selection.reduce}_over_time({_selector(name, selection)}[{window.step_s}s])"
                for series in ranges(self._client, query, window, slices):
                    yield GridSeries({"__name__": name} | dict(series.labels), on_grid(series, window))


def _selector(name: str, selection: Selection) -> str:
    matchers = (f"{matcher.label}{matcher.match}{quoted(matcher.value)}" for matcher in selection.matchers)
    return f"{{{','.join((f'__name__={quoted(name)}', *matchers))}}}"
