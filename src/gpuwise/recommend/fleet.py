"""The input of the methods about a whole fleet, and how a proposal about a node becomes a recommendation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from gpuwise.model.declared import model_of, work_metric
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType, Inventory, Node, Pod, Workload, WorkloadClass, WorkloadRef, node_ref
from gpuwise.model.labels import CAPACITY_TYPE_LABELS, GPU_RESOURCE
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.scheduling import Requirement
from gpuwise.model.tagging import Tags
from gpuwise.recommend.engines.gpu_type_overprovisioned.fleet_speeds import Speeds, speeds_of
from gpuwise.recommend.proposal import Proposal, complete
from gpuwise.recommend.settings import HOUR_S, RecommendSettings

_SPOT_VALUES = frozenset({"spot", "preemptible", "true"})
# Labels that name every capacity type, so that spot is what is not on-demand; and labels that only spot nodes have.
_KARPENTER_AND_EKS = frozenset({"karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType"})
_SPOT_ALONE = frozenset(
    {
        "cloud.google.com/gke-spot",
        "cloud.google.com/gke-preemptible",
        "kubernetes.azure.com/scalesetpriority",
        "scheduling.cast.ai/spot",
        "node-role.kubernetes.io/spot-worker",
    }
)

_JOBS = frozenset({WorkloadClass.TRAINING, WorkloadClass.BATCH})


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind of device that at least one node of the fleet offers to pods.

    Attributes:
        gpu: the GPU type.
        resource: the extended resource: whole GPUs or a MIG slice.
        capacity_type: how the node is paid for.
        region: the node's region.
        zone: the node's zone.
    """

    gpu: GpuType
    resource: str
    capacity_type: CapacityType | None
    region: str | None
    zone: str | None = None


