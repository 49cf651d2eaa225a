"""Service levels: one number each, by a query that the policy gives."""

import math

from gpuwise.model.command import ServiceLevel
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.settings import PrometheusSettings


class PrometheusLevels:
    """Measures service levels in Prometheus.

    Args:
        settings: server, authentication, timeouts and retries.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def value(self, level: ServiceLevel) -> float | None:
        """Return the number now; None if the query yields no sample, several, or no finite number.

        Args:
            level: its query is sent as it is: it names the cluster itself where a server stores several.

        Raises:
            SourceError: the server does not answer, or refuses the query.
        """
        with PrometheusClient(self._settings) as client:
            found = client.instant(level.query)
        if len(found) != 1 or not math.isfinite(found[0][1]):
            return None
        return found[0][1]
