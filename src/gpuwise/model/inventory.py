"""The inventory of a fleet: nodes, workloads with their pods, and their protections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from gpuwise.model.gpu import GpuType
from gpuwise.model.scheduling import Openness, Scheduling


class CapacityType(StrEnum):
    """How a node is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    RESERVED = "reserved"


class WorkloadClass(StrEnum):
    """What a workload is for; it decides which recommendations apply."""

    ENDPOINT = "endpoint"
    BATCH = "batch"
    TRAINING = "training"
    NOTEBOOK = "notebook"


@dataclass(frozen=True, slots=True, order=True)
class WorkloadRef:
    """Identifies an object: namespace, kind and name, and the uid, by which a recreated object differs."""

    namespace: str
    kind: str
    name: str
    uid: str

    def __str__(self) -> str:
        """Format it as "namespace/Kind/name"; a node has no namespace: "Node/gpu-7"."""
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """The GPUs that one replica requests.

    Attributes:
        resource: extended resource, "nvidia.com/gpu" or "nvidia.com/mig-1g.10gb".
        count: how many.
    """

    resource: str
    count: int


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with GPUs.

    Attributes:
        name: its name in Kubernetes.
        gpu_type: the type that the product label names, None if that type is not known.
        gpu_product: the product label, unchanged.
        gpu_count: physical GPUs.
        mig: allocatable MIG resources by profile name; empty without MIG.
        capacity_type: how it is paid for, None if it has no such label.
        region: topology.kubernetes.io/region, None if absent.
        zone: topology.kubernetes.io/zone, None if absent.
        openness: which pods it accepts, None if not known.
        gpu_fraction: whole-GPU equivalents of one of its GPUs; below 1 for a vGPU, which is a part of a board.
        whole_gpus: nvidia.com/gpu that it offers; None if not known, as in a trace.
        claimable: GPUs that its ResourceSlices offer to resource claims.
        pods_per_gpu: how many pods may share each of its GPUs by time-slicing, MPS or HAMi; 1 if none.
        created_s: metadata.creationTimestamp, epoch seconds; None if not known, which counts as before the window.
        gone_s: when it was last seen, for a node that no longer exists; None for a node of the inventory.
        usd_per_gpu_h: for a node that no longer exists, its price when it was last seen; None if it is not known.
        marks: its labels and annotations, some of which protect it.
    """

    name: str
    gpu_type: GpuType | None
    gpu_product: str
    gpu_count: int
    mig: Mapping[str, int]
    capacity_type: CapacityType | None
    region: str | None
    zone: str | None = None
    openness: Openness | None = None
    gpu_fraction: float = 1.0
    whole_gpus: int | None = None
    claimable: int = 0
    pods_per_gpu: int = 1
    created_s: int | None = None
    gone_s: int | None = None
    usd_per_gpu_h: float | None = None
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def capacity(self) -> float:
        """Its physical GPUs, in whole-GPU equivalents."""
        return self.gpu_count * self.gpu_fraction


def node_ref(node: Node) -> WorkloadRef:
    """The reference under which the unallocated devices of a node have a profile."""
    return WorkloadRef("", "Node", node.name, node.name)


DELETED = "deleted"
"""Kind of the reference under which the pods of a namespace that no workload owns have a profile."""


def deleted_ref(namespace: str) -> WorkloadRef:
    """The reference under which the pods of a namespace that no workload owns any more have a profile."""
    return WorkloadRef(namespace, DELETED, "workloads", "")


@dataclass(frozen=True, slots=True)
class SeenNode:
    """What is remembered of a node, so that its time keeps its price after it is gone.

    Attributes:
        name: its name in Kubernetes.
        gpu_type: canonical name, None if not known.
        gpu_count: physical GPUs.
        capacity_type: how it was paid for, None if it had no such label.
        created_s: metadata.creationTimestamp, epoch seconds; None if not known.
        seen_s: when it was last seen, epoch seconds.
        gpu_fraction: whole-GPU equivalents of one of its GPUs.
        mig: MIG instances by profile; empty without MIG.
        whole_gpus: nvidia.com/gpu that it offered; None if not known.
        usd_per_gpu_h: price of a GPU-hour when it was last seen; None if it had none, or in older ledgers.
        region: topology.kubernetes.io/region; None if absent, or in older ledgers.
        zone: topology.kubernetes.io/zone; None if absent, or in older ledgers.
    """

    name: str
    gpu_type: str | None
    gpu_count: int
    capacity_type: CapacityType | None
    created_s: int | None
    seen_s: int
    gpu_fraction: float = 1.0
    mig: Mapping[str, int] = field(default_factory=dict)
    whole_gpus: int | None = None
    usd_per_gpu_h: float | None = None
    region: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedDevice:
    """A GPU or MIG instance that a resource claim allocates to a pod.

    Attributes:
        uuid: UUID of the GPU or instance, "" if its ResourceSlice does not name it.
        profile: MIG profile, "" for a whole GPU.
        pods: how many pods share it; 1 if it is the pod's alone.
    """

    uuid: str
    profile: str = ""
    pods: int = 1


@dataclass(frozen=True)  # no slots, as in `gpuwise.model.profile`: it is part of the profiles
class Start:
    """A cold start of a pod: image, containers and model.

    Attributes:
        ready_s: when the pod became ready, epoch seconds.
        took_s: seconds from its assignment to the node, since when it has its GPUs.
    """

    ready_s: int
    took_s: int


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod that has GPUs or waits for them.

    Attributes:
        name: its name.
        uid: its uid.
        node: node that it runs on, None while pending.
        phase: Kubernetes' phase.
        ready: the Ready condition.
        started_s: since when it has its GPUs: status.startTime, before it the time of its assignment to the node; None
            without a node.
        annotations: the pod's annotations; a protection may be on the pod only.
        labels: the pod's labels.
        scheduling: what it requires of its node, None if not known.
        claimed: devices that its resource claims allocate to it; admin access reserves none.
        start: how long it took from its assignment to the node until it was ready; None if not known.
    """

    name: str
    uid: str
    node: str | None
    phase: str
    ready: bool
    started_s: int | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    scheduling: Scheduling | None = None
    claimed: tuple[ClaimedDevice, ...] = ()
    start: Start | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its containers have ended for good; it then has no GPU."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def uses_node(self) -> bool:
        """Whether it uses GPUs of its node: it is scheduled, and has not ended."""
        return self.node is not None and not self.has_ended


