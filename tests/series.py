"""Hand-written usage, for the laws."""

import numpy as np

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window

WORKLOAD = WorkloadRef("research", "Deployment", "chat", "uid-1")
STEP_S = 300
DAY_STEPS = 86_400 // STEP_S

IDLE_VALUES = {
    Signal.SM_ACTIVITY: 0.0,
    Signal.DRAM_ACTIVITY: 0.0,
    Signal.GPU_UTIL: 0.0,
    Signal.POWER: 60.0,
    Signal.MEMORY_USED: 20.0 * 2**30,
}
BUSY_VALUES = {
    Signal.SM_ACTIVITY: 0.8,
    Signal.DRAM_ACTIVITY: 0.4,
    Signal.GPU_UTIL: 0.95,
    Signal.POWER: 330.0,
    Signal.MEMORY_USED: 60.0 * 2**30,
}


def window(steps: int) -> Window:
    return Window(0, steps * STEP_S, STEP_S)


def device(
    steps: int,
    *,
    busy=(),
    pod="chat-0",
    uuid="GPU-0",
    gpu_type="A100-80GB",
    fraction=1.0,
    node="node-0",
    signals=tuple(IDLE_VALUES),
):
    """A device that is idle except in the steps of `busy`."""
    active = np.zeros(steps, dtype=bool)
    active[np.asarray(busy, dtype=np.int64)] = True
    samples = {s: np.where(active, BUSY_VALUES[s], IDLE_VALUES[s]).astype(np.float64) for s in signals}
    return DeviceSeries(pod, uuid, fraction, gpu_type, node, samples)


def usage(*devices: DeviceSeries, requests=None, workload=WORKLOAD) -> UsageSeries:
    steps = next(iter(devices[0].samples.values())).shape[0]
    return UsageSeries(workload, window(steps), devices, requests)
