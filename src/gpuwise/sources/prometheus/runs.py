"""How Jobs ended, by the metrics of kube-state-metrics: also of Jobs that no longer exist."""

from collections.abc import Iterator

from gpuwise.model.runs import RunEnds
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.clusters import check_one_cluster
from gpuwise.sources.prometheus.names import selector
from gpuwise.sources.prometheus.settings import PrometheusSettings

# https://github.com/kubernetes/kube-state-metrics/blob/v2.15.0/docs/metrics/workload/job-metrics.md
# 1 while the Job has the condition: from its end until it is deleted.
_METRICS = (("kube_job_complete", True), ("kube_job_failed", False))
_NAMESPACES = ("exported_namespace", "namespace")
"""Without honorLabels, the scrape keeps the Job's namespace in the first one; the second is then that of the target."""
_BY = ", ".join((*_NAMESPACES, "job_name"))
_DAY_S = 86_400
_Name = tuple[str, str]


class JobEnds:
    """Reads how Jobs ended from a Prometheus.

    Args:
        settings: server, authentication, timeouts and retries.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def read(self, start_s: int, end_s: int) -> RunEnds | None:
        """The Jobs that ended between two instants; None if the server has no such metric.

        A Job ended in the period if it has the condition in it, and had it at no time of the day before.

        Args:
            start_s: epoch seconds.
            end_s: likewise; not later than now.

        Raises:
            SourceError: the server does not answer, or refuses a query.
        """
        found: dict[_Name, bool] = {}
        known = False
        with PrometheusClient(self._settings) as client:
            chosen = [_chosen(client, metric) for metric, _ in _METRICS]
            check_one_cluster(client, chosen, Window(start_s, end_s, 1))
            for metric, succeeded in _METRICS:
                before, within = set[_Name](), set[_Name]()
                for name, at_s in _seen(client, metric, start_s, end_s):
                    (before if at_s <= start_s else within).add(name)
                known = known or bool(before or within)
                found |= dict.fromkeys(within - before, succeeded)
        return found if known else None


def _seen(client: PrometheusClient, metric: str, start_s: int, end_s: int) -> Iterator[tuple[_Name, float]]:
    """Yield the Jobs with the condition on the day before, on each whole day and in the rest, each with its end."""
    whole_s = start_s + (end_s - start_s) // _DAY_S * _DAY_S
    spans = [(start_s, whole_s, _DAY_S), (end_s, end_s, end_s - whole_s)]
    for first_s, last_s, length_s in spans:
        if length_s <= 0:
            continue
        query = f"max by ({_BY}) (max_over_time({_chosen(client, metric)}[{length_s}s]))"
        for series in client.range(query, start_s=first_s, end_s=last_s, step_s=_DAY_S):
            space = next((series.labels[name] for name in _NAMESPACES if series.labels.get(name)), "")
            name = space, f"Job/{series.labels.get('job_name', '')}"
            yield from ((name, at_s) for at_s, value in zip(series.at_s, series.values, strict=True) if value > 0.0)


def _chosen(client: PrometheusClient, metric: str) -> str:
    return f'{metric}{{condition="true"{selector(client.settings.matchers)}}}'
