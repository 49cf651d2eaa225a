"""How runs ended: from Prometheus, and from the objects of the cluster."""

from contextlib import ExitStack
from dataclasses import dataclass

from gpuwise.config import Config
from gpuwise.model.errors import GpuwiseError
from gpuwise.model.ports import ClusterReader
from gpuwise.model.runs import RunEnds
from gpuwise.sources.kubernetes.inventory import cluster_of
from gpuwise.wiring.clusters import changeable, cluster, recorded
from gpuwise.wiring.sources import prometheus_settings


@dataclass(frozen=True, slots=True)
class Runs:
    """How the runs of a period ended.

    Attributes:
        ends: by run; None if nothing tells it.
        cluster: uid of the cluster, "" if it is not known.
        missing: why a source has none, "" if all that are configured were read.
    """

    ends: RunEnds | None
    cluster: str
    missing: str


def runs(config: Config, start_s: int, end_s: int) -> Runs:
    """Read how the runs of a period ended: from Prometheus, and from the objects that exist now.

    Args:
        config: names the Prometheus, and the cluster or the recording.
        start_s: epoch seconds.
        end_s: likewise; not later than now.
    """
    from gpuwise.sources.kubernetes.runs import ended_runs  # noqa: PLC0415 - for one command

    found: dict[tuple[str, str], bool] = {}
    missing, read, uid = list[str](), False, ""
    if config.prometheus.url is not None:
        from gpuwise.sources.prometheus.runs import JobEnds  # noqa: PLC0415 - httpx takes 0.2 s

        try:
            ended = JobEnds(prometheus_settings(config)).read(start_s, end_s)
        except GpuwiseError as error:
            missing.append(str(error))
        else:
            if ended is None:
                missing.append("Prometheus has no kube_job_complete and no kube_job_failed of kube-state-metrics")
            found, read = dict(ended or {}), ended is not None
    given = config.kubernetes
    if given.kubeconfig is not None or given.context is not None or config.recording is not None:
        try:
            with ExitStack() as stack:
                reader: ClusterReader = cluster(config, stack) if changeable(config) else recorded(config)
                found |= ended_runs(reader, start_s, end_s)
                uid, read = cluster_of(reader.list("/api/v1/namespaces")), True
        except GpuwiseError as error:
            missing.append(str(error))
    if not read and not missing:
        missing.append("no Prometheus and no cluster is configured, which tell how runs ended: give --prometheus URL")
    return Runs(found if read else None, uid, "; ".join(missing))
