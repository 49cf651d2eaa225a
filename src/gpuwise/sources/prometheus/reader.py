"""Series by the best API that a server offers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpuwise.model.usage import DAY_S, Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.ranges import RangeQueries
from gpuwise.sources.prometheus.refusals import NotOffered, TooMuchAsked
from gpuwise.sources.prometheus.remote_read import RemoteRead
from gpuwise.sources.prometheus.series import GridSeries, Match, Matcher, Selection


class PrometheusSeries:
    """Implements `SeriesReader` with remote read, or with range queries if the server does not offer it.

    If the server does not offer remote read, or refuses even a day of it as too much, the object does not try it again.
    Any other error is raised. The client's setting `read` forces one API.

    Args:
        client: client of the server.
    """

    def __init__(self, client: PrometheusClient) -> None:
        self._matchers = tuple(Matcher(name, Match.EQUAL, value) for name, value in client.settings.matchers.items())
        self._forced = client.settings.read == "remote-read"
        self._remote_read = RemoteRead(client, least_s=0 if self._forced else DAY_S)
        self._ranges = RangeQueries(client)
        self._offered = client.settings.read != "query-range"

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """See the port."""
        left = [replace(one, matchers=(*one.matchers, *self._matchers)) for one in selections]
        while left and self._offered:
            try:
                yield from self._remote_read.series(left[:1], window)
                del left[0]
            except (NotOffered, TooMuchAsked):
                if self._forced:
                    raise
                self._offered = False
        yield from self._ranges.series(left, window)