@dataclass(frozen=True)
class Fleet:
    """A fleet with its usage and prices: the input of all methods.

    Attributes:
        inventory: nodes, workloads and namespaces.
        profiles: usage profiles by workload; a workload that was not scored is absent.
        prices: the prices of GPU-hours.
        settings: thresholds and margins.
        now_s: time of the evaluation, epoch seconds.
        past: nodes that no longer exist, as far as they are remembered.
        pass_interval_s: time to the next run, seconds.
        earlier: what the last run recommended, from which a search continues.
        tags: which labels name the team that a recommendation is for: as in the bill.
    """

    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]
    prices: PriceBook
    settings: RecommendSettings
    now_s: int
    past: tuple[Node, ...] = ()
    pass_interval_s: int = HOUR_S
    earlier: tuple[Recommendation, ...] = ()
    tags: Tags = field(default_factory=Tags)
    _cheapest: dict[tuple[frozenset[str | None], CapacityType | None], Mapping[GpuType, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def pods_on(self) -> Mapping[str, tuple[tuple[Workload, Pod], ...]]:
        """The GPU pods on each node, with their workloads; a node without GPU pods is absent."""
        by_node: dict[str, list[tuple[Workload, Pod]]] = {}
        for workload in self.inventory.workloads:
            for pod in workload.active_pods:
                if pod.node is not None:
                    by_node.setdefault(pod.node, []).append((workload, pod))
        return {node: tuple(pods) for node, pods in by_node.items()}

    @cached_property
    def earlier_by_uid(self) -> Mapping[str, tuple[Recommendation, ...]]:
        """What the last run recommended, by the uid of its target."""
        found: dict[str, list[Recommendation]] = {}
        for item in self.earlier:
            found.setdefault(item.workload.uid, []).append(item)
        return {uid: tuple(items) for uid, items in found.items()}

    @cached_property
    def speeds(self) -> Mapping[WorkloadRef, Speeds]:
        """How fast training and batch work is on each GPU type, where it is measured.

        An endpoint does the work that arrives, which is not more on a faster GPU. Only declared work is measured, so no
        other profile is read.
        """
        jobs = (one for one in self.inventory.workloads if one.workload_class in _JOBS and work_metric(one) is not None)
        profiles = ((one, self.profiles.get(one.ref)) for one in jobs)
        found = {
            one.ref: speeds_of(model_of(one), seen.paces) for one, seen in profiles if seen is not None and seen.paces
        }
        return {ref: speeds for ref, speeds in found.items() if speeds.by_type}

    @cached_property
    def unread_nodes(self) -> frozenset[str]:
        """Nodes that cannot be read, or that have a GPU pod that cannot be read."""
        unread = self.inventory.unread
        return frozenset().union(
            *(item.nodes for item in unread), {item.ref.name for item in unread if item.ref.kind == "Node"}
        )

    @cached_property
    def kinds(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes of each kind, by name: of one GPU product, region, zone and capacity type.

        A node that cannot be read, or that has a GPU pod that cannot be read, is in none.
        """
        kinds: dict[tuple[object, ...], list[Node]] = {}
        for _, node in sorted(self.inventory.nodes.items()):
            if node.name not in self.unread_nodes:
                kind = (node.gpu_product, node.region, node.zone, node.capacity_type)
                kinds.setdefault(kind, []).append(node)
        return tuple(map(tuple, kinds.values()))

    @cached_property
    def offers(self) -> frozenset[Offer]:
        """The kinds of devices in the fleet; far fewer than there are nodes."""
        return frozenset(
            Offer(node.gpu_type, resource, node.capacity_type, node.region, node.zone)
            for node in self.inventory.nodes.values()
            if node.gpu_type is not None
            for resource in resources_of(node)
        )

    def cheapest(self, regions: frozenset[str | None], capacity_type: CapacityType | None) -> Mapping[GpuType, float]:
        """The GPU types of which whole GPUs are offered, with their lowest price; without a price, a type is absent.

        Args:
            regions: the regions of the nodes; None is an unknown one.
            capacity_type: how the nodes are paid for.
        """
        key = regions, capacity_type
        if key not in self._cheapest:
            self._cheapest[key] = self._of_offers(*key)
        return self._cheapest[key]

    def _of_offers(self, regions: frozenset[str | None], capacity_type: CapacityType | None) -> Mapping[GpuType, float]:
        found: dict[GpuType, float] = {}
        for offer in self.offers:
            if offer.resource != GPU_RESOURCE or offer.capacity_type != capacity_type or offer.region not in regions:
                continue
            price = self.prices.price(offer.gpu.name, capacity_type, region=offer.region, zone=offer.zone)
            if price is not None:
                found[offer.gpu] = min(price, found.get(offer.gpu, price))
        return found

    @cached_property
    def spot_nodes(self) -> Mapping[str, tuple[Node, ...]]:
        """The spot nodes by GPU type, those that exist and those that are remembered."""
        found: dict[str, list[Node]] = {}
        for node in (*self.inventory.nodes.values(), *self.past):
            if node.capacity_type is CapacityType.SPOT and node.gpu_type is not None:
                found.setdefault(node.gpu_type.name, []).append(node)
        return {gpu: tuple(nodes) for gpu, nodes in found.items()}

    @cached_property
    def awaited_on_spot(self) -> frozenset[str]:
        """GPU types for which a pod waits that accepts only spot nodes, of workloads that use one GPU type."""
        return frozenset(
            gpu
            for workload in self.inventory.workloads
            if any(pod.node is None and only_spot(pod) for pod in workload.active_pods)
            for gpu in self._gpu_types(workload.ref)
        )

    def _gpu_types(self, ref: WorkloadRef) -> Collection[str]:
        profile = self.profiles.get(ref)
        types = () if profile is None else profile.allocated_gpu_s_by_type.keys()
        return types if len(types) == 1 else ()

    @cached_property
    def tenants(self) -> Mapping[str, frozenset[str]]:
        """Uids of the workloads with pods on each node; a node without GPU pods is absent."""
        return {node: frozenset(workload.ref.uid for workload, _ in pods) for node, pods in self.pods_on.items()}

    def usd_per_gpu_h(self, node: Node) -> float | None:
        """Price per hour of one of a node's GPUs; None if the type has no price."""
        return self.prices.of_node(node)


def only_spot(pod: Pod) -> bool:
    """Whether a pod accepts only spot nodes: each term of its required affinity asks for a label of such nodes."""
    terms = () if pod.scheduling is None else pod.scheduling.terms
    return bool(terms) and all(any(map(_asks_for_spot, term)) for term in terms)


def _asks_for_spot(one: Requirement) -> bool:
    """In the values of spot nodes, not in those of others, or a label that only spot nodes have."""
    if one.key not in CAPACITY_TYPE_LABELS:
        return False
    values = {value.lower().replace("_", "-") for value in one.values}
    if one.operator == "NotIn":
        return one.key in _KARPENTER_AND_EKS and "on-demand" in values
    return (one.operator == "In" and values <= _SPOT_VALUES) or (one.operator == "Exists" and one.key in _SPOT_ALONE)


def resources_of(node: Node) -> Iterator[str]:
    """The resources of the GPUs that a node offers: whole GPUs or MIG slices; none if its type is not known."""
    gpu = node.gpu_type
    if gpu is None:
        return
    if not node.mig and node.whole_gpus != 0:
        yield GPU_RESOURCE
    for name, count in node.mig.items():
        profile = gpu.mig_profile(name)
        if count > 0 and profile is not None:
            yield profile.resource


def node_recommendation(
    fleet: Fleet,
    node: Node,
    proposal: Proposal,
    *,
    confidence: float,
    claims: Sequence[str] = (),
    shared_claims: Collection[str] = (),
    observed_s: int | None = None,
) -> Recommendation:
    """Turn a proposal about a node into a recommendation.

    Args:
        fleet: the node's fleet.
        node: the target.
        proposal: the method's decision.
        confidence: 0 to 1.
        claims: names of other nodes and uids of workloads whose GPU time it counts; the node itself is added.
        shared_claims: names and uids that recommendations which were planned together share.
        observed_s: length of the data behind it, seconds; None if it is based on requests alone.
    """
    made = complete(
        proposal,
        node_ref(node),
        owner=None,
        confidence=confidence,
        now_s=fleet.now_s,
        lifetime_s=fleet.settings.lifetime_s,
        claims=tuple(sorted({node.name, *claims})),
        observed_s=observed_s,
    )
    return replace(made, shared_claims=tuple(sorted(shared_claims)))


def node_blocked(node: Node, stage: str, reason: Reason, detail: str, evidence: Sequence[Evidence] = ()) -> Blocked:
    """A change to a node that is not recommended, and why."""
    return Blocked(node_ref(node), stage, reason, detail, tuple(evidence))
