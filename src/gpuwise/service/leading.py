"""Where this process stands in the election of the leader, as metrics."""

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Standing(Protocol):
    """What the metrics need of the election."""

    @property
    def leads(self) -> bool:
        """Whether this process is the leader."""
        ...

    @property
    def epoch(self) -> int:
        """Term of the leader, 0 if not known."""
        ...

    @property
    def terms(self) -> int:
        """Number of terms that this process has begun."""
        ...


class LeaderCollector(Collector):
    """Reads the standing at each scrape.

    Args:
        standing: returns it; None without an election.
    """

    def __init__(self, standing: Callable[[], Standing | None]) -> None:
        self._standing = standing

    def describe(self) -> Iterator[Metric]:
        """Return the metric families without samples."""
        yield GaugeMetricFamily("gpuwise_leader", "1 if this process is the leader, which alone writes, else 0.")
        yield GaugeMetricFamily("gpuwise_leader_epoch", "Term of the leader as this process knows it; absent if not.")
        yield CounterMetricFamily("gpuwise_leader_terms", "Terms that this process has begun as the leader.")

    def collect(self) -> Iterator[Metric]:
        """Return the metric families; none without an election."""
        now = self._standing()
        if now is None:
            return
        leads, epoch, terms = self.describe()
        leads.add_sample(leads.name, {}, float(now.leads))
        yield leads
        if now.epoch:
            epoch.add_sample(epoch.name, {}, float(now.epoch))
            yield epoch
        terms.add_sample(f"{terms.name}_total", {}, float(now.terms))
        yield terms
