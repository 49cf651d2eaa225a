"""The samples that should be there: every device that a running pod requests, in every step in which the pod runs.

A device that should report and does not is missing data. It counts as in use, lowers the coverage of its workload, and
breaks its idle intervals (I27).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import mig_share
from gpuwise.model.hours import PodDevice
from gpuwise.model.inventory import GpuRequest, Inventory, Node, Pod, Workload
from gpuwise.model.labels import GPU_CLASS, GPU_RESOURCE, MIG_CLASS, MIG_RESOURCE_PREFIX, is_gpu
from gpuwise.model.profile import DayUse
from gpuwise.model.usage import DAY_S, Window
from gpuwise.score.devices import AllocatedDevice, unsampled_device
from gpuwise.score.idle import Runs

_CLAIMED = frozenset({GPU_CLASS, MIG_CLASS})


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod that has GPUs of a node now, and the devices that it requests.

    Attributes:
        name: of the pod.
        node: where it runs.
        gpu_type: canonical type of the node's GPUs, None if unknown.
        start_s: when it started, epoch seconds.
        devices: number of devices that should report; at least 1.
        gpu_fraction: whole-GPU equivalents of one of them.
    """

    name: str
    node: str
    gpu_type: str | None
    start_s: int
    devices: int
    gpu_fraction: float


def running_pods(workload: Workload, inventory: Inventory) -> tuple[RunningPod, ...]:
    """List the pods of a workload that have GPUs now, with the devices that each should report.

    A pod that is assigned to a node has its GPUs before its containers run, as while an image is pulled.

    Args:
        workload: its pods and its request.
        inventory: for the GPU types of the nodes.
    """
    return tuple(_running(pod, workload, inventory) for pod in workload.pods if pod.uses_node)


def _running(pod: Pod, workload: Workload, inventory: Inventory) -> RunningPod:
    assert pod.node is not None
    node = inventory.nodes.get(pod.node)
    gpu = node.gpu_type if node else None
    requests = workload.requests or (None,)
    parts = [_requested(one, node, shares_card=workload.shares_card) for one in requests]
    devices = sum(count for count, _ in parts)
    if pod.claimed:
        shares = [(mig_share(one.profile, gpu) or 1.0) / one.pods for one in pod.claimed]
        # A claim may satisfy an extended resource, so the two are added only if it requests several resources.
        devices = max(len(shares), devices if workload.more_requests else 0)
        fraction = sum(shares) / len(shares)
    else:
        fraction = sum(count * (mig_share(profile, gpu) or 1.0) for count, profile in parts) / devices
        fraction *= node.gpu_fraction / node.pods_per_gpu if node else 1.0
    return RunningPod(
        name=pod.name,
        node=pod.node,
        gpu_type=gpu.name if gpu else None,
        start_s=workload.created_s if pod.started_s is None else pod.started_s,
        devices=devices,
        gpu_fraction=fraction,
    )


def _requested(request: GpuRequest | None, node: Node | None, *, shares_card: bool) -> tuple[int, str]:
    """Number of devices, and the MIG profile ("" for whole GPUs).

    A pod that shares cards reports at least one device; how many cards its replicas come from is not known.
    """
    if request is None or shares_card or (node is not None and node.pods_per_gpu > 1):
        return 1, ""
    if request.resource.endswith(".shared"):
        return 1, request.resource.removeprefix(MIG_RESOURCE_PREFIX)
    if request.resource == GPU_RESOURCE and node is not None and len(node.mig) == 1 and not node.whole_gpus:
        return max(1, request.count), next(iter(node.mig))  # each nvidia.com/gpu of the node is a MIG instance
    if request.resource.startswith(MIG_RESOURCE_PREFIX):
        return max(1, request.count), request.resource.removeprefix(MIG_RESOURCE_PREFIX)
    return (max(1, request.count), "") if is_gpu(request.resource) or request.resource in _CLAIMED else (1, "")


def unsampled_devices(
    sampled: Sequence[AllocatedDevice],
    pods: Sequence[RunningPod],
    *,
    base_s: int,
    step_s: int,
    steps: int,
    last_step: int,
) -> Iterator[AllocatedDevice]:
    """Yield a device without samples for each span in which a running pod reports fewer devices than it requests.

    The spans begin at the first sample of the workload: what was before is not part of the observed time.

    Args:
        sampled: devices with samples, of all pods of the workload.
        pods: that run now.
        base_s: time of step 0, epoch seconds.
        step_s: length of a step.
        steps: number of steps in all hours.
        last_step: first step after the window.
    """
    if not sampled:
        return
    first = min(device.start for device in sampled)
    for pod in pods:
        start = max(first, -(-(pod.start_s - base_s) // step_s))
        own = [device for device in sampled if device.pod_device.pod == pod.name]
        if sum(device.start <= start and device.end >= last_step for device in own) >= pod.devices:
            continue  # as most do: no step needs to be looked at
        missing = np.zeros(steps, dtype=np.int64)
        missing[start:last_step] = pod.devices
        for device in own:
            missing[device.start : device.end] -= 1
        for level in range(1, int(missing.max(initial=0)) + 1):
            yield from _spans(missing >= level, pod, level)


def _spans(missing: NDArray[np.bool_], pod: RunningPod, level: int) -> Iterator[AllocatedDevice]:
    runs = Runs.of(missing, at_least=1)
    absent = PodDevice(pod.name, f"unsampled-{level}", pod.gpu_fraction, pod.gpu_type, pod.node)
    for start, end in zip(runs.starts.tolist(), runs.ends.tolist(), strict=True):
        yield unsampled_device(absent, start, end)


def unseen_days(
    pods: Sequence[RunningPod], sampled: frozenset[str], window: Window, *, until_s: int
) -> tuple[DayUse, ...]:
    """Return the time in which running pods had their GPUs before the first sample of the workload.

    A pod has its GPUs from its start on, whether anything measures it or not. The time of a pod with samples counts as
    used, as every gap does; the time of a pod without any sample is unknown.

    Args:
        pods: that run now.
        sampled: names of the pods with samples in the window.
        window: the window.
        until_s: time of the workload's first sample; the end of the window if it has none.
    """
    days: dict[tuple[int, str, str | None], list[float]] = {}
    for pod in pods:
        start_s = max(pod.start_s, window.start_s)
        gpus = pod.devices * pod.gpu_fraction
        for midnight in range(start_s - start_s % DAY_S, until_s, DAY_S):
            gpu_s = gpus * max(0, min(midnight + DAY_S, until_s) - max(midnight, start_s))
            total = days.setdefault((midnight, pod.node, pod.gpu_type), [0.0, 0.0])
            total[0] += gpu_s
            total[1] += 0.0 if pod.name in sampled else gpu_s
    return tuple(
        DayUse(midnight, node, gpu_type, held, 0.0, 0.0, unknown)
        for (midnight, node, gpu_type), (held, unknown) in sorted(days.items(), key=str)
        if held > 0.0
    )
