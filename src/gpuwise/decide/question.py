"""What a policy is asked: one recommendation, with all that the answer depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.inventory import Inventory, Namespace, Node, Workload, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.residency import RegionsByClass

Refusal = tuple[Reason, str]
"""Why a change is not made: the code, and the details of this case for a person."""


@dataclass(frozen=True)
class Situation:
    """Everything that a decision depends on except the recommendations.

    Attributes:
        inventory: the fleet as it is now; None for a person's command, whose target the enactor reads itself.
        history: earlier commands, outcomes and directives.
        settings: the policy.
        now_s: time of the decision, epoch seconds.
        refused: by recommendation id, what the enactor is known to refuse.
        regions: the regions that each class of data allows.
        nodes: whether gpuwise may change nodes.
    """

    inventory: Inventory | None
    history: History
    settings: DecideSettings
    now_s: int
    refused: Mapping[str, Blocked] = field(default_factory=dict)
    regions: RegionsByClass = field(default_factory=dict)
    nodes: bool = False

    @cached_property
    def targets(self) -> Mapping[WorkloadRef, Workload]:
        """The workloads of the inventory."""
        return {} if self.inventory is None else self.inventory.by_ref()


@dataclass(frozen=True)
class Question:
    """May this recommendation be carried out now?

    Attributes:
        recommendation: the recommendation.
        situation: fleet, history, policy and time.
        actor: the person who asks; None for automation.
        authenticated: whether the cluster authenticated the person.
    """

    recommendation: Recommendation
    situation: Situation
    actor: str | None = None
    authenticated: bool = False

    @property
    def ref(self) -> WorkloadRef:
        """The target."""
        return self.recommendation.workload

    @cached_property
    def target(self) -> Workload | None:
        """The target as the inventory has it; None for a node, or if the inventory does not have it."""
        return self.situation.targets.get(self.ref)

    @cached_property
    def node(self) -> Node | None:
        """The node that is the target; None for a workload, or if the inventory does not have it."""
        fleet = self.situation.inventory
        return fleet.nodes.get(self.ref.name) if fleet is not None and self.ref.kind == "Node" else None

    @cached_property
    def namespace(self) -> Namespace | None:
        """The target's namespace; None if the inventory does not have it."""
        fleet = self.situation.inventory
        return None if fleet is None else fleet.namespaces.get(self.ref.namespace)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that the change affects: the target itself, or those on which its pods run."""
        fleet = self.situation.inventory
        if fleet is None or self.target is None:
            return () if self.node is None else (self.node,)
        names = {pod.node for pod in self.target.active_pods if pod.node}
        return tuple(fleet.nodes[name] for name in sorted(names & fleet.nodes.keys()))
