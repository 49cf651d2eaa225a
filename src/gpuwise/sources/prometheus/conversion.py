"""From the rows of devices to usage: signals in base units, each device with its node, its type and its share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from gpuwise.model.gpu import GpuType, gpu_type, mig_share, vgpu
from gpuwise.model.inventory import Inventory, Node, Workload
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.sources.prometheus.clusters import is_exporter
from gpuwise.sources.prometheus.devices import Device, DeviceKey, Devices, Grid, Mask, PodKey
from gpuwise.sources.prometheus.names import MODEL_LABELS, NODE_LABELS, MetricName
from gpuwise.sources.prometheus.pods import PodRows
from gpuwise.sources.prometheus.requests import Requests, of_workload


@dataclass(frozen=True, slots=True)
class Context:
    """What is needed to interpret the rows of devices.

    Attributes:
        metrics: available metrics in order of preference, with their units.
        heartbeats: names of the available ones.
        inventory: what the rows do not contain.
        window: the grid.
    """

    metrics: Sequence[MetricName]
    heartbeats: frozenset[str]
    inventory: Inventory
    window: Window


@dataclass(frozen=True, slots=True)
class OwnUse:
    """What a pod used of a device that it shares, each of shape (window.steps,), NaN where unknown.

    Attributes:
        activity: share of the time in which its kernels ran, or of the SMs; None if not measured.
        memory: bytes; None if not measured.
    """

    activity: Grid | None
    memory: Grid | None

    def share(self, memory_bytes: float) -> Grid | None:
        """The larger of both as a share of the device, NaN where one is unknown; None if one is never known.

        A pod that holds the memory keeps others off the device, also while it does not compute.

        Args:
            memory_bytes: of the device.
        """
        if self.activity is None or self.memory is None:
            return None
        # The parts of several containers may exceed the device a little: each is the highest value of a step.
        return np.minimum(1.0, np.maximum(self.activity, self.memory / memory_bytes))


def usage_of(
    workload: Workload,
    pods: Mapping[PodKey, PodRows],
    shares: Mapping[DeviceKey, int],
    context: Context,
    own: Mapping[tuple[PodKey, DeviceKey], OwnUse] = MappingProxyType({}),
) -> UsageSeries:
    """Convert the rows of a workload's pods.

    Args:
        workload: the workload.
        pods: its pods, also deleted ones.
        shares: how many pods share a device, by device; one if absent.
        context: what the rows do not contain.
        own: what pods used of devices that they share.
    """
    nodes = {pod.name: pod.node for pod in workload.pods}
    devices = tuple(
        device_series(pod, key, device, nodes.get(pod), shares.get(key, 1), context, own.get(((space, pod), key)))
        for (space, pod), rows in pods.items()
        for key, device in sorted(rows.devices.items())
    )
    lifetimes = _lifetimes(workload, pods, context.window)
    requests = of_workload([(ran, _rate(rows.requests, ran)) for ran, rows in lifetimes])
    scraped = None
    if any(rows.scrapes is not None for _, rows in lifetimes):
        of_pods = ((_finer(ran, context.window), rows) for ran, rows in lifetimes)
        scraped = of_workload([(ran, _rate(rows.scrapes, ran)) for ran, rows in of_pods])
    return UsageSeries(workload.ref, context.window, devices, requests, scraped)


def _lifetimes(workload: Workload, pods: Mapping[PodKey, PodRows], window: Window) -> list[tuple[Mask, PodRows]]:
    """Return when each pod ran, and its series; a pending pod receives no requests."""
    alive = {(workload.ref.namespace, pod.name): pod for pod in workload.pods}
    ends_s = window.start_s + window.step_s * np.arange(1, window.steps + 1)
    lifetimes = []
    for key, rows in pods.items():
        pod = alive.get(key)
        if pod is None:
            ran = rows.lifetime(window)
        elif pod.node is None:
            continue
        else:
            ran = ends_s > (pod.started_s or 0)
        lifetimes.append((ran, rows))
    return lifetimes


def _rate(requests: Requests | None, steps: Mask) -> Grid | None:
    """Return requests per second in these steps, without those before them, which are read for the counters alone."""
    return None if requests is None else requests.per_second()[-steps.size :]


def _finer(steps: Mask, window: Window) -> Mask:
    fine = window.scraped
    assert fine is not None, "requests are read in shorter steps only where the window has them"
    return np.repeat(steps, window.step_s // fine.step_s)


def devices_of(node: Node, devices: Devices, context: Context) -> tuple[DeviceSeries, ...]:
    """Convert the rows of a node's unallocated devices."""
    return tuple(device_series("", key, device, node.name, 1, context) for key, device in sorted(devices.items()))


def device_series(
    pod: str,
    key: DeviceKey,
    device: Device,
    node: str | None,
    shared_by: int,
    context: Context,
    own: OwnUse | None = None,
) -> DeviceSeries:
    """Convert the rows of one pod's device.

    Args:
        pod: name of the pod; "" for an unallocated device.
        key: the device.
        device: its rows.
        node: its node; None if only the rows can name it.
        shared_by: how many pods share it.
        context: what the rows do not contain.
        own: what the pod used of a shared device, None if not measured.
    """
    named = [name for name in _named_nodes(device) if not is_exporter(name)]
    # A pod on a node that no longer exists: what its rows call the node is what it is remembered by.
    node = node or next((name for name in named if name in context.inventory.nodes), next(iter(named), None))
    card = _card(device, node, context.inventory)
    samples, dropped = device.samples(context.metrics, context.window)
    used = own.share(card.memory_bytes * _fraction(device, card)) if own is not None and card is not None else None
    if used is not None:
        samples[Signal.OWN_USE] = used
    return DeviceSeries(
        pod=pod,
        device_uuid=key.name,
        gpu_fraction=_fraction(device, card) / shared_by,
        gpu_type=card.name if card else None,
        node=node,
        samples=samples,
        dropped_samples=dropped,
        heartbeats=tuple(device.heartbeats[name] for name in sorted(device.heartbeats)),
    )


def _fraction(device: Device, card: GpuType | None) -> float:
    """Return what part of a card a device is: a MIG instance, or a vGPU."""
    share = mig_share(device.mig_profile, card) if device.mig_profile else None
    part = vgpu(device.label(MODEL_LABELS) or "")
    return share if share is not None else part[1] if part else 1.0


def _named_nodes(device: Device) -> Iterator[str]:
    return (labels[name] for labels in device.rows.values() for name in NODE_LABELS if name in labels)


def _card(device: Device, node: str | None, inventory: Inventory) -> GpuType | None:
    """Return the card's GPU type by its series, else by its node."""
    named = gpu_type(device.label(MODEL_LABELS) or "")
    if named is not None:
        return named
    found = inventory.nodes.get(node or "")
    return found.gpu_type if found else None
