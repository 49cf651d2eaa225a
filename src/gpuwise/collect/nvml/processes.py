"""Which processes are on a device, and how long each had the SMs."""

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
    """Compute processes of a card or an instance, clients of MPS among them; None if not to be had.

    Args:
        device: NVML's handle.
        calls: of this sweep.
    """
    found = calls.ask(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, device)
    if found is None:
        return None
    clients: list[Any] | None = calls.ask_or([], pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3, device)
    if clients is None:  # fewer processes than there are would look like none
        return None
    memory = {one.pid: one.usedGpuMemory for one in (*found, *clients)}
    return tuple(Process(pid, _bytes(used)) for pid, used in memory.items())


def _bytes(used: int | None) -> float | None:
    return float(used) if used is not None and c.MEMORY_USED.believable(used) else None


class SmTimes:
    """Process utilisation since the last look at each card."""

    def __init__(self) -> None:
        self._last_us: dict[str, int] = {}

    def since_last(self, uuid: str, gpu: Any, calls: Calls) -> Mapping[int, float] | None:
        """Share of the time that each process had the SMs, by pid; None if not to be had.

        The driver samples each process that works; one that is not in the answer was not seen to work.

        Args:
            uuid: of the card.
            gpu: its handle.
            calls: of this sweep.
        """
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(gpu, self._last_us.get(uuid, 0))
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_NOT_FOUND:  # nobody worked
                return {}
            calls.refuse(error.value)
            return None
        times: dict[int, float] = defaultdict(float)
        periods: Counter[int] = Counter()
        for sample in samples:
            # Beyond 100 is a sentinel or a slot that was not filled (DCGM#199): unknown, and so is whoever it is of.
            if sample.smUtil > 100:
                calls.dropped.append(c.PROCESS_SM)
                return None
            self._last_us[uuid] = max(self._last_us.get(uuid, 0), sample.timeStamp)
            times[sample.pid] += sample.smUtil / 100
            periods[sample.pid] += 1
        # A process that came late has fewer samples: the one with the most was there all the time.
        return {pid: time / max(periods.values()) for pid, time in times.items()}

    def keep(self, seen: set[str]) -> None:
        """Forget cards that are no more."""
        for uuid in self._last_us.keys() - seen:
            del self._last_us[uuid]


def process_samples(times: Mapping[int, float] | None) -> Iterator[Sample]:
    """The processes' SM time added up, if the driver saw any: no sample is not a zero.

    Args:
        times: share of the time, by pid.
    """
    if times:
        yield Sample(c.PROCESS_SM, min(1.0, math.fsum(times.values())), (c.PROCESSES,))
