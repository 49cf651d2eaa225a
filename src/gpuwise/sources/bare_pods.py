"""An inventory where nobody recorded one: each pod of a recording is a workload, on a node of its own or as it says."""

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
"""What a pod may be taken as; gpuwise does not stop a bare Pod, for nobody would start it again."""

_CLASSES = {"Job": WorkloadClass.BATCH, "Notebook": WorkloadClass.NOTEBOOK}


@dataclass(frozen=True, slots=True)
class PodSpan:
    """One pod and the time it was measured in.

    Attributes:
        namespace: of the pod.
        name: its name.
        node: where.
        gpu_type: canonical name of its cards, None if unknown.
        whole: whether it held whole cards.
        devices: uuids.
        first_s: its first sample.
        last_s: its last.
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
    """The pods of some devices, by namespace and name."""
    by_pod: dict[tuple[str, str], list[TracedDevice]] = {}
    for device in devices:
        by_pod.setdefault((device.namespace, device.pod), []).append(device)
    return [_span(space, name, held) for (space, name), held in sorted(by_pod.items())]


def _span(space: str, name: str, held: Sequence[TracedDevice]) -> PodSpan:
    return PodSpan(
        namespace=space,
        name=name,
        node=next((device.node for device in held if device.node), f"node-of-{space}-{name}"),
        gpu_type=held[0].gpu_type,
        whole=all(device.gpu_fraction == 1.0 for device in held),
        devices=frozenset(device.device_uuid for device in held),
        first_s=min(int(device.times_s[0]) for device in held),
        last_s=max(int(device.times_s[-1]) for device in held),
    )


@dataclass(frozen=True, slots=True)
class BarePods:
    """An `InventorySource` over pods alone.

    Attributes:
        pods: all that were ever measured.
        kind: what each is taken as, one of KINDS.
        step_s: a pod is gone when it was not measured for two steps of so many seconds.
    """

    pods: Sequence[PodSpan]
    kind: str
    step_s: int

    def snapshot(self, now_s: int) -> Inventory:
        """The pods that were alive then: from their first sample on, until the last."""
        alive = [pod for pod in self.pods if pod.first_s <= now_s and self._runs(pod, now_s)]
        return self._inventory(alive, now_s)

    def everything(self, now_s: int) -> Inventory:
        """All pods that ever were."""
        return self._inventory(self.pods, now_s)

    def _inventory(self, pods: Sequence[PodSpan], now_s: int) -> Inventory:
        on_node: dict[str, list[PodSpan]] = {}
        for pod in self.pods:
            on_node.setdefault(pod.node, []).append(pod)
        spaces = {pod.namespace for pod in self.pods}
        return Inventory(
            taken_s=now_s,
            nodes={name: _node(name, held) for name, held in on_node.items()},
            workloads=tuple(self._workload(pod, now_s) for pod in pods),
            namespaces={name: Namespace(name, {}, {}) for name in spaces},
        )

    def _runs(self, span: PodSpan, now_s: int) -> bool:
        return now_s <= span.last_s + 2 * self.step_s

    def _workload(self, span: PodSpan, now_s: int) -> Workload:
        uid, runs = f"{span.namespace}/{span.name}", self._runs(span, now_s)
        pod = Pod(span.name, uid, span.node, "Running" if runs else "Succeeded", ready=runs, started_s=span.first_s)
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
