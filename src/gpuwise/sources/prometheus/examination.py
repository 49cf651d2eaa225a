"""What `gpuwise doctor` finds out about a Prometheus: server, clock, exporters, intervals, clusters."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.clusters import cluster_values
from gpuwise.sources.prometheus.names import (
    BUILD_INFO,
    HEARTBEATS,
    LISTING,
    METRICS,
    NAMES_PODS,
    POD_LABELS,
    REPLICA_LABELS,
    TABLE,
    TARGET_LABELS,
    Family,
    quoted,
    selector,
    translated,
)
from gpuwise.sources.prometheus.presence import count_by_name, present

_CLOCK_S = 30.0
"""A clock that differs by less changes no step: samples arrive later than that after a scrape."""
_IMAGES = "(?i).*(dcgm-exporter|nvidia_gpu_exporter|hami|gpuwise).*"
_SPAN_H = 6
"""Long enough for several samples at intervals of an hour."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The checks of one server.

    Attributes:
        client: its client.
        window: the last day, with the step of a scan.
        clock: epoch seconds.
    """

    client: PrometheusClient
    window: Window
    clock: Callable[[], float] = time.time

    def results(self) -> Iterator[CheckResult]:
        """Yield the result of each check; only a server that evaluates nothing ends them.

        Raises:
            SourceError: it evaluates nothing.
        """
        server = self._server()  # first, because VictoriaMetrics is asked for the time in another way
        clock = self._clock()
        yield CheckResult("server", *server)
        yield CheckResult("server clock", *clock)
        checks = (
            ("exporters", self._exporters),
            ("pods", self._pods),
            ("scrape interval", self._intervals),
            ("clusters", self._clusters),
        )
        for name, check in checks:
            try:
                status, text = check()
            except SourceError as error:
                status, text = CheckStatus.FAILED, str(error)
            yield CheckResult(name, status, text)

    def _server(self) -> tuple[CheckStatus, str]:
        try:
            build = self.client.build()
        except SourceError:
            return CheckStatus.OK, "it does not report its software and version"
        return CheckStatus.OK, f"{build.name} {build.version or '(it reports no version)'}"

    def _clock(self) -> tuple[CheckStatus, str]:
        before = self.clock()
        server_s = next((value for _, value in self.client.instant("vector(time())")), math.nan)
        # Half of the request's duration is not known to be before the server's reading.
        ahead_s = server_s - (before + self.clock()) / 2
        if not math.isfinite(ahead_s):
            return CheckStatus.WARNING, "the server does not report its time"
        text = f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's clock"
        if abs(ahead_s) < _CLOCK_S:
            return CheckStatus.OK, text
        return CheckStatus.FAILED, f"{text}: the newest samples are missed or waited for; synchronise both with NTP"

    def _exporters(self) -> tuple[CheckStatus, str]:
        counts = count_by_name(self.client, [metric.name for metric in METRICS])
        found = {metric.family: "" for metric in METRICS if counts.get(metric.name)}
        versions, images = self._versions(), self._images()
        for family in found:
            rows = [row for row in TABLE if row.exporter == family and counts.get(row.name)]
            named = ", ".join(dict.fromkeys(row.versions for row in rows if row.versions))
            exact = ", ".join(versions.get(family, ()))
            series = max(self._devices(row.name, counts[row.name]) for row in rows)
            found[family] = f"{family} {exact or f'{named} (by its metric names)'} with {series} devices and pods"
        if not found:
            return CheckStatus.FAILED, "none has series now"
        text = "; ".join(found.values()) + (f"; images: {', '.join(images)}" if images else "")
        return CheckStatus.OK, text

    def _devices(self, name: str, series: int) -> int:
        """Return how many series a metric has, where both servers of an HA pair count once."""
        query = f"count(count without ({','.join(sorted(REPLICA_LABELS))}) ({name}{{{self._matched}}}))"
        return next((int(count) for _, count in self._rows(query) if 1 <= count < math.inf), series)

    def _versions(self) -> dict[str, tuple[str, ...]]:
        """Return the versions that exporters report, by exporter."""
        found: dict[str, tuple[str, ...]] = {}
        for row in BUILD_INFO:
            rows = self._rows(f"count by (version) ({row.name}{{{self._matched}}})")
            if versions := sorted({labels.get("version", "") for labels, _ in rows} - {""}):
                found[row.exporter] = tuple(versions)
        return found

    def _images(self) -> list[str]:
        """Return the images of exporters that kube-state-metrics reports: dcgm-exporter does not export its version."""
        matched = f",{self._matched}" if self._matched else ""
        rows = self._rows(f"count by (image) (kube_pod_container_info{{image=~{quoted(_IMAGES)}{matched}}})")
        return sorted({labels.get("image", "").rpartition("/")[2] for labels, _ in rows} - {""})

    def _pods(self) -> tuple[CheckStatus, str]:
        listing = [metric.name for metric in METRICS if metric.family in NAMES_PODS and metric.signal in LISTING]
        counts = count_by_name(self.client, listing)
        name = next((name for name in listing if counts.get(name)), None)
        if name is None:
            cards = [metric.name for metric in METRICS if metric.family is Family.SMI]
            if not any(count_by_name(self.client, cards).values()):
                return CheckStatus.OK, "no exporter that names pods has series now"
            remedy = "run the gpuwise exporter or dcgm-exporter as well"
            return CheckStatus.WARNING, (
                f"{Family.SMI} names no pods: only a pod that has all GPUs of its node is measured; {remedy}"
            )
        matched = f",{self._matched}" if self._matched else ""
        # Prometheus adds the scraped pod to a series without one: that is the exporter's.
        terms = (
            f'{name}{{{way.pod}!=""{matched}}}'
            + (f" unless on ({way.namespace}, {way.pod}, instance) up" if way in TARGET_LABELS else "")
            for way in POD_LABELS
            if translated(way.pod)
        )
        named = sum(count for _, count in self.client.instant(f"count({' or '.join(f'({one})' for one in terms)})"))
        text = f"{named:.0f} of {counts[name]} series of {name} name a pod"
        if named:
            return CheckStatus.OK, text
        remedy = "let dcgm-exporter map them: DCGM_EXPORTER_KUBERNETES=true and the kubelet's pod-resources socket"
        return CheckStatus.WARNING, f"{text}: if pods use GPUs now, {remedy}"

    def _intervals(self) -> tuple[CheckStatus, str]:
        every_s = self._typical_s("count_over_time", [metric.name for metric in METRICS])
        if every_s is None:
            return CheckStatus.FAILED, f"no series has two samples in the last {_SPAN_H} h"
        text = f"a sample every {every_s:.0f} s, steps of {self.window.step_s} s"
        if every_s > self.window.step_s:
            remedy = "shorten the scrape interval, or set observe.step_s to a multiple of it"
            return CheckStatus.FAILED, f"{text}: steps without a sample are unknown and never idle; {remedy}"
        if stands := self._standing():
            remedy = "restart the exporter, and see its log"
            return CheckStatus.FAILED, f"{text}, but {stands} has not changed for {_SPAN_H} h on any device: {remedy}"
        sampled_s = self._typical_s("changes", sorted(HEARTBEATS))
        if sampled_s is not None and sampled_s > self.window.step_s:
            remedy = "shorten the exporter's sampling interval"
            return CheckStatus.FAILED, f"{text}, but values change every {sampled_s:.0f} s: {remedy}"
        if sampled_s is not None and sampled_s > 1.5 * every_s:
            text += f"; the exporter samples every {sampled_s:.0f} s, so samples repeat"
        return CheckStatus.OK, text

    def _standing(self) -> str | None:
        """Return the first heartbeat if it advances on no device although it has samples: the values are old."""
        counts = count_by_name(self.client, sorted(HEARTBEATS))
        name = next((name for name in sorted(HEARTBEATS) if counts.get(name)), None)
        if name is None:
            return None
        series = f"{name}{{{self._matched}}}[{_SPAN_H}h]"
        changed, sampled = (
            max((count for _, count in self.client.instant(f"max({function}({series}))")), default=0.0)
            for function in ("changes", "count_over_time")
        )
        return name if changed == 0.0 and sampled >= 2.0 else None

    def _typical_s(self, function: str, names: list[str]) -> float | None:
        """Return the median seconds between samples, or changes, of the first metric with series in the last hours."""
        counts = count_by_name(self.client, names)
        name = next((name for name in names if counts.get(name)), None)
        if name is None:
            return None
        query = f"quantile(0.5, {function}({name}{{{self._matched}}}[{_SPAN_H}h]))"
        times = [count for _, count in self.client.instant(query) if 2 <= count < math.inf]
        return _SPAN_H * 3_600 / times[0] if times else None

    def _clusters(self) -> tuple[CheckStatus, str]:
        found = present(self.client, [metric.name for metric in METRICS], self.window)
        values = cluster_values(self.client, found.selectors, self.window)
        named = "; ".join(f"label {label} is {', '.join(sorted(some))}" for label, some in values.items() if some)
        matchers = ", ".join(f"{label}={value}" for label, value in self.client.settings.matchers.items())
        selected = f"selected by prometheus.matchers: {matchers}" if matchers else "no matchers are configured"
        several = [label for label, some in values.items() if len(some) > 1 and not matchers]
        if several:
            hint = f"set prometheus.matchers to this cluster's value of {several[0]}"
            return CheckStatus.FAILED, f"{named}; {selected}: {hint}"
        return CheckStatus.OK, f"{named or 'no label names a cluster'}; {selected}"

    @property
    def _matched(self) -> str:
        return selector(self.client.settings.matchers).removeprefix(",")

    def _rows(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Evaluate a query about something that not every server has; empty if it is not evaluated."""
        try:
            return self.client.instant(query)
        except SourceError:
            return []
