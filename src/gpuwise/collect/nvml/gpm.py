"""Activity from hardware counters, on Hopper and later: the difference between two samples of one device."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.nvml.library import Calls, as_plain
from gpuwise.collect.reading import Device

# How many NVML units make one of ours; dividing by 100 is exact where multiplying by 0.01 is not.
_PERCENT, _MIB = 100.0, 2.0**-20
_METRICS: tuple[tuple[int, Metric, tuple[str, ...], float], ...] = (
    (pynvml.NVML_GPM_METRIC_SM_UTIL, c.SM_ACTIVITY, (c.GPM,), _PERCENT),
    (pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL, c.TENSOR_ACTIVITY, (c.GPM,), _PERCENT),
    (pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL, c.DRAM_ACTIVITY, (c.GPM,), _PERCENT),
    (pynvml.NVML_GPM_METRIC_SM_OCCUPANCY, c.SM_OCCUPANCY, (c.GPM,), _PERCENT),
    (pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL, c.GRAPHICS_ACTIVITY, (c.GPM,), _PERCENT),
    (pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC, c.PCIE_RATE, ("transmit",), _MIB),
    (pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC, c.PCIE_RATE, ("receive",), _MIB),
    (pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, c.NVLINK_RATE, ("transmit",), _MIB),
    (pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, c.NVLINK_RATE, ("receive",), _MIB),
)
# The last four metrics describe the card's links; a MIG instance has none.
_OF_INSTANCE = 5


class _Pair:
    """Two samples of one device, and the request that compares them.

    The request is 13 kB (333 slots of 40 bytes), so it is allocated once per device and reused for each sweep.
    """

    def __init__(self, metrics: int) -> None:
        self._older = pynvml.nvmlGpmSampleAlloc()
        self._newer = pynvml.nvmlGpmSampleAlloc()
        self._ready = False
        self._request = pynvml.c_nvmlGpmMetricsGet_t()
        self._request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        self._request.numMetrics = metrics
        self._slots = as_plain(self._request.metrics)[:metrics]
        for slot, (number, _, _, _) in zip(self._slots, _METRICS, strict=False):
            slot.metricId = number

    def advance(self, take: Callable[[Any], Any], calls: Calls) -> Iterator[Sample]:
        """Take a sample and compare it with the previous one; nothing the first time."""
        self._older, self._newer = self._newer, self._older
        had_one, self._ready = self._ready, calls.ask(take, self._newer) is not None
        if not (had_one and self._ready):
            return
        self._request.sample1, self._request.sample2 = self._older, self._newer
        if calls.ask(pynvml.nvmlGpmMetricsGet, self._request) is None:
            return
        for answer, (_, metric, labels, unit) in zip(self._slots, _METRICS, strict=False):
            if answer.nvmlReturn == pynvml.NVML_SUCCESS:
                yield Sample(metric, answer.value / unit, labels)
            else:
                calls.record_error(answer.nvmlReturn)

    def free(self) -> None:
        """Free both samples."""
        pynvml.nvmlGpmSampleFree(self._older)
        pynvml.nvmlGpmSampleFree(self._newer)


class Gpm:
    """The last GPM sample of each device."""

    def __init__(self) -> None:
        self._pairs: dict[str, _Pair] = {}
        self._able: dict[str, bool] = {}

    def activity(self, device: Device, gpu: Any, calls: Calls) -> Iterator[Sample]:
        """Activity of a device since the last call for it; nothing before Hopper, and nothing the first time.

        Args:
            device: the card or the MIG instance.
            gpu: handle of the card.
            calls: the calls of this sweep.
        """
        if not self._supported(device.card_uuid, gpu, calls):
            return
        uuid, mig = device.uuid, device.mig
        if uuid not in self._pairs:
            pair = calls.ask(_Pair, len(_METRICS) if mig is None else _OF_INSTANCE)
            if pair is None:
                return
            self._pairs[uuid] = pair
        take = (
            partial(pynvml.nvmlGpmSampleGet, gpu)
            if mig is None
            else partial(pynvml.nvmlGpmMigSampleGet, gpu, mig.gpu_instance_id)
        )
        yield from self._pairs[uuid].advance(take, calls)

    def _supported(self, card_uuid: str, gpu: Any, calls: Calls) -> bool:
        """Whether the card has GPM; asked until NVML answers, because no card changes it while the driver is loaded."""
        if card_uuid not in self._able:
            support = calls.ask(pynvml.nvmlGpmQueryDeviceSupport, gpu)
            if support is None:
                return False
            self._able[card_uuid] = bool(support.isSupportedDevice)
        return self._able[card_uuid]

    def keep(self, seen: set[str]) -> None:
        """Free what is kept for devices that no longer exist."""
        for uuid in self._pairs.keys() - seen:
            self._pairs.pop(uuid).free()
        for uuid in self._able.keys() - seen:
            del self._able[uuid]
