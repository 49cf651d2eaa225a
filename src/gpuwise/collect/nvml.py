"""The devices of this node as NVML has them; the only file that knows pynvml."""

import ctypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pynvml

from gpuwise.collect.sweep import Sweep
from gpuwise.model.errors import DeviceError
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import MigInstance, Reading

T = TypeVar("T")

# "Not here" in NVML's three ways of saying it: the board cannot, the driver is too old, the field has no sample yet.
_ABSENT = frozenset(
    {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_NO_DATA},
)
_CODES = {getattr(pynvml, name): name for name in dir(pynvml) if name.startswith("NVML_ERROR_")}
_GPM = (
    (pynvml.NVML_GPM_METRIC_SM_UTIL, Signal.SM_ACTIVITY),
    (pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL, Signal.TENSOR_ACTIVITY),
    (pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL, Signal.DRAM_ACTIVITY),
)
# NVML names a MIG device "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; a compute instance within it adds "1c." in front.
_MIG_NAME = re.compile(r"^(?P<product>.*) MIG (?:\d+c\.)?(?P<profile>\d+g\.\d+gb\S*)$")
# A millijoule counter of 1e15 is 1 kW for 31,700 years: a sentinel.
_HIGHEST_MILLIJOULES = 1e15


@dataclass(slots=True)
class _Tally:
    """What went wrong during one sweep."""

    errors: list[str] = field(default_factory=list)
    dropped: list[Signal] = field(default_factory=list)

    def call(self, function: Callable[..., T], *args: Any) -> T | None:
        """The call's answer; None where NVML has none, and the error counted unless it is "not supported"."""
        try:
            return function(*args)
        except pynvml.NVMLError as error:
            self.refuse(error.value)
            return None

    def refuse(self, code: int) -> None:
        if code not in _ABSENT:
            self.errors.append(_CODES.get(code, f"NVML_{code}"))

    def believable(self, signal: Signal, value: float | None) -> dict[Signal, float]:
        """The value by its signal; nothing if it is unknown, or if no board can have it (safety story 7)."""
        if value is None:
            return {}
        if 0.0 <= value <= SIGNALS[signal].highest:
            return {signal: value}
        self.dropped.append(signal)
        return {}


class _GpmPair:
    """Two GPM samples of one device, and the request that compares them.

    The request is 19 kB (477 slots of 40 bytes), so it is allocated once per device and used for each sweep.
    """

    def __init__(self) -> None:
        self._older = pynvml.nvmlGpmSampleAlloc()
        self._newer = pynvml.nvmlGpmSampleAlloc()
        self._ready = False
        self._request = pynvml.c_nvmlGpmMetricsGet_t()
        self._request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        self._request.numMetrics = len(_GPM)
        for slot, (metric, _) in enumerate(_GPM):
            self._request.metrics[slot].metricId = metric

    def advance(self, take: Callable[[Any], Any], tally: _Tally) -> dict[Signal, float]:
        """Take a sample and compare it with the one before; nothing the first time."""
        self._older, self._newer = self._newer, self._older
        had_one, self._ready = self._ready, tally.call(take, self._newer) is not None
        if not (had_one and self._ready):
            return {}
        self._request.sample1, self._request.sample2 = self._older, self._newer
        if tally.call(pynvml.nvmlGpmMetricsGet, self._request) is None:
            return {}
        signals: dict[Signal, float] = {}
        for slot, (_, signal) in enumerate(_GPM):
            metric = self._request.metrics[slot]
            if metric.nvmlReturn == pynvml.NVML_SUCCESS:
                signals |= tally.believable(signal, metric.value / 100)
            else:
                tally.refuse(metric.nvmlReturn)
        return signals

    def free(self) -> None:
        pynvml.nvmlGpmSampleFree(self._older)
        pynvml.nvmlGpmSampleFree(self._newer)


