"""What the fleet is made of: nodes, workloads with their pods, and what protects them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpuwise.model.gpu import GpuType


class CapacityType(StrEnum):
    """How a node is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    RESERVED = "reserved"


class WorkloadClass(StrEnum):
    """What a workload is for; decides which recommendations make sense."""

    ENDPOINT = "endpoint"
    BATCH = "batch"
    TRAINING = "training"
    NOTEBOOK = "notebook"


@dataclass(frozen=True, slots=True, order=True)
class WorkloadRef:
    """Which object: what people type, and the uid that tells a recreated namesake apart."""

    namespace: str
    kind: str
    name: str
    uid: str

    def __str__(self) -> str:
        """As people write it; a node is in no namespace: "Node/gpu-7"."""
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """GPUs that one replica asks for.

    Attributes:
        resource: extended resource, "nvidia.com/gpu" or "nvidia.com/mig-1g.10gb".
        count: how many of it.
    """

    resource: str
    count: int


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with GPUs.

    Attributes:
        name: its name in Kubernetes.
        gpu_type: what the product label means, None if it names no type known here.
        gpu_product: the product label as it stands.
        gpu_count: physical GPUs.
        mig: allocatable MIG resources by profile name; empty without MIG.
        capacity_type: how it is paid for, None if no label says.
        region: topology.kubernetes.io/region, None if absent.
        zone: topology.kubernetes.io/zone, None if absent.
    """

    name: str
    gpu_type: GpuType | None
    gpu_product: str
    gpu_count: int
    mig: Mapping[str, int]
    capacity_type: CapacityType | None
    region: str | None
    zone: str | None = None


def node_ref(node: Node) -> WorkloadRef:
    """What stands in a profile for the devices of a node that no pod holds."""
    return WorkloadRef("", "Node", node.name, node.name)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod that holds GPUs, or waits for them.

    Attributes:
        name: its name.
        uid: its uid.
        node: where it runs, None while pending.
        phase: Kubernetes' phase.
        ready: the Ready condition.
        started_s: status.startTime, None while pending.
        annotations: its own; protections can stand on the pod alone.
    """

    name: str
    uid: str
    node: str | None
    phase: str
    ready: bool
    started_s: int | None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that owns GPU pods, as Kubernetes has it.

    Attributes:
        ref: which object; the top of the owner chain (a Deployment, not its ReplicaSet).
        workload_class: what it is for.
        replicas: spec.replicas (spec.parallelism for a Job), None where the kind has none.
        request: GPUs per replica, None when the template asks for none.
        labels: of the object itself.
        annotations: of the object itself.
        pods: those alive now.
        created_s: metadata.creationTimestamp.
        managed_by: other controllers that own its scale, as "HorizontalPodAutoscaler/name"; empty when none does.
        disruptions_allowed: the least that a PodDisruptionBudget over its pods allows now; None when none covers it.
        chain: kind and name of the objects between it and its pods, old ReplicaSets and itself included.
        asking: containers of one replica, init containers included, that ask for GPUs; usage is known by pod alone.
        shares_card: a container says how much of a card it may use (HAMi), beside or instead of a number of GPUs.
    """

    ref: WorkloadRef
    workload_class: WorkloadClass
    replicas: int | None
    request: GpuRequest | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    pods: tuple[Pod, ...]
    created_s: int
    managed_by: tuple[str, ...] = ()
    disruptions_allowed: int | None = None
    chain: tuple[tuple[str, str], ...] = ()
    asking: int = 1
    shares_card: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """An object that could not be made sense of: nothing is said about it, and nothing is done to it.

    Attributes:
        ref: which object.
        problem: what of it, for a person.
        nodes: on which its GPU pods run, as far as that is known.
    """

    ref: WorkloadRef
    problem: str
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with what it says about us."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """One consistent look at the fleet.

    Attributes:
        taken_s: when every list had succeeded, epoch seconds.
        nodes: by name.
        workloads: all that own GPU pods or ask for GPUs.
        namespaces: by name.
        unread: what could not be made sense of; one odd object never hides the others.
    """

    taken_s: int
    nodes: Mapping[str, Node]
    workloads: tuple[Workload, ...]
    namespaces: Mapping[str, Namespace]
    unread: tuple[Unread, ...] = ()

    def by_ref(self) -> dict[WorkloadRef, Workload]:
        """Index the workloads by reference; a recreated namesake has another uid, and so is another one."""
        return {workload.ref: workload for workload in self.workloads}
