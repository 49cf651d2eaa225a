"""Series by the best way that a server offers."""

from collections.abc import Iterator, Sequence

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.ranges import RangeQueries
from gpuwise.sources.prometheus.refusals import NotOffered
from gpuwise.sources.prometheus.remote_read import RemoteRead
from gpuwise.sources.prometheus.series import GridSeries, Selection


class PrometheusSeries:
    """Fulfils `SeriesReader`: by remote read, and by range queries where the server offers none.

    What the server does not offer is remembered as long as this lives; any other error is an error. The setting
    `read` of the client takes the choice away.

    Args:
        client: which Prometheus.
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
