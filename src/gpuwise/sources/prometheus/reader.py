"""Series by the best API that a server offers."""

from collections.abc import Iterator, Sequence

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.ranges import RangeQueries
from gpuwise.sources.prometheus.refusals import NotOffered
from gpuwise.sources.prometheus.remote_read import RemoteRead
from gpuwise.sources.prometheus.series import GridSeries, Selection


class PrometheusSeries:
    """Implements `SeriesReader` with remote read, or with range queries if the server does not offer it.

    If the server does not offer remote read, the object does not try it again. Any other error is raised. The client's
    setting `read` forces one API.

    Args:
        client: client of the server.
    """

    def __init__(self, client: PrometheusClient) -> None:
        self._forced = client.settings.read == "remote-read"
        self._remote_read = RemoteRead(client)
        self._ranges = RangeQueries(client)
        self._offered = client.settings.read != "query-range"

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """See the port."""
        left = list(selections)
        while left and self._offered:
            try:
                yield from self._remote_read.series(left[:1], window)
                del left[0]
            except NotOffered:
                if self._forced:
                    raise
                self._offered = False
        yield from self._ranges.series(left, window)