@dataclass(frozen=True)  # no slots: every method asks for its active pods, of which some have hundreds
class Workload:
    """A Kubernetes object that owns GPU pods.

    Attributes:
        ref: the object at the top of the owner chain (a Deployment, not its ReplicaSet).
        workload_class: what it is for.
        replicas: spec.replicas (spec.parallelism for a Job), None if the kind has none.
        request: GPUs per replica, None if the template requests none.
        labels: labels of the object itself.
        annotations: annotations of the object itself.
        pods: the pods that exist now.
        created_s: metadata.creationTimestamp.
        managed_by: other controllers that own its scale, as "HorizontalPodAutoscaler/name"; empty if there are none.
        disruptions_allowed: the smallest number of disruptions that a PodDisruptionBudget for its pods allows now; None
            if no budget covers them.
        chain: kind and name of the objects between it and its pods, including old ReplicaSets and the object itself.
        asking: containers of one replica, init containers included, that request GPUs; usage is known per pod only.
        shares_card: a container requests a part of a GPU (HAMi), in addition to or instead of a number of GPUs.
        pod_labels: labels of its pods, which may name a team that the object itself does not name.
        unknown_request: why it is not known which GPUs it requests; "" if it is known. Its request is then None.
        more_requests: what one replica requests of further resources, as a sidecar's MIG slice beside whole GPUs.
        activator: what starts it at its next request, with the field that has the wait: "spec.cooldownPeriod of
            ScaledObject/chat"; "" if nothing of that kind was found.
        creator: who created it, as far as its objects say so: a person, a tool, a ServiceAccount; "" if they do not.
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
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    unknown_request: str = ""
    more_requests: tuple[GpuRequest, ...] = ()
    activator: str = ""
    creator: str = ""

    @cached_property
    def active_pods(self) -> tuple[Pod, ...]:
        """Its pods that have not ended."""
        return tuple(pod for pod in self.pods if not pod.has_ended)

    @property
    def requests(self) -> tuple[GpuRequest, ...]:
        """All that one replica requests; empty if that is not known."""
        return () if self.request is None else (self.request, *self.more_requests)


@dataclass(frozen=True, slots=True)
class Unread:
    """An object that cannot be read. gpuwise makes no recommendation about it and does not change it.

    Attributes:
        ref: the object.
        problem: what cannot be read, for a person.
        nodes: the nodes on which its GPU pods run, as far as they are known.
    """

    ref: WorkloadRef
    problem: str
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with its labels and annotations."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """One consistent list of the fleet's objects.

    Attributes:
        taken_s: when all lists were complete, epoch seconds.
        nodes: by name.
        workloads: all workloads that own GPU pods or request GPUs.
        namespaces: by name.
        unread: objects that cannot be read; one such object never hides the others.
        not_measured: accelerators of other vendors, which gpuwise does not measure: nodes by resource or driver.
        cluster: uid of the cluster, which is that of its namespace kube-system; "" if that is not listed.
    """

    taken_s: int
    nodes: Mapping[str, Node]
    workloads: tuple[Workload, ...]
    namespaces: Mapping[str, Namespace]
    unread: tuple[Unread, ...] = ()
    not_measured: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cluster: str = ""

    def by_ref(self) -> dict[WorkloadRef, Workload]:
        """The workloads by reference. A recreated object has another uid, and so another reference."""
        return {workload.ref: workload for workload in self.workloads}
