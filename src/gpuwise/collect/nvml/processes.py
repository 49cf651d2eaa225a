"""The processes on a device, and how long each one had the SMs."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pynvml

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Sample
from gpuwise.collect.nvml.library import Calls
from gpuwise.collect.reading import Process


def running(device: Any, calls: Calls) -> tuple[Process, ...] | None:
    """Compute processes of a card or an instance, including MPS clients; None if not available.

    Args:
        device: NVML's handle.
        calls: the calls of this sweep.
    """
    found = calls.ask(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, device)
    if found is None:
        return None
    clients: list[Any] | None = calls.ask_or([], pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3, device)
    if clients is None:  # without the MPS clients the list is incomplete, and the device could look unused
        return None
    memory = {one.pid: one.usedGpuMemory for one in (*found, *clients)}
    return tuple(Process(pid, _bytes(used)) for pid, used in memory.items())


def _bytes(used: int | None) -> float | None:
    return float(used) if used is not None and c.MEMORY_USED.plausible(used) else None


class SmTimes:
    """Process utilisation since the previous query of each card."""

    def __init__(self) -> None:
        self._last_us: dict[str, int] = {}

    def since_last(self, uuid: str, gpu: Any, calls: Calls) -> Mapping[int, float] | None:
        """Share of the time that each process had the SMs, by pid; None if not available.

        The driver samples each active process; a process without a sample was not seen to be active.

        Args:
            uuid: of the card.
            gpu: its handle.
            calls: the calls of this sweep.
        """
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(gpu, self._last_us.get(uuid, 0))
        except pynvml.NVMLError as error:
            # No process was active. Most drivers return NOT_FOUND, some SUCCESS with no samples, which pynvml raises.
            if error.value in {pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS}:
                return {}
            calls.record_error(error.value)
            return None
        times: dict[int, float] = defaultdict(float)
        periods: Counter[int] = Counter()
        for sample in samples:
            # Above 100 is a sentinel or an unfilled slot (DCGM#199): the value is unknown, and so is its process.
            if sample.smUtil > 100:
                calls.dropped.append(c.PROCESS_SM)
                return None
            self._last_us[uuid] = max(self._last_us.get(uuid, 0), sample.timeStamp)
            times[sample.pid] += sample.smUtil / 100
            periods[sample.pid] += 1
        # A process that started late has fewer samples; the one with the most samples was there the whole time.
        return {pid: time / max(periods.values()) for pid, time in times.items()}

    def keep(self, seen: set[str]) -> None:
        """Forget cards that no longer exist."""
        for uuid in self._last_us.keys() - seen:
            del self._last_us[uuid]


def process_samples(times: Mapping[int, float] | None) -> Iterator[Sample]:
    """The sum of the processes' SM time, if the driver saw any: a missing sample is not a zero.

    Args:
        times: share of the time, by pid.
    """
    if times:
        yield Sample(c.PROCESS_SM, min(1.0, math.fsum(times.values())), (c.PROCESSES,))
