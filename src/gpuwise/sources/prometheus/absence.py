"""Why a server has no GPU metrics that can be read: the error names what it does have, and what to do."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import DAY_S, Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import NOT_READ, selector
from gpuwise.sources.prometheus.presence import by_pattern, label_values, present

_OWN = "DCGM_FI_.+|dcgm_.+|nvidia_smi_.+|hami_.+|vGPU.+|GPUDevice.+|nodeGPU.+|nodevGPU.+|gpuwise_gpu_.+"
"""Names of the supported exporters; a list of counters may contain none of those that are read."""
_HAMI = ("hami_", "vGPU", "GPUDevice", "nodeGPU", "nodevGPU")
"""Start of the names that HAMi's scheduler exports: what is allocated, and not what is used."""
_JOBS = "(?i).*(dcgm|gpu|nvidia).*"
_SHOWN = 3
_MONTH_D = 30
_RUN_ONE = "run the gpuwise exporter or dcgm-exporter on the GPU nodes, and check that Prometheus scrapes it"


def nothing_found(client: PrometheusClient, names: Sequence[str], when: str, window: Window) -> SourceError:
    """Return the error of a server without any of these metrics.

    Args:
        client: client of the server.
        names: the metrics of the supported exporters.
        when: when there are none, as words of a sentence.
        window: the same; what else the server has is looked up here.
    """
    empty = f"Prometheus at {client.shown_url} has no GPU metrics {when}"
    day = replace(window, start_s=min(window.start_s, window.end_s - DAY_S // window.step_s * window.step_s))
    for reason in (_other_clusters, _stopped, _old, _failing, _others, _stopped_long_ago):
        with suppress(SourceError):  # the lookups only improve the message
            for problem, hint in reason(client, names, day):
                return SourceError(f"{empty}: {problem}", hint=hint)
    return SourceError(empty, hint=_RUN_ONE)


def _other_clusters(client: PrometheusClient, names: Sequence[str], window: Window) -> Iterator[tuple[str, str]]:
    """Yield the values that the labels of the matchers have, if it is not that of the matcher."""
    for label, wanted in client.settings.matchers.items():
        values = label_values(client, label, by_pattern(names, {}), window)
        if values and wanted not in values:
            shown = ", ".join(sorted(values)[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
            yield f"label {label} is never {wanted}, but {shown}", "correct prometheus.matchers"


def _stopped(client: PrometheusClient, names: Sequence[str], day: Window) -> Iterator[tuple[str, str]]:
    """Yield when the last sample was, if there was one in the last day."""
    yield from _last_sample(client, names, day, "1d:5m")


def _stopped_long_ago(client: PrometheusClient, names: Sequence[str], day: Window) -> Iterator[tuple[str, str]]:
    """Yield when the last sample was, to the hour, if there was one in the last month."""
    month = replace(day, start_s=day.end_s - _MONTH_D * DAY_S // day.step_s * day.step_s)
    yield from _last_sample(client, names, month, f"{_MONTH_D}d:1h")


def _last_sample(
    client: PrometheusClient, names: Sequence[str], window: Window, times: str
) -> Iterator[tuple[str, str]]:
    one = min(present(client, names, window).names, default=None)
    if one is None:
        return
    matched = _matched(client).removeprefix(",")
    for _, at_s in client.instant(f"max(max_over_time(timestamp({one}{{{matched}}})[{times}]))"):
        if window.start_s <= at_s <= window.end_s:
            when = datetime.fromtimestamp(at_s, UTC)
            hint = "check that the exporter's pods run and that Prometheus scrapes them (its page Status > Targets)"
            yield f"the last sample of {one} is of {when:%Y-%m-%d %H:%M} UTC", hint


def _old(client: PrometheusClient, _: Sequence[str], day: Window) -> Iterator[tuple[str, str]]:
    """Yield exporters whose metrics cannot be used."""
    there = present(client, [row.name for row in NOT_READ], day).names
    for row in NOT_READ:
        if row.name in there:
            found = f"{row.name} of {row.exporter} ({row.versions}) cannot be used, because its series name no pods"
            yield found, "replace it by dcgm-exporter 2.0 or later, or by the gpuwise exporter"


def _failing(client: PrometheusClient, _: Sequence[str], __: Window) -> Iterator[tuple[str, str]]:
    """Yield jobs that look like exporters of GPUs and whose scrapes fail."""
    for labels, count in client.instant(f'count by (job) (up{{job=~"{_JOBS}"{_matched(client)}}} == 0)'):
        problem = f"scrapes of {count:.0f} targets of the job {labels.get('job', '')} fail"
        yield problem, "see the error of these targets on Prometheus' page Status > Targets"


def _others(client: PrometheusClient, _: Sequence[str], day: Window) -> Iterator[tuple[str, str]]:
    """Yield other metrics of the supported exporters."""
    there = sorted(label_values(client, "__name__", f'{{__name__=~"{_OWN}"{_matched(client)}}}', day))
    if there:
        shown = ", ".join(there[:_SHOWN]) + (" ..." if len(there) > _SHOWN else "")
        hint = "export DCGM_FI_DEV_GPU_UTIL, DCGM_FI_DEV_FB_USED and DCGM_FI_DEV_POWER_USAGE as well (option -f)"
        if all(name.startswith(_HAMI) for name in there):
            hint = "let Prometheus scrape HAMi's device plugin on the nodes as well (its vGPU monitor, port 31992)"
        yield f"an exporter runs, but exports only metrics that are not read ({shown})", hint


def _matched(client: PrometheusClient) -> str:
    return selector(client.settings.matchers)
