"""What the recommenders are given about a whole fleet, and how one about a node is completed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType, Inventory, Node, Pod, Workload, WorkloadRef, node_ref
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.recommend.proposal import Proposal, complete
from gpuwise.recommend.settings import RecommendSettings


@dataclass(frozen=True, slots=True)
class Offer:
    """What some node of a fleet offers to pods.

    Attributes:
        gpu: the card.
        resource: whole cards, or a slice of it.
        capacity_type: how the node is paid for.
        region: where it is.
    """

    gpu: GpuType
    resource: str
    capacity_type: CapacityType | None
    region: str | None


@dataclass(frozen=True)
class Fleet:
    """Everything that is known at the time of judging.

    Attributes:
        inventory: nodes, workloads and namespaces.
        profiles: usage by workload; what was not scored is absent.
        prices: what hours cost.
        settings: thresholds.
        now_s: when it is judged, epoch seconds.
    """

    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]
    prices: PriceBook
    settings: RecommendSettings
    now_s: int

    @cached_property
    def pods_on(self) -> Mapping[str, tuple[tuple[Workload, Pod], ...]]:
        """The GPU pods on each node that holds any, with their workloads."""
        found: dict[str, list[tuple[Workload, Pod]]] = {}
        for workload, pod in self._pods():
            if pod.node is not None:
                found.setdefault(pod.node, []).append((workload, pod))
        return {node: tuple(pods) for node, pods in found.items()}

    @cached_property
    def unread_nodes(self) -> frozenset[str]:
        """Nodes that hold GPU pods which could not be read, or could not be read themselves."""
        unread = self.inventory.unread
        return frozenset().union(
            *(one.nodes for one in unread), {one.ref.name for one in unread if one.ref.kind == "Node"}
        )

    @cached_property
    def offers(self) -> frozenset[Offer]:
        """What there is to ask for: far less than there are nodes."""
        return frozenset(
            Offer(node.gpu_type, resource, node.capacity_type, node.region)
            for node in self.inventory.nodes.values()
            if node.gpu_type is not None
            for resource in _resources(node, node.gpu_type)
        )

    def tenants(self, node: str) -> frozenset[str]:
        """Uids of the workloads with pods on a node."""
        return frozenset(workload.ref.uid for workload, _ in self.pods_on.get(node, ()))

    def usd_per_gpu_h(self, node: Node) -> float | None:
        """What an hour of one of its GPUs costs; None where its type has no price."""
        return None if node.gpu_type is None else self.prices.price(node.gpu_type.name, node.capacity_type)

    def _pods(self) -> Iterator[tuple[Workload, Pod]]:
        return ((workload, pod) for workload in self.inventory.workloads for pod in workload.pods)


def _resources(node: Node, gpu: GpuType) -> Iterator[str]:
    if not node.mig:
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
    claims: Sequence[str],
    observed_s: int | None = None,
) -> Recommendation:
    """Complete a proposal about a node.

    Args:
        fleet: where it is.
        node: the target.
        proposal: what its method decided.
        confidence: 0 to 1.
        claims: names of nodes and uids of workloads whose GPU time it counts, its own included.
        observed_s: length of the data behind it, seconds; None where it rests on what pods ask for alone.
    """
    return complete(
        proposal,
        node_ref(node),
        owner=None,
        confidence=confidence,
        now_s=fleet.now_s,
        lifetime_s=fleet.settings.lifetime_s,
        claims=tuple(sorted({node.name, *claims})),
        observed_s=observed_s,
    )


def node_blocked(node: Node, stage: str, reason: Reason, detail: str, evidence: Sequence[Evidence] = ()) -> Blocked:
    """A refusal about a node."""
    return Blocked(node_ref(node), stage, reason, detail, tuple(evidence))
