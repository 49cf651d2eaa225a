"""An inventory for a recording without one: each pod is a workload, on its recorded node or on a node of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import (
    GpuRequest,
    Inventory,
    Namespace,
    Node,
    Pod,
    Workload,
    WorkloadClass,
    WorkloadRef,
)
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.sources.traces.source import TracedDevice

KINDS = ("Pod", "Deployment", "StatefulSet", "Job", "Notebook")
"""Kinds that a pod may be treated as. gpuwise never stops a bare Pod, because nothing would start it again."""

_CLASSES = {"Job": WorkloadClass.BATCH, "Notebook": WorkloadClass.NOTEBOOK}


@dataclass(frozen=True, slots=True)
class PodSpan:
    """One pod and the time in which it was measured.

    Attributes:
        namespace: namespace of the pod.
        name: name of the pod.
        node: name of its node.
        gpu_type: canonical GPU type of its cards, None if unknown.
        whole: whether all its devices were whole cards.
        devices: UUIDs of its devices.
        first_s: time of its first sample, epoch seconds.
        last_s: time of its last sample, epoch seconds.
    """

    namespace: str
    name: str
    node: str
    gpu_type: str | None
    whole: bool
    devices: frozenset[str]
    first_s: int
    last_s: int


def pod_spans(devices: Iterable[TracedDevice]) -> list[PodSpan]:
    """Group devices by pod, sorted by namespace and name."""
    by_pod: dict[tuple[str, str], list[TracedDevice]] = {}
    for device in devices:
        by_pod.setdefault((device.namespace, device.pod), []).append(device)
    return [_span(space, name, own) for (space, name), own in sorted(by_pod.items())]


def _span(space: str, name: str, devices: Sequence[TracedDevice]) -> PodSpan:
    return PodSpan(
        namespace=space,
        name=name,
        node=next((device.node for device in devices if device.node), f"node-of-{space}-{name}"),
        gpu_type=devices[0].gpu_type,
        whole=all(device.gpu_fraction == 1.0 for device in devices),
        devices=frozenset(device.device_uuid for device in devices),
        first_s=min(int(device.times_s[0]) for device in devices),
        last_s=max(int(device.times_s[-1]) for device in devices),
    )


@dataclass(frozen=True, slots=True)
class BarePods:
    """An `InventorySource` that knows only pods.

    Attributes:
        pods: all pods that were ever measured.
        kind: kind that each pod is treated as, one of KINDS.
        step_s: step, seconds; a pod without samples for two steps no longer exists.
    """

    pods: Sequence[PodSpan]
    kind: str
    step_s: int

    def snapshot(self, now_s: int) -> Inventory:
        """Return the pods that existed at that time: from their first sample until two steps after their last."""
        alive = [pod for pod in self.pods if pod.first_s <= now_s <= pod.last_s + 2 * self.step_s]
        return self._inventory(alive, now_s)

    def everything(self, now_s: int) -> Inventory:
        """Return all pods that ever existed."""
        return self._inventory(self.pods, now_s)

    def _inventory(self, pods: Sequence[PodSpan], now_s: int) -> Inventory:
        on_node: dict[str, list[PodSpan]] = {}
        for pod in self.pods:
            on_node.setdefault(pod.node, []).append(pod)
        spaces = {pod.namespace for pod in self.pods}
        return Inventory(
            taken_s=now_s,
            nodes={name: _node(name, own) for name, own in on_node.items()},
            workloads=tuple(self._workload(pod) for pod in pods),
            namespaces={name: Namespace(name, {}, {}) for name in spaces},
        )

    def _workload(self, span: PodSpan) -> Workload:
        uid = f"{span.namespace}/{span.name}"
        pod = Pod(span.name, uid, span.node, "Running", ready=True, started_s=span.first_s)
        return Workload(
            ref=WorkloadRef(span.namespace, self.kind, span.name, uid),
            workload_class=_CLASSES.get(self.kind, WorkloadClass.ENDPOINT),
            replicas=None if self.kind == "Pod" else 1,
            request=GpuRequest(GPU_RESOURCE, len(span.devices)) if span.whole else None,
            labels={},
            annotations={},
            pods=(pod,),
            created_s=span.first_s,
        )


def _node(name: str, pods: Sequence[PodSpan]) -> Node:
    product = next((pod.gpu_type for pod in pods if pod.gpu_type), "")
    devices = frozenset[str]().union(*(pod.devices for pod in pods))
    return Node(name, gpu_type(product), product, len(devices), {}, None, None)
