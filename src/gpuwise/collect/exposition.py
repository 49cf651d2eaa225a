"""The last snapshot in Prometheus' words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gpuwise import __version__
from gpuwise.collect.sampler import Sampler, Snapshot
from gpuwise.model.signal import Signal
from gpuwise.model.usage import PodRef, Reading

DEVICE_LABELS = (
    "device_uuid",
    "gpu",
    "model",
    "mig_profile",
    "gpu_instance_id",
    "node",
    "namespace",
    "pod",
    "container",
)
_NO_POD = (PodRef("", "", ""),)


@dataclass(frozen=True, slots=True)
class _DeviceMetric:
    name: str
    help: str
    value: Callable[[Reading], float | None]
    family: type[GaugeMetricFamily] | type[CounterMetricFamily] = GaugeMetricFamily


def _signal(signal: Signal) -> Callable[[Reading], float | None]:
    return lambda reading: reading.signals.get(signal)


DEVICE_METRICS: tuple[_DeviceMetric, ...] = (
    _DeviceMetric(
        "gpuwise_gpu_sm_activity_ratio",
        "Share of time and of multiprocessors with a warp resident, 0 to 1; Hopper and later.",
        _signal(Signal.SM_ACTIVITY),
    ),
    _DeviceMetric(
        "gpuwise_gpu_tensor_activity_ratio",
        "Share of time the tensor pipes worked, 0 to 1; Hopper and later.",
        _signal(Signal.TENSOR_ACTIVITY),
    ),
    _DeviceMetric(
        "gpuwise_gpu_dram_activity_ratio",
        "Share of the memory bandwidth in use, 0 to 1; Hopper and later.",
        _signal(Signal.DRAM_ACTIVITY),
    ),
    _DeviceMetric(
        "gpuwise_gpu_utilization_ratio",
        "Share of time any kernel ran, 0 to 1; absent on a GPU in MIG mode.",
        _signal(Signal.GPU_UTIL),
    ),
    _DeviceMetric("gpuwise_gpu_memory_used_bytes", "Framebuffer in use.", _signal(Signal.MEMORY_USED)),
    _DeviceMetric("gpuwise_gpu_memory_total_bytes", "Framebuffer.", lambda reading: reading.memory_total_bytes),
    _DeviceMetric("gpuwise_gpu_power_watts", "Draw of the whole board.", _signal(Signal.POWER)),
    _DeviceMetric(
        "gpuwise_gpu_energy_joules",
        "Energy of the whole board since the driver was loaded.",
        lambda reading: reading.energy_joules,
        CounterMetricFamily,
    ),
    _DeviceMetric("gpuwise_gpu_processes", "Compute processes with a context.", lambda reading: reading.processes),
)
_SAMPLED_AT = _DeviceMetric(
    "gpuwise_gpu_sample_timestamp_seconds", "When the device was last read, epoch.", lambda reading: reading.at_s
)
_INFO = _DeviceMetric("gpuwise_gpu_info", "1 for each device, or container on it, that is there.", lambda _: 1.0)


class NodeCollector(Collector):
    """The exporter's metrics, made anew from the last snapshot at each scrape.

    A value that is unknown is an absent series. When the last sweep is stale, only its timestamp is served.

    Args:
        sampler: whose snapshot.
        node: value of the label `node`.
    """

    def __init__(self, sampler: Sampler, *, node: str) -> None:
        self._sampler = sampler
        self._node = node

    def describe(self) -> Iterator[Metric]:
        """The families without samples."""
        yield from self._families(None, fresh=False)

    def collect(self) -> Iterator[Metric]:
        """The families with the last snapshot's samples."""
        yield from self._families(self._sampler.snapshot, fresh=self._sampler.fresh)

    def _families(self, snapshot: Snapshot | None, *, fresh: bool) -> Iterator[Metric]:
        readings = () if snapshot is None else snapshot.readings
        for metric in (*DEVICE_METRICS, _INFO):
            yield self._device_family(metric, readings if fresh else ())
        yield self._device_family(_SAMPLED_AT, readings)
        yield from _own_families(snapshot)

    def _device_family(self, metric: _DeviceMetric, readings: tuple[Reading, ...]) -> Metric:
        family = metric.family(metric.name, metric.help, labels=DEVICE_LABELS)
        for reading in readings:
            value = metric.value(reading)
            if value is None:
                continue
            for pod in reading.pods or _NO_POD:
                family.add_metric(self._labels(reading, pod), value)
        return family

    def _labels(self, reading: Reading, pod: PodRef) -> tuple[str, ...]:
        profile = reading.mig.profile if reading.mig else ""
        instance = str(reading.mig.gpu_instance_id) if reading.mig else ""
        device = (reading.device_uuid, str(reading.index), reading.product, profile, instance, self._node)
        return (*device, pod.namespace, pod.pod, pod.container)


def _own_families(snapshot: Snapshot | None) -> Iterator[Metric]:
    """What the exporter says of itself."""
    duration = GaugeMetricFamily("gpuwise_exporter_collection_duration_seconds", "How long the last sweep took.")
    errors = CounterMetricFamily("gpuwise_exporter_errors", "Errors met while sampling, by code.", labels=["code"])
    dropped = CounterMetricFamily(
        "gpuwise_exporter_dropped_values", "Values dropped because no board can have them.", labels=["signal"]
    )
    if snapshot is not None:
        duration.add_metric([], snapshot.duration_s)
        for code, count in snapshot.errors.items():
            errors.add_metric([code], count)
        for signal, count in snapshot.dropped.items():
            dropped.add_metric([signal.value], count)
    build = InfoMetricFamily("gpuwise_exporter_build", "Version of the exporter.")
    build.add_metric([], {"version": __version__})
    yield from (duration, errors, dropped, build)