class Nvml:
    """An open NVML; closing it is the caller's part, when no sweep runs any more.

    Args:
        library: an NVML to load instead of the driver's, None for the driver's.

    Raises:
        DeviceError: there is no driver, or it refuses.
    """

    def __init__(self, library: Path | None = None) -> None:
        if library is not None:
            _preload(library)
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise DeviceError(
                f"NVML cannot be opened: {error}",
                mend="install the NVIDIA driver on this node, and give the container NVIDIA_VISIBLE_DEVICES=all",
            ) from error
        self._pairs: dict[str, _GpmPair] = {}

    def close(self) -> None:
        """Free the samples and shut NVML down."""
        self._forget(set())
        pynvml.nvmlShutdown()

    def sweep(self, at_s: float) -> Sweep:
        """Read every GPU and MIG instance once.

        A GPU that refuses costs its own signals, not those of its neighbours.

        Args:
            at_s: the instant the readings are dated with, epoch seconds.

        Raises:
            DeviceError: NVML cannot list the devices.
        """
        tally = _Tally()
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise DeviceError(
                f"NVML lists no devices: {error}",
                mend="look at dmesg and nvidia-smi on the node; drain it if a GPU fell off",
            ) from error
        readings = tuple(reading for index in range(count) for reading in self._gpu(index, at_s, tally))
        self._forget({reading.device_uuid for reading in readings})
        return Sweep(readings, tuple(tally.errors), tuple(tally.dropped))

    def _gpu(self, index: int, at_s: float, tally: _Tally) -> Iterator[Reading]:
        """The GPU itself, then its MIG instances."""
        gpu = tally.call(pynvml.nvmlDeviceGetHandleByIndex, index)
        uuid = None if gpu is None else tally.call(pynvml.nvmlDeviceGetUUID, gpu)
        if uuid is None:
            return
        product = tally.call(pynvml.nvmlDeviceGetName, gpu) or ""
        mode = tally.call(pynvml.nvmlDeviceGetMigMode, gpu)
        sliced = mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE
        signals = self._board(gpu, tally)
        if not sliced:
            # Under MIG this call says 0 for a busy card (dcgm-exporter#216): it is not even asked.
            rates = tally.call(pynvml.nvmlDeviceGetUtilizationRates, gpu)
            signals |= tally.believable(Signal.GPU_UTIL, None if rates is None else rates.gpu / 100)
            signals |= self._profiling(uuid, gpu, partial(pynvml.nvmlGpmSampleGet, gpu), tally)
        yield self._reading(gpu, tally, at_s=at_s, uuid=uuid, index=index, product=product, signals=signals)
        if sliced:
            yield from self._instances(gpu, index, product, at_s, tally)

    def _instances(self, gpu: Any, index: int, product: str, at_s: float, tally: _Tally) -> Iterator[Reading]:
        for handle in _mig_handles(gpu, tally):
            uuid = tally.call(pynvml.nvmlDeviceGetUUID, handle)
            instance = tally.call(pynvml.nvmlDeviceGetGpuInstanceId, handle)
            if uuid is None or instance is None:
                continue
            named = _MIG_NAME.match(tally.call(pynvml.nvmlDeviceGetName, handle) or "")
            take = partial(pynvml.nvmlGpmMigSampleGet, gpu, instance)
            signals = self._profiling(uuid, gpu, take, tally)
            yield self._reading(
                handle,
                tally,
                at_s=at_s,
                uuid=uuid,
                index=index,
                product=product,
                signals=signals,
                mig=MigInstance(instance, named["profile"] if named else ""),
            )

    def _reading(
        self,
        handle: Any,
        tally: _Tally,
        *,
        at_s: float,
        uuid: str,
        index: int,
        product: str,
        signals: dict[Signal, float],
        mig: MigInstance | None = None,
    ) -> Reading:
        """Add what a GPU and a MIG instance both have: memory and processes."""
        memory = tally.call(pynvml.nvmlDeviceGetMemoryInfo, handle)
        processes = tally.call(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
        used = tally.believable(Signal.MEMORY_USED, None if memory is None else float(memory.used))
        known = memory is not None and 0 < memory.total <= SIGNALS[Signal.MEMORY_USED].highest
        energy = None if mig else tally.call(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        return Reading(
            at_s=at_s,
            device_uuid=uuid,
            index=index,
            product=product,
            mig=mig,
            pods=(),
            processes=None if processes is None else len(processes),
            signals=signals | used,
            memory_total_bytes=float(memory.total) if memory is not None and known else None,
            energy_joules=energy / 1000 if energy is not None and energy < _HIGHEST_MILLIJOULES else None,
        )

    @staticmethod
    def _board(gpu: Any, tally: _Tally) -> dict[Signal, float]:
        """What only the whole board has: its power."""
        milliwatts = tally.call(pynvml.nvmlDeviceGetPowerUsage, gpu)
        return tally.believable(Signal.POWER, None if milliwatts is None else milliwatts / 1000)

    def _profiling(self, uuid: str, gpu: Any, take: Callable[[Any], Any], tally: _Tally) -> dict[Signal, float]:
        """SM, tensor and DRAM activity since the last sweep, on Hopper and later."""
        support = tally.call(pynvml.nvmlGpmQueryDeviceSupport, gpu)
        if support is None or not support.isSupportedDevice:
            return {}
        if uuid not in self._pairs:
            pair = tally.call(_GpmPair)
            if pair is None:
                return {}
            self._pairs[uuid] = pair
        return self._pairs[uuid].advance(take, tally)

    def _forget(self, seen: set[str]) -> None:
        """Free the samples of MIG instances that are no more."""
        for uuid in self._pairs.keys() - seen:
            self._pairs.pop(uuid).free()


def _mig_handles(gpu: Any, tally: _Tally) -> Iterator[Any]:
    """MIG slots are sparse: an empty one answers "not found", which is no error."""
    for slot in range(tally.call(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_NOT_FOUND:
                tally.refuse(error.value)


def _preload(library: Path) -> None:
    """Load a library whose soname is libnvidia-ml.so.1, so that pynvml's own dlopen of that name finds it loaded."""
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise DeviceError(
            f"NVML library {library} cannot be loaded: {error}", mend="name a libnvidia-ml.so.1, or leave the flag out"
        ) from error
