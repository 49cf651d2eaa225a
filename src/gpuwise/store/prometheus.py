"""Usage as Prometheus has it: whichever exporter measured it, on one grid, in base units."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import SourceError
from gpuwise.model.gpu import COMPUTE_SLICES, GpuType, gpu_type
from gpuwise.model.inventory import Inventory, Pod, Workload
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.store.prometheus_devices import Device, DeviceKey, PodKey, gather
from gpuwise.store.prometheus_http import PrometheusClient, PrometheusSettings, Transport
from gpuwise.store.prometheus_names import METRICS, MODEL_LABELS, NODE_LABELS, Family, any_of, first
from gpuwise.store.prometheus_requests import REQUEST_METRICS, of_workload, requests_by_pod
from gpuwise.store.prometheus_sharing import holders

__all__ = ["PrometheusSettings", "PrometheusUsage", "SourceCheck"]

_GPU_NAMES = frozenset(metric.name for metric in METRICS)
_REQUEST_NAMES = frozenset(metric.name for metric in REQUEST_METRICS)
_COMPUTE_SLICES = re.compile(r"^(\d+)g\.")


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What a Prometheus has for us.

    Attributes:
        series: how many series each GPU metric has now, by its name.
        families: whose exporters they come from.
    """

    series: Mapping[str, int]
    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one read gathered for its pods."""

    devices: Mapping[PodKey, Mapping[DeviceKey, Device]]
    holders: Mapping[DeviceKey, int]
    requests: Mapping[PodKey, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class PrometheusUsage:
    """A source of usage that asks Prometheus; fulfils `UsageSource`.

    Attributes:
        settings: which Prometheus.
        transport: what carries the requests instead of the network, for tests.
    """

    settings: PrometheusSettings
    transport: Transport | None = field(default=None, repr=False, compare=False)

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in the order asked for.

        All answers are fetched before the first series is given out.

        Args:
            workloads: their pods are known by name.
            inventory: tells the GPU type of a node whose series name none.
            window: the grid.

        Raises:
            SourceError: unreachable, refused, partial, or not what it should be.
        """
        pods: dict[str, set[str]] = defaultdict(set)
        for workload in workloads:
            pods[workload.ref.namespace].update(pod.name for pod in workload.pods)
        pods = {namespace: names for namespace, names in pods.items() if names}
        answers = self._ask(pods, window) if pods else _Answers({}, {}, {})
        return (_usage(workload, answers, inventory, window) for workload in workloads)

    def check(self) -> SourceCheck:
        """Say what GPU metrics there are now.

        Raises:
            SourceError: unreachable, refused, or without any GPU metric.
        """
        with self._client() as client:
            found = client.instant(f"count by (__name__) ({_matching(_GPU_NAMES)})")
        series = {labels.get("__name__", ""): int(count) for labels, count in found if 1 <= count < math.inf}
        families = frozenset(metric.family for metric in METRICS if series.get(metric.name))
        if not families:
            raise self._empty("now")
        return SourceCheck(series, families)

    def describe(self) -> str:
        """Say in a sentence what can be read here now.

        Raises:
            SourceError: unreachable, refused, or without any GPU metric.
        """
        found = self.check()
        return f"{sum(found.series.values())} GPU series from {', '.join(sorted(found.families))}"

    def _empty(self, when: str) -> SourceError:
        return SourceError(
            f"Prometheus at {self.settings.shown_url} has no GPU metrics {when}",
            mend="run the gpuwise exporter or dcgm-exporter on the GPU nodes, and let Prometheus scrape it",
        )

    def _client(self) -> PrometheusClient:
        return PrometheusClient(self.settings, transport=self.transport)

    def _ask(self, pods: Mapping[str, set[str]], window: Window) -> _Answers:
        with self._client() as client:
            present = client.label_values(
                "__name__",
                match=_matching(_GPU_NAMES | _REQUEST_NAMES),
                start_s=window.start_s,
                end_s=window.end_s,
            )
            if not present:
                raise self._empty(f"in the {window.seconds / 3600:.1f} h looked at")
            devices = gather(client, [metric for metric in METRICS if metric.name in present], pods, window)
            return _Answers(
                devices,
                holders(client, (item for held in devices.values() for item in held.items()), window),
                requests_by_pod(client, [metric for metric in REQUEST_METRICS if metric.name in present], pods, window),
            )


def _matching(names: frozenset[str]) -> str:
    return f"{{__name__=~{any_of(names)}}}"


def _usage(workload: Workload, answers: _Answers, inventory: Inventory, window: Window) -> UsageSeries:
    devices = tuple(
        _device_series(pod, key, device, answers.holders.get(key, 1), inventory)
        for pod in workload.pods
        for key, device in sorted(answers.devices.get((workload.ref.namespace, pod.name), {}).items())
    )
    return UsageSeries(workload.ref, window, devices, of_workload(workload, answers.requests, window))


def _device_series(pod: Pod, key: DeviceKey, device: Device, shared_by: int, inventory: Inventory) -> DeviceSeries:
    card = _card(pod, device.labels, inventory)
    slices = _COMPUTE_SLICES.match(device.mig_profile or "")
    whole = card.compute_slices if card else COMPUTE_SLICES
    fraction = int(slices[1]) / whole if slices else 1.0
    return DeviceSeries(
        pod=pod.name,
        device_uuid=key.name,
        gpu_fraction=fraction / shared_by,
        gpu_type=card.name if card else None,
        node=pod.node,
        samples=device.samples(),
    )


def _card(pod: Pod, labels: Mapping[str, str], inventory: Inventory) -> GpuType | None:
    """The card's type by its series, else by its node."""
    named = gpu_type(first(labels, MODEL_LABELS) or "")
    if named is not None:
        return named
    node = inventory.nodes.get(pod.node or first(labels, NODE_LABELS) or "")
    return node.gpu_type if node else None
